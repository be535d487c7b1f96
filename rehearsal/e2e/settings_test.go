package e2e

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"example.com/todo/infra/output"

	"example.com/todo/rehearsal/engine"
)

// settings are a stack's configuration.
type settings map[string]any

// with is a copy with other values.
func (s settings) with(changes ...settings) settings {
	changed := maps.Clone(s)
	for _, c := range changes {
		maps.Copy(changed, c)
	}
	return changed
}

// write makes them those of a stack.
func (s settings) write(t *testing.T, root, stack string) {
	t.Helper()
	text, err := yaml.Marshal(map[string]any{"config": map[string]any(s)})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "Pulumi."+stack+".yaml"), text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// keepers are what holds data, or what those that do live in. Only another region is another one of them.
var keepers = []string{
	"aws:ec2/vpc:Vpc network-vpc", "aws:ec2/subnet:Subnet network-private-1", "aws:ec2/subnet:Subnet network-private-2",
	"aws:ecr/repository:Repository image-repository", "aws:rds/cluster:Cluster database-cluster",
	"aws:rds/clusterInstance:ClusterInstance database-1", "aws:rds/subnetGroup:SubnetGroup database-subnets",
	"aws:apprunner/service:Service service-apprunner", // and with it the URL
}

// lost are the keepers that a plan would replace or delete.
func lost(p engine.Plan) []string {
	var all []string
	for _, change := range p.Changes() {
		operation, resource, _ := strings.Cut(change, " ")
		if slices.Contains(keepers, resource) && operation != "create" && operation != "update" {
			all = append(all, change)
		}
	}
	return all
}

// Each setting is changed alone, then all at once, then back; the data and the URL are the same throughout.
func TestSettingsKeepTheData(t *testing.T) {
	t.Parallel()
	const webACL = "arn:aws:wafv2:eu-west-1:123456789012:regional/webacl/todo/01234567-89ab-cdef-0123-456789abcdef"
	base := settings{"aws:region": "eu-west-1", "todo:maxInstances": 1}
	changes := map[string]settings{
		"cpu":                 {"todo:cpu": 1024, "todo:memory": 2048},
		"memory":              {"todo:memory": 1024},
		"minInstances":        {"todo:minInstances": 2, "todo:maxInstances": 2},
		"maxInstances":        {"todo:maxInstances": 3},
		"concurrency":         {"todo:concurrency": 10},
		"databaseMinCapacity": {"todo:databaseMinCapacity": "0.5"},
		"databaseMaxCapacity": {"todo:databaseMaxCapacity": "4"},
		"databaseSleepAfter":  {"todo:databaseSleepAfter": 600},
		"databaseInstances":   {"todo:databaseInstances": 2},
		"databaseLogin":       {"todo:databaseLogin": "password"},
		"zones":               {"todo:zones": 3},
		"egress":              {"todo:egress": "nat"},
		"access":              {"todo:access": "private"},
		"protect":             {"todo:protect": true},
		"finalSnapshot":       {"todo:finalSnapshot": false},
		"logRetentionDays":    {"todo:logRetentionDays": 30},
		"alarmEmail":          {"todo:alarmEmail": "ops@example.com"},
		"alarmTopicArn":       {"todo:alarmTopicArn": "arn:aws:sns:eu-west-1:123456789012:alarms"},
		"xray":                {"todo:xray": true},
		"customDomain":        {"todo:customDomain": "api.example.com"},
		"webAclArn":           {"todo:webAclArn": webACL},
		"logLevel":            {"todo:logLevel": "debug"},
		"apiKeysSecret":       {"todo:apiKeysSecret": keysSecret},
		"corsOrigins":         {"todo:corsOrigins": "https://example.com"},
		"rateLimit":           {"todo:rateLimit": 1000},
		"metrics":             {"todo:metrics": true},
	}
	root := repository(t)
	for _, key := range keys(t, root) {
		if changes[key] == nil {
			t.Errorf("no change of the setting %q is tried", key)
		}
	}
	// Two of them exclude two others.
	together := base
	for _, key := range slices.Sorted(maps.Keys(changes)) {
		if key != "customDomain" && key != "alarmTopicArn" && key != "memory" && key != "maxInstances" {
			together = together.with(changes[key])
		}
	}

	s := open(t, root)
	keepKeys(t, s)
	base.write(t, root, "dev")
	dev := stackOf(t, s, "dev")
	must(t, dev.Up)
	before := outputs(t, dev)
	c := clientOf(t, s, before[output.URL])
	made := c.do(t, http.MethodPost, "/api/v1/tasks", `{"title":"outlives every setting"}`)
	if made.status != http.StatusCreated {
		t.Fatalf("POST answers %d %v", made.status, made.body)
	}
	kept := func(t *testing.T) {
		t.Helper()
		c := clientOf(t, s, outputs(t, dev)[output.URL])
		c.key = apiKey
		if a := c.do(t, http.MethodGet, "/api/v1/tasks/"+fmt.Sprint(made.body["id"]), ""); a.status != http.StatusOK {
			t.Errorf("the task made before answers %d %v", a.status, a.body)
		}
		if changes := plan(t, dev).Changes(); len(changes) > 0 {
			t.Errorf("a second preview plans %v", changes)
		}
	}

	for _, key := range slices.Sorted(maps.Keys(changes)) {
		t.Run(key, func(t *testing.T) {
			base.with(changes[key]).write(t, root, "dev")
			p := plan(t, dev)
			if len(p.Changes()) == 0 {
				t.Error("nothing changes")
			}
			if lost := lost(p); len(lost) > 0 {
				t.Errorf("the plan is to %v", lost)
			}
		})
	}
	t.Run("all together", func(t *testing.T) {
		together.write(t, root, "dev")
		must(t, dev.Up)
		kept(t)
		if url := outputs(t, dev)[output.URL]; url == before[output.URL] {
			t.Errorf("the private service is still at %s", url)
		}
		if a := c.do(t, http.MethodGet, "/", ""); a.status != http.StatusNotFound {
			t.Errorf("the private service answers %d from outside", a.status)
		}
	})
	t.Run("another region is refused to a protected stack", func(t *testing.T) {
		together.with(settings{"aws:region": "us-east-1", "todo:webAclArn": "", "todo:apiKeysSecret": ""}).write(t, root, "dev")
		if _, err := dev.Plan(t.Context()); err == nil || !strings.Contains(err.Error(), "protect") {
			t.Errorf("got %v, want a refusal that names the protection", err)
		}
	})
	t.Run("and back", func(t *testing.T) {
		base.write(t, root, "dev")
		must(t, dev.Up)
		kept(t)
		if url := outputs(t, dev)[output.URL]; url != before[output.URL] {
			t.Errorf("the URL changed from %s to %s", before[output.URL], url)
		}
		must(t, dev.Destroy)
		if n := s.Host.Account.Count(); n != 0 {
			t.Errorf("%d resources are left in the account", n)
		}
	})
}

// keys are the settings that the project declares.
func keys(t *testing.T, root string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "Pulumi.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var project struct {
		Config map[string]any
	}
	if err := yaml.Unmarshal(text, &project); err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(slices.Sorted(maps.Keys(project.Config)), func(key string) bool { return strings.Contains(key, ":") })
}
