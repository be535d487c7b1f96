package e2e

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/todo/infra/output"
)

// A mistake is one in the program or the service, by which a deployment of a service that runs fails.
type mistake struct {
	file, right, wrong string
	// seen is what an instance has logged by the time at which App Runner may give up; empty for nothing.
	seen string
	// cause is what the command says first.
	cause string
}

// What makes a deployment fail is told first, as App Runner and the service have told of it. Each mistake is mended afterwards.
func (d *deployer) explains(t *testing.T) {
	port := freePort(t)
	for name, m := range map[string]mistake{
		"a wrong path": {"infra/apprunner/apprunner.go", `healthPath = "/"`, `healthPath = "/healthz"`, `"status":404`,
			"the service answers GET /healthz, the health check, with 404 instead of 200"},
		"a wrong port": {"service/config.go", "port:       r.port(envPort, defaultPort),", "port:       " + port + ",", ":" + port + `"`,
			"the service listens on port " + port + ", and App Runner asks port 8080"},
		"a slow start": {"service/main.go", "listener, err := net.Listen(", "if <-ctx.Done(); ctx.Err() != nil {\n\t\treturn nil\n\t}\n\tlistener, err := net.Listen(", "",
			"the service did not listen within five minutes"},
		"another platform": {"infra/image/image.go", `platform = "linux/amd64"`, `platform = "linux/arm64"`, "",
			"the image is for another platform than linux/amd64"},
		"a role for somebody else": {"infra/apprunner/roles.go", `imagePuller     = "build.apprunner.amazonaws.com"`,
			`imagePuller     = "lambda.amazonaws.com"`, "", "App Runner may not assume the access role arn:aws:iam::"},
	} {
		t.Run(name, func(t *testing.T) {
			edit(t, d.root, m.file, m.right, m.wrong)
			defer edit(t, d.root, m.file, m.wrong, m.right)
			// Another version, so that there is something to deploy whatever the mistake is about.
			edit(t, d.root, "service/main.go", "// Command service", "// (after "+name+")\n// Command service")
			printed, err := d.runImpatiently(t, m.seen, "up", "--stack", d.stack.Name)
			if err == nil {
				t.Fatalf("it is taken for deployed:\n%s", printed)
			}
			_, causes, _ := strings.Cut(printed, "likely cause: ")
			if !strings.HasPrefix(causes, m.cause) {
				t.Errorf("it does not say first %q:\n%s", m.cause, printed)
			}
		})
	}
}

// runImpatiently runs the command and, as soon as an instance that it has started has logged a text, lets the time pass that
// App Runner gives an instance.
func (d *deployer) runImpatiently(t *testing.T, seen string, args ...string) (printed string, err error) {
	t.Helper()
	arn := outputs(t, d.stack)[output.ServiceARN]
	before := len(d.stage.Host.Account.Operations(arn))
	logged := len(d.logs(t))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		printed, err = d.run(t, args...)
	}()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ended:
			return printed, err
		case <-ticker.C:
		}
		// The newest of them; those of before go on.
		if logs := d.logs(t); len(logs) > logged && len(d.stage.Host.Account.Operations(arn)) > before {
			text, unread := os.ReadFile(logs[len(logs)-1])
			if unread != nil {
				t.Error(unread)
			}
			if strings.Contains(string(text), seen) {
				d.stage.Host.Account.Clock.Skip(5 * time.Minute)
				<-ended
				return printed, err
			}
		}
	}
}

// logs are the files of all instances that were ever started, the newest last.
func (d *deployer) logs(t *testing.T) []string {
	t.Helper()
	folder, err := d.stage.Host.Folder("logs")
	if err != nil {
		t.Fatal(err)
	}
	var logs []string
	for n := 1; ; n++ {
		log := filepath.Join(folder, fmt.Sprintf("todo-%s-%d.log", d.stack.Name, n))
		if _, err := os.Stat(log); err != nil {
			return logs
		}
		logs = append(logs, log)
	}
}

// freePort is one at which nobody listens.
func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
