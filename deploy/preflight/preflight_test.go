package preflight

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/todo/deploy/cloud/cloudtest"
	"example.com/todo/deploy/pulumi"
)

// A world is everything that the checks look at. It begins as one in which nothing stops a first deployment.
type world struct {
	// commands are what the CLIs answer, by their arguments: what they print, or "!" and what they complain of, or "?" and
	// what they print before they fail.
	commands map[string]string
	aws      cloudtest.AWS
	env      map[string]string
	files    map[string]string
	project  string
}

func right() *world {
	return &world{
		commands: map[string]string{
			"pulumi version":             "v3.256.0",
			"pulumi whoami --json":       `{"user":"ada","url":"s3://state"}`,
			"pulumi stack output --json": `{}`,
			"pulumi config --json":       `{"aws:region":{"value":"eu-west-1"},"todo:egress":{"value":"endpoints"}}`,
			"pulumi preview --json":      `{"changeSummary":{"create":44}}`,
			"docker version":             "28.0.1 linux/amd64",
		},
		aws: cloudtest.AWS{
			"GetCallerIdentity": cloudtest.Always(`<r><GetCallerIdentityResult><Arn>arn:aws:iam::1:user/ada</Arn></GetCallerIdentityResult></r>`),
			"ListServices":      cloudtest.Always(`{"ServiceSummaryList":[{"ServiceName":"other"}]}`),
			"ListVpcConnectors": cloudtest.Always(`{"VpcConnectors":[]}`),
			"DescribeVpcs":      cloudtest.Always(`<r><vpcSet><item/></vpcSet></r>`),
			"DescribeAddresses": cloudtest.Always(`<r><addressesSet/></r>`),
			"GetServiceQuota":   cloudtest.Always(`{"Quota":{"Value":5}}`),
		},
		env:     map[string]string{"PULUMI_CONFIG_PASSPHRASE": ""},
		files:   map[string]string{},
		project: "todo",
	}
}

