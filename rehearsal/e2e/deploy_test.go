package e2e

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"example.com/todo/infra/output"

	"example.com/todo/rehearsal/engine"
	"example.com/todo/rehearsal/stage"
)

// A deployer runs the command that deploys to AWS, with an environment in which AWS is the rehearsal's account. Docker is a
// word only, since the provider that builds images is the rehearsal's too.
type deployer struct {
	program, root string
	stage         *stage.Stage
	stack         *engine.Stack
	environment   []string
}

func newDeployer(t *testing.T, s *stage.Stage, root string, stack *engine.Stack) *deployer {
	t.Helper()
	bin := t.TempDir()
	d := &deployer{program: filepath.Join(bin, "deploy"), root: root, stage: s, stack: stack}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", d.program, "./deploy")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the command: %v\n%s", err, out)
	}
	docker := filepath.Join(bin, "docker")
	if err := os.WriteFile(docker, []byte("#!/bin/sh\necho 0.0.0 linux/amd64\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	d.environment = append(stack.Environment(), s.Host.DeployerEnvironment()...)
	for _, variable := range d.environment {
		if path, is := strings.CutPrefix(variable, "PATH="); is {
			d.environment = append(d.environment, "PATH="+bin+string(os.PathListSeparator)+path)
			break
		}
	}
	d.environment = append(d.environment, "SSL_CERT_FILE="+s.Host.RootCertificates())
	return d
}

func (d *deployer) run(t *testing.T, args ...string) (printed string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	command := exec.CommandContext(ctx, d.program, args...)
	command.Dir, command.Env = d.root, d.environment
	var out bytes.Buffer
	command.Stdout, command.Stderr = &out, &out
	err = command.Run()
	return out.String(), err
}

// A deployment that App Runner takes is verified, and one that it silently takes back is found out and explained.
func TestVerifiedDeploy(t *testing.T) {
	t.Parallel()
	root := repository(t)
	s := open(t, root)
	dev := stackOf(t, s, "dev")
	d := newDeployer(t, s, root, dev)
	says := func(t *testing.T, printed string, texts ...string) {
		t.Helper()
		for _, text := range texts {
			if !strings.Contains(printed, text) {
				t.Errorf("it does not say %q:\n%s", text, printed)
			}
		}
	}

	t.Run("preflight of a first deployment", func(t *testing.T) {
		printed, err := d.run(t, "preflight", "--stack", "dev")
		if err != nil {
			t.Fatalf("%v\n%s", err, printed)
		}
		says(t, printed, "not deployed yet", "note     app runner", "room for 30 services, 10 connectors, 5 VPCs, 5 addresses", "to create")
		if n := s.Host.Account.Count(); n != 0 {
			t.Errorf("%d resources were made", n)
		}
	})
	t.Run("preflight of what cannot be", func(t *testing.T) {
		if err := os.WriteFile(filepath.Join(root, "Pulumi.bad.yaml"), []byte("config:\n  aws:region: eu-west-1\n  todo:cpu: 300\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		bad := newDeployer(t, s, root, stackOf(t, s, "bad"))
		printed, err := bad.run(t, "preflight", "--stack", "bad")
		if err == nil {
			t.Error("it is taken for ready")
		}
		says(t, printed, "FAILED   plan", `todo:cpu is "300": must be one of 256, 512, 1024, 2048, 4096`, "mend the configuration (Pulumi.bad.yaml")
		bad.environment = append(bad.environment, "AWS_SECRET_ACCESS_KEY=wrong")
		if printed, err = bad.run(t, "preflight", "--stack", "unheard-of"); err == nil {
			t.Error("a stack that does not exist is taken for ready")
		}
		says(t, printed, "FAILED   stack", "no stack named 'unheard-of' found", "pulumi stack init unheard-of", "ok       docker", "skipped  plan")
		if printed, err = bad.run(t, "preflight", "--stack", "bad"); err == nil {
			t.Error("wrong keys are taken for right")
		}
		says(t, printed, "FAILED   credentials", "InvalidSignatureException", "AWS_PROFILE", "skipped  app runner", "skipped  plan")
	})
	if !t.Run("a first deployment", func(t *testing.T) {
		printed, err := d.run(t, "up", "--stack", "dev")
		if err != nil {
			t.Fatalf("%v\n%s", err, printed)
		}
		got := outputs(t, dev)
		says(t, printed, "App Runner's last operation: CREATE_SERVICE SUCCEEDED", "every rule of the API's contract holds",
			"stack dev is deployed: version "+got[output.Version]+" at "+got[output.URL])
	}) {
		return
	}
	t.Run("an API with keys", func(t *testing.T) {
		keepKeys(t, s)
		edit(t, root, "Pulumi.dev.yaml", "config:\n", "config:\n  todo:apiKeysSecret: "+keysSecret+"\n")
		printed, err := d.run(t, "up", "--stack", "dev")
		if err == nil {
			t.Error("it is deployed, and cannot be verified")
		}
		says(t, printed, "FAILED   api key", "set API_KEY to one of the keys in "+keysSecret)
		withKey := *d
		withKey.environment = append(slices.Clone(d.environment), "API_KEY="+apiKey)
		if printed, err = withKey.run(t, "up", "--stack", "dev"); err != nil {
			t.Fatalf("%v\n%s", err, printed)
		}
		says(t, printed, "ok       api key", "every rule of the API's contract holds", "stack dev is deployed")
		if strings.Contains(printed, apiKey) {
			t.Error("it shows the key")
		}
		c := clientOf(t, s, outputs(t, dev)[output.URL])
		for key, want := range map[string]int{"": http.StatusUnauthorized, "opens-something-else": http.StatusUnauthorized, apiKey: http.StatusOK} {
			c.key = key
			if a := c.do(t, http.MethodGet, "/api/v1/tasks", ""); a.status != want {
				t.Errorf("with the key %q the API answers %d %v, want %d", key, a.status, a.body, want)
			}
		}
		edit(t, root, "Pulumi.dev.yaml", "  todo:apiKeysSecret: "+keysSecret+"\n", "")
	})
	t.Run("a version that does not start", func(t *testing.T) {
		const right = "cfg, err := readConfig(getenv)\n"
		const wrong = right + "\tif err == nil {\n\t\treturn errors.New(\"took the wrong turn\")\n\t}\n"
		edit(t, root, "service/main.go", right, wrong)
		defer edit(t, root, "service/main.go", wrong, right)
		before := outputs(t, dev)
		printed, err := d.run(t, "up", "--stack", "dev")
		if err == nil {
			t.Errorf("it is taken for deployed:\n%s", printed)
		}
		says(t, printed, "deployed with version "+before[output.Version], "2 to update", "UPDATE_SERVICE ended as ROLLBACK_SUCCEEDED",
			"likely cause: the service ended before it was healthy", "took the wrong turn")
		if after := outputs(t, dev); after[output.Version] == before[output.Version] {
			t.Error("Pulumi noticed: then there is nothing for the command to find out")
		}
		if v := clientOf(t, s, before[output.URL]).do(t, http.MethodGet, "/version", ""); v.body["version"] != before[output.Version] {
			t.Errorf("version %v answers, want the old one", v.body["version"])
		}
	})
	t.Run("why a deployment failed", d.explains)
}
