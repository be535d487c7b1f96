package stack

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"gopkg.in/yaml.v3"
)

const uuid = "01234567-89ab-cdef-0123-456789abcdef"

var defaults = Config{
	Region: "eu-west-1", CPU: 256, Memory: 512, MinInstances: 1, MaxInstances: 2, Concurrency: 80,
	DatabaseMinCapacity: 0, DatabaseMaxCapacity: 1, DatabaseSleepAfter: 300, DatabaseInstances: 1, DatabaseLogin: "iam",
	Zones: 2, Egress: "endpoints", Access: "public", Protect: false, FinalSnapshot: true, LogLevel: "info", LogRetentionDays: 14,
	CORSOrigins: "*",
}

func TestConfig(t *testing.T) {
	tests := map[string]struct {
		settings map[string]string
		want     func(*Config)
	}{
		"nothing":        {nil, func(*Config) {}},
		"other projects": {map[string]string{"other:cpu": "x", "pulumi:autonaming": "{}"}, func(*Config) {}},
		"everything": {
			map[string]string{
				"aws:region": "us-east-1", "todo:cpu": "4096", "todo:memory": "12288", "todo:minInstances": "25",
				"todo:maxInstances": "25", "todo:concurrency": "200", "todo:databaseMinCapacity": "0.5",
				"todo:databaseMaxCapacity": "256", "todo:databaseSleepAfter": "86400", "todo:databaseInstances": "16", "todo:databaseLogin": "password",
				"todo:zones": "3", "todo:egress": "nat", "todo:access": "public", "todo:protect": "true", "todo:finalSnapshot": "false", "todo:logLevel": "error",
				"todo:logRetentionDays": "3653", "todo:alarmTopicArn": "arn:aws:sns:us-east-1:123456789012:alarms",
				"todo:xray": "true", "todo:customDomain": "*.example.com",
				"todo:webAclArn":     "arn:aws:wafv2:us-east-1:123456789012:regional/webacl/todo/" + uuid,
				"todo:apiKeysSecret": "arn:aws:secretsmanager:us-east-1:123456789012:secret:todo/keys@2-AbCd12",
				"todo:corsOrigins":   "https://example.com, http://localhost:3000", "todo:rateLimit": "0", "todo:metrics": "true",
			},
			func(c *Config) {
				*c = Config{
					Region: "us-east-1", CPU: 4096, Memory: 12288, MinInstances: 25, MaxInstances: 25, Concurrency: 200,
					DatabaseMinCapacity: 0.5, DatabaseMaxCapacity: 256, DatabaseSleepAfter: 86400, DatabaseInstances: 16, DatabaseLogin: "password",
					Zones: 3, Egress: "nat", Access: "public", Protect: true, FinalSnapshot: false, LogLevel: "error", LogRetentionDays: 3653,
					AlarmTopicARN: "arn:aws:sns:us-east-1:123456789012:alarms",
					XRay:          true, CustomDomain: "*.example.com",
					WebACLARN:     "arn:aws:wafv2:us-east-1:123456789012:regional/webacl/todo/" + uuid,
					APIKeysSecret: "arn:aws:secretsmanager:us-east-1:123456789012:secret:todo/keys@2-AbCd12",
					CORSOrigins:   "https://example.com, http://localhost:3000", RateLimit: "0", Metrics: true,
				}
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			want := defaults
			test.want(&want)
			got, err := read(t, testStack, test.settings)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(got, want); diff != "" {
				t.Errorf("config (-got +want):\n%s", diff)
			}
		})
	}
}

const (
	wholeARN    = "must be the whole ARN of a secret in the stack's region, such as arn:aws:secretsmanager:eu-west-1:123456789012:secret:todo/keys-AbCdEf"
	originsOnly = "must be *, none or origins with commas between, such as https://example.com,http://localhost:3000"
)