// run makes the checks in this world.
func (w *world) run(t *testing.T, stack string) (results []Result, err error) {
	t.Helper()
	dir := t.TempDir()
	for name, content := range w.files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	bin := t.TempDir()
	scripts := map[string]*strings.Builder{}
	for command, answer := range w.commands {
		program, args, _ := strings.Cut(command, " ")
		if scripts[program] == nil {
			scripts[program] = &strings.Builder{}
			scripts[program].WriteString("#!/bin/sh\ncase \"$*\" in\n")
		}
		end := "; exit 0"
		if complaint, fails := strings.CutPrefix(answer, "!"); fails {
			answer, end = complaint, ">&2; exit 1"
		} else if printed, fails := strings.CutPrefix(answer, "?"); fails {
			answer, end = printed, "; exit 1"
		}
		fmt.Fprintf(scripts[program], "'%s'*) echo '%s' %s ;;\n", args, answer, end)
	}
	for program, script := range scripts {
		script.WriteString("*) echo \"error: what is $*?\" >&2; exit 2 ;;\nesac\n")
		if err := os.WriteFile(filepath.Join(bin, program), []byte(script.String()), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", bin+":/usr/bin:/bin")
	w.aws.Serve(t)
	for _, variable := range []string{"PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE", "API_KEY"} {
		t.Setenv(variable, "")
		if err := os.Unsetenv(variable); err != nil {
			t.Fatal(err)
		}
	}
	for name, value := range w.env {
		t.Setenv(name, value)
	}
	err = Run(t.Context(), pulumi.Stack{Dir: dir, Name: stack}, w.project, func(r Result) { results = append(results, r) })
	return results, err
}

func TestNothingStopsADeployment(t *testing.T) {
	results, err := right().run(t, "dev")
	if err != nil {
		t.Error(err)
	}
	want := []Result{
		{"pulumi", Passed, "v3.256.0", ""},
		{"login", Passed, "ada at s3://state", ""},
		{"passphrase", Passed, "PULUMI_CONFIG_PASSPHRASE is set", ""},
		{"stack", Passed, "dev, not deployed yet", ""},
		{"name", Passed, "todo-dev", ""},
		{"api key", Passed, "not needed: the API is open", ""},
		{"region", Passed, "eu-west-1", ""},
		{"credentials", Passed, "arn:aws:iam::1:user/ada", ""},
		{"app runner", Passed, "answers, with 1 services", ""},
		{"quotas", Passed, "room for 29 services, 10 connectors, 4 VPCs, 5 addresses", ""},
		{"docker", Passed, "28.0.1 linux/amd64", ""},
		{"plan", Passed, "44 to create", ""},
	}
	if diff := cmp.Diff(results, want); diff != "" {
		t.Errorf("results (-got +want):\n%s", diff)
	}
}

// guarded has the stack ask for API keys.
func guarded(w *world) {
	w.commands["pulumi config --json"] = `{"aws:region":{"value":"eu-west-1"},"todo:apiKeysSecret":{"value":"arn:x"}}`
}

// Each row breaks one thing; it is found, and what to do about it is said.
func TestWhatStopsADeployment(t *testing.T) {
	const deployed = `{"version":"0123456789ab","serviceArn":"arn:x"}`
	tests := map[string]struct {
		change         func(w *world)
		check          string
		outcome        Outcome
		detail, remedy string
	}{
		"no CLI":             {func(w *world) { w.commands["pulumi version"] = "!not here" }, "pulumi", Failed, "not here", "install the Pulumi CLI"},
		"not logged in":      {func(w *world) { w.commands["pulumi whoami --json"] = "!error: PULUMI_ACCESS_TOKEN must be set" }, "login", Failed, "PULUMI_ACCESS_TOKEN must be set", "pulumi login"},
		"no passphrase":      {func(w *world) { w.env = nil }, "passphrase", Failed, "there is none", "set PULUMI_CONFIG_PASSPHRASE"},
		"a passphrase file":  {func(w *world) { w.env = map[string]string{"PULUMI_CONFIG_PASSPHRASE_FILE": "/p"} }, "passphrase", Passed, "PULUMI_CONFIG_PASSPHRASE_FILE is set", ""},
		"a key in the cloud": {func(w *world) { w.env, w.files["Pulumi.dev.yaml"] = nil, "secretsprovider: awskms://alias/x\n" }, "passphrase", Passed, "a secrets provider of its own", ""},
		"pulumi cloud": {func(w *world) {
			w.env, w.commands["pulumi whoami --json"] = nil, `{"user":"ada","url":"https://app.pulumi.com/ada"}`
		}, "passphrase", Passed, "Pulumi Cloud keeps the secrets", ""},
		"no stack":           {func(w *world) { w.commands["pulumi stack output --json"] = "!error: no stack named dev found" }, "stack", Failed, "no stack named dev found", "pulumi stack init dev"},
		"a deployed stack":   {func(w *world) { w.commands["pulumi stack output --json"] = deployed }, "stack", Passed, "dev, deployed with version 0123456789ab", ""},
		"too long a name":    {func(w *world) { w.project = strings.Repeat("a", 30) }, "name", Failed, "must have 4 to 32 characters together", "choose another stack"},
		"no key for the API": {guarded, "api key", Failed, "there is none to verify the deployment with", "set API_KEY to one of the keys in arn:x"},
		"a key for the API": {func(w *world) {
			guarded(w)
			w.env["API_KEY"] = "one of the keys"
		}, "api key", Passed, "API_KEY is set", ""},
		"a region without": {func(w *world) { w.commands["pulumi config --json"] = `{"aws:region":{"value":"eu-north-1"}}` }, "region", Failed, `there is no App Runner in "eu-north-1"`, "eu-west-1"},
		"no credentials":   {func(w *world) { delete(w.aws, "GetCallerIdentity") }, "credentials", Failed, "AccessDenied", "AWS_PROFILE"},
		"no app runner":    {func(w *world) { delete(w.aws, "ListServices") }, "app runner", Failed, "AccessDeniedException", "30 April 2026"},
		"a new customer":   {func(w *world) { w.aws["ListServices"] = cloudtest.Always(`{}`) }, "app runner", Noted, "no service of this account", "shows when it tries"},
		"no room for a VPC": {func(w *world) {
			w.aws["DescribeVpcs"] = cloudtest.Always(`<r><vpcSet><item/><item/><item/><item/><item/></vpcSet></r>`)
		}, "quotas", Failed, "5 of 5 VPCs are used", "servicequotas"},
		"a VPC of its own already": {func(w *world) {
			w.commands["pulumi stack output --json"] = deployed
			w.aws["DescribeVpcs"] = cloudtest.Always(`<r><vpcSet><item/><item/><item/><item/><item/></vpcSet></r>`)
		}, "quotas", Passed, "0 VPCs", ""},
		"no room by default": {func(w *world) {
			w.aws["ListVpcConnectors"] = cloudtest.Always(`{"VpcConnectors":[{},{},{},{},{},{},{},{},{},{}]}`)
		}, "quotas", Noted, "10 of 10 App Runner VPC connectors are used, by AWS's default", "unless more was granted"},
		"no address": {func(w *world) {
			w.commands["pulumi config --json"] = `{"aws:region":{"value":"eu-west-1"},"todo:egress":{"value":"nat"}}`
			w.aws["DescribeAddresses"] = cloudtest.Always(`<r><addressesSet><item/><item/><item/><item/><item/></addressesSet></r>`)
		}, "quotas", Failed, "5 of 5 elastic IP addresses are used", "servicequotas"},
		"quotas that nobody may read": {func(w *world) { delete(w.aws, "DescribeVpcs") }, "quotas", Noted, "AccessDenied", "count by hand"},
		"no docker":                   {func(w *world) { w.commands["docker version"] = "!Cannot connect to the Docker daemon" }, "docker", Failed, "Cannot connect", "install and start Docker"},
		"another platform": {func(w *world) {
			w.commands["docker version"], w.commands["docker buildx inspect"] = "28.0.1 linux/arm64", "Platforms: linux/arm64"
		}, "docker", Failed, "does not build for linux/amd64", "binfmt"},
		"emulation": {func(w *world) {
			w.commands["docker version"], w.commands["docker buildx inspect"] = "28.0.1 linux/arm64", "Platforms: linux/arm64, linux/amd64"
		}, "docker", Passed, "builds for linux/amd64", ""},
		"a bad configuration": {func(w *world) {
			w.commands["pulumi preview --json"] = `?{"diagnostics":[{"severity":"error","message":"todo:cpu is \"300\""},{"severity":"info","message":"hello"}]}`
		}, "plan", Failed, `todo:cpu is "300"`, "mend the configuration"},
		"a lost database": {func(w *world) {
			w.commands["pulumi preview --json"] = `{"changeSummary":{"replace":1,"same":43},"steps":[{"op":"replace","urn":"urn:pulumi:dev::todo::todo:aws:Database$aws:rds/cluster:Cluster::database-cluster"}]}`
		}, "plan", Failed, "1 to replace, 43 to same: the plan is to replace the database database-cluster, with its data", "pulumi up --stack dev"},
		"an update": {func(w *world) {
			w.commands["pulumi preview --json"] = `{"changeSummary":{"update":1,"same":43},"steps":[{"op":"update","urn":"urn:pulumi:dev::todo::todo:aws:Database$aws:rds/cluster:Cluster::database-cluster"}]}`
		}, "plan", Passed, "1 to update, 43 unchanged", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := right()
			test.change(w)
			results, err := w.run(t, "dev")
			if failed := test.outcome == Failed; failed != (err != nil) || failed && !strings.Contains(err.Error(), test.check) {
				t.Errorf("ended with %v", err)
			}
			found := map[string]Result{}
			for _, r := range results {
				found[r.Check] = r
			}
			got := found[test.check]
			if got.Outcome != test.outcome || !strings.Contains(got.Detail, test.detail) || !strings.Contains(got.Remedy, test.remedy) || (test.remedy == "") != (got.Remedy == "") {
				t.Errorf("%q, want %s with %q and the remedy %q", got, test.outcome, test.detail, test.remedy)
			}
		})
	}
}

// A preview that fails says why in what it prints.
func TestTheProgramsComplaintsAreShown(t *testing.T) {
	w := right()
	w.commands["pulumi preview --json"] = `!error: preview failed`
	results, err := w.run(t, "dev")
	if last := results[len(results)-1]; err == nil || last.Outcome != Failed || !strings.Contains(last.Detail, "preview failed") {
		t.Errorf("%v, %v", results[len(results)-1], err)
	}
}

// Whatever is broken, the checks that do not depend on it are made, and the others are said to be skipped.
func TestEveryCheckIsReported(t *testing.T) {
	w := right()
	w.commands["pulumi whoami --json"], w.commands["docker version"] = "!error: no", "!no"
	results, err := w.run(t, "dev")
	got := map[Outcome][]string{}
	for _, r := range results {
		got[r.Outcome] = append(got[r.Outcome], r.Check)
	}
	want := map[Outcome][]string{
		Passed: {"pulumi", "name"}, Failed: {"login", "docker"},
		Skipped: {"passphrase", "stack", "api key", "region", "credentials", "app runner", "quotas", "plan"},
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("outcomes (-got +want):\n%s", diff)
	}
	if err == nil || err.Error() != "not ready to deploy dev: login, docker" {
		t.Errorf("ended with %v", err)
	}
}

func TestResultsAreReadable(t *testing.T) {
	got := fmt.Sprint(Result{"docker", Failed, "no answer\nat all", "start Docker"})
	want := "FAILED   docker       no answer\n                      at all\n                      -> start Docker"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// The needs name checks that come before.
func TestNeeds(t *testing.T) {
	before := map[string]bool{}
	for _, c := range checks {
		for _, name := range c.needs {
			if !before[name] {
				t.Errorf("%s needs %s, which is not among %v", c.name, name, maps.Keys(before))
			}
		}
		before[c.name] = true
	}
}