func TestConfigRefuses(t *testing.T) {
	tests := map[string]struct {
		settings map[string]string
		want     []string
	}{
		"an empty value":       {map[string]string{"todo:cpu": ""}, []string{`todo:cpu is "": must be a whole number`}},
		"a fraction":           {map[string]string{"todo:zones": "2.5"}, []string{`todo:zones is "2.5": must be a whole number`}},
		"a word for a number":  {map[string]string{"todo:databaseMaxCapacity": "big"}, []string{`todo:databaseMaxCapacity is "big": must be a number`}},
		"yes":                  {map[string]string{"todo:protect": "yes"}, []string{`todo:protect is "yes": must be true or false`}},
		"an unknown processor": {map[string]string{"todo:cpu": "300"}, []string{`todo:cpu is "300": must be one of 256, 512, 1024, 2048, 4096`}},
		"a pair that does not exist": {
			map[string]string{"todo:cpu": "1024"},
			[]string{`todo:cpu is "1024", todo:memory is 512: 1024 cpu units go with a memory of 2048, 3072, 4096`},
		},
		"no instance":   {map[string]string{"todo:minInstances": "0"}, []string{`todo:minInstances is "0": must be from 1 to 25`}},
		"min above max": {map[string]string{"todo:minInstances": "3"}, []string{`todo:minInstances is "3", todo:maxInstances is 2: the minimum must not exceed the maximum`}},
		"concurrency":   {map[string]string{"todo:concurrency": "201"}, []string{`todo:concurrency is "201": must be from 1 to 200`}},
		"a third of a unit": {
			map[string]string{"todo:databaseMinCapacity": "0.3"},
			[]string{`todo:databaseMinCapacity is "0.3": must be from 0 to 256 in steps of 0.5`},
		},
		"not a number": {
			map[string]string{"todo:databaseMaxCapacity": "NaN"},
			[]string{
				`todo:databaseMaxCapacity is "NaN": must be from 1 to 256 in steps of 0.5`,
				`todo:databaseMinCapacity is 0, todo:databaseMaxCapacity is "NaN": the minimum must not exceed the maximum`,
			},
		},
		"a maximum of half a unit": {
			map[string]string{"todo:databaseMaxCapacity": "0.5"},
			[]string{`todo:databaseMaxCapacity is "0.5": must be from 1 to 256 in steps of 0.5`},
		},
		"a short nap":    {map[string]string{"todo:databaseSleepAfter": "299"}, []string{`todo:databaseSleepAfter is "299": must be from 300 to 86400`}},
		"no database":    {map[string]string{"todo:databaseInstances": "0"}, []string{`todo:databaseInstances is "0": must be from 1 to 16`}},
		"another login":  {map[string]string{"todo:databaseLogin": "IAM"}, []string{`todo:databaseLogin is "IAM": must be one of iam, password`}},
		"one zone":       {map[string]string{"todo:zones": "1"}, []string{`todo:zones is "1": must be from 2 to 3`}},
		"another egress": {map[string]string{"todo:egress": "NAT"}, []string{`todo:egress is "NAT": must be one of endpoints, nat`}},
		"another access": {map[string]string{"todo:access": "internal"}, []string{`todo:access is "internal": must be one of public, private`}},
		"another level":  {map[string]string{"todo:logLevel": "trace"}, []string{`todo:logLevel is "trace": must be one of debug, info, warn, error`}},
		"a month of 31 days": {
			map[string]string{"todo:logRetentionDays": "31"},
			[]string{`todo:logRetentionDays is "31": must be one of 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, ` +
				`1096, 1827, 2192, 2557, 2922, 3288, 3653`},
		},
		"two recipients": {
			map[string]string{"todo:alarmEmail": "a@example.com", "todo:alarmTopicArn": "arn:aws:sns:eu-west-1:123456789012:alarms"},
			[]string{`todo:alarmEmail is "a@example.com", todo:alarmTopicArn is "arn:aws:sns:eu-west-1:123456789012:alarms": give one of them`},
		},
		"a name for an address": {
			map[string]string{"todo:alarmEmail": "Ops <ops@example.com>"},
			[]string{`todo:alarmEmail is "Ops <ops@example.com>": must be an e-mail address`},
		},
		"a topic elsewhere": {
			map[string]string{"todo:alarmTopicArn": "arn:aws:sns:us-east-1:123456789012:alarms"},
			[]string{`todo:alarmTopicArn is "arn:aws:sns:us-east-1:123456789012:alarms": must be the ARN of an SNS topic in the stack's region`},
		},
		"a URL for a domain": {
			map[string]string{"todo:customDomain": "https://example.com"},
			[]string{`todo:customDomain is "https://example.com": must be a domain in lower case, such as api.example.com`},
		},
		"a domain in private": {
			map[string]string{"todo:customDomain": "api.example.com", "todo:access": "private"},
			[]string{`todo:customDomain is "api.example.com", todo:access is "private": a private service has no domain but its own`},
		},
		"a web ACL for CloudFront": {
			map[string]string{"todo:webAclArn": "arn:aws:wafv2:us-east-1:123456789012:global/webacl/todo/" + uuid},
			[]string{`todo:webAclArn is "arn:aws:wafv2:us-east-1:123456789012:global/webacl/todo/` + uuid + `": ` +
				`must be the ARN of a regional WAF web ACL in the stack's region`},
		},
		"a secret by its name": {
			map[string]string{"todo:apiKeysSecret": "todo/keys"},
			[]string{`todo:apiKeysSecret is "todo/keys": ` + wholeARN},
		},
		"a secret without its last characters": {
			map[string]string{"todo:apiKeysSecret": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:todo/keys"},
			[]string{`todo:apiKeysSecret is "arn:aws:secretsmanager:eu-west-1:123456789012:secret:todo/keys": ` + wholeARN},
		},
		"a secret elsewhere": {
			map[string]string{"todo:apiKeysSecret": "arn:aws:secretsmanager:us-east-1:123456789012:secret:todo/keys-AbCdEf"},
			[]string{`todo:apiKeysSecret is "arn:aws:secretsmanager:us-east-1:123456789012:secret:todo/keys-AbCdEf": ` + wholeARN},
		},
		"a page for an origin": {
			map[string]string{"todo:corsOrigins": "https://example.com/app"},
			[]string{`todo:corsOrigins is "https://example.com/app": ` + originsOnly},
		},
		"one origin too many": {
			map[string]string{"todo:corsOrigins": "https://example.com,"},
			[]string{`todo:corsOrigins is "https://example.com,": ` + originsOnly},
		},
		"an origin as no browser writes it": {
			map[string]string{"todo:corsOrigins": "https://Example.com"},
			[]string{`todo:corsOrigins is "https://Example.com": ` + originsOnly},
		},
		"a negative rate":     {map[string]string{"todo:rateLimit": "-1"}, []string{`todo:rateLimit is "-1": must be from 0 to 1000000`}},
		"a rate in words":     {map[string]string{"todo:rateLimit": "many"}, []string{`todo:rateLimit is "many": must be a whole number, or empty`}},
		"metrics by a format": {map[string]string{"todo:metrics": "emf"}, []string{`todo:metrics is "emf": must be true or false`}},
		"a region without app runner": {
			map[string]string{"aws:region": "eu-north-1"},
			[]string{`aws:region is "eu-north-1": must be one of ap-northeast-1, ap-south-1, ap-southeast-1, ap-southeast-2, ` +
				`eu-central-1, eu-west-1, eu-west-2, eu-west-3, us-east-1, us-east-2, us-west-2`},
		},
		"a misspelt key": {
			map[string]string{"todo:databaseMaxCapasity": "4"},
			[]string{`todo:databaseMaxCapasity is not a setting: did you mean todo:databaseMaxCapacity?`},
		},
		"a setting of the default provider": {
			map[string]string{"aws:profile": "work"},
			[]string{`aws:profile is not a setting: all but aws:region comes from the environment, such as AWS_PROFILE`},
		},
		"everything at once": {
			map[string]string{"todo:memory": "lots", "todo:zones": "9", "todo:CPU": "256"},
			[]string{
				`todo:memory is "lots": must be a whole number`,
				`todo:CPU is not a setting: did you mean todo:cpu?`,
				`todo:zones is "9": must be from 2 to 3`,
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := read(t, testStack, test.settings)
			if err == nil {
				t.Fatal("accepted")
			}
			if diff := cmp.Diff(strings.Split(err.Error(), "\n"), test.want); diff != "" {
				t.Errorf("problems (-got +want):\n%s", diff)
			}
		})
	}
}

func TestNames(t *testing.T) {
	tests := map[string]bool{
		"dev": true, "pr-17": true, "a": true, strings.Repeat("a", 27): true,
		strings.Repeat("a", 28): false, "Dev": false, "dev-": false, "a--b": false, "a.b": false, "a_b": false,
	}
	for name, want := range tests {
		_, err := read(t, name, nil)
		if got := err == nil; got != want {
			t.Errorf("stack %q: %v", name, err)
		}
	}
}

func TestNothingIsDeclaredWhenTheConfigurationIsWrong(t *testing.T) {
	r := &recorder{}
	_, err := r.run(t, map[string]string{"todo:zones": "1"})
	if err == nil {
		t.Fatal("accepted")
	}
	if len(r.resources)+len(r.invokes) != 0 {
		t.Errorf("%d resources and %d invokes, want none", len(r.resources), len(r.invokes))
	}
}

// project is what Pulumi.yaml says about the configuration.
type project struct {
	Name   string
	Main   string
	Config map[string]struct {
		Type        string
		Default     any
		Description string
	}
}

func TestProjectDeclaresEveryKey(t *testing.T) {
	var declared project
	load(t, "Pulumi.yaml", &declared)
	if declared.Name != testProject || declared.Main != "infra" {
		t.Errorf("project is %q in %q", declared.Name, declared.Main)
	}
	settings := map[string]string{}
	for key, declaration := range declared.Config {
		if strings.Contains(key, ":") {
			continue
		}
		if declaration.Type == "" || declaration.Description == "" || declaration.Default == nil {
			t.Errorf("%s needs type, default and description", key)
		}
		settings[testProject+":"+key] = scalar(t, declaration.Default)
	}
	got, err := read(t, testStack, settings)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got, defaults); diff != "" {
		t.Errorf("declared defaults (-got +want):\n%s", diff)
	}

	s := newSettings(testProject, func(string) (string, bool) { return "", false })
	_ = s.readAll()
	for key := range s.shown {
		if _, ok := declared.Config[key]; !ok {
			t.Errorf("%s is not declared", key)
		}
	}
}

func TestStackFiles(t *testing.T) {
	tests := map[string]func(t *testing.T, c Config){
		"dev": func(t *testing.T, c Config) {
			if c.Protect || c.DatabaseMinCapacity != 0 || c.Egress != egressEndpoints || c.DatabaseLogin != loginIAM {
				t.Errorf("dev is not the smallest bill: %+v", c)
			}
		},
		"prod": func(t *testing.T, c Config) {
			if !c.Protect || c.Zones != 3 || c.DatabaseInstances < 2 || c.MinInstances < 2 || c.DatabaseMinCapacity == 0 {
				t.Errorf("prod is not protected and highly available: %+v", c)
			}
		},
	}
	for name, check := range tests {
		t.Run(name, func(t *testing.T) {
			var file struct{ Config map[string]any }
			load(t, "Pulumi."+name+".yaml", &file)
			settings := map[string]string{}
			for key, value := range file.Config {
				settings[key] = scalar(t, value)
			}
			config, err := read(t, name, settings)
			if err != nil {
				t.Fatal(err)
			}
			check(t, config)
		})
	}
}

func TestNearestKey(t *testing.T) {
	s := newSettings(testProject, nil)
	for _, key := range []string{"cpu", "memory", "minInstances", "maxInstances"} {
		s.shown[key] = ""
	}
	for written, want := range map[string]string{
		"cpus": "cpu", "CPU": "cpu", "memroy": "memory", "minInstance": "minInstances", "maxinstances": "maxInstances",
	} {
		if got := s.nearest(written); got != want {
			t.Errorf("nearest to %s is %s, want %s", written, got, want)
		}
	}
}

// read reads settings as the program does.
func read(t *testing.T, stackName string, settings map[string]string) (Config, error) {
	t.Helper()
	configure(t, settings)
	var config Config
	var err error
	runErr := pulumi.RunErr(func(ctx *pulumi.Context) error {
		config, err = readConfig(ctx)
		return nil
	}, pulumi.WithMocks(testProject, stackName, &recorder{}))
	if runErr != nil {
		t.Fatal(runErr)
	}
	return config, err
}

// load reads a file of the repository's root.
func load(t *testing.T, name string, into any) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "..", name))
	if err != nil {
		t.Fatal(err)
	}
	err = yaml.Unmarshal(content, into)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// scalar is a value as Pulumi hands it to the program.
func scalar(t *testing.T, value any) string {
	t.Helper()
	text, err := yaml.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Trim(strings.TrimSpace(string(text)), `"'`)
}
