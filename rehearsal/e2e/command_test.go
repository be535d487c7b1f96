package e2e

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// What a newcomer does: `make up`, the printed curl line, a change and Enter, Ctrl-C; with an AWS that fails once, and a secret
// with API keys, which the change makes use of.
func TestUpAsANewcomer(t *testing.T) {
	root := repository(t)
	up := start(t, root, "up", "--stack", "dev", "--fault", "ec2:CreateVpc=UnauthorizedOperation", "--secret", keysSecret+`=["`+apiKey+`"]`)
	up.await(t, "AWS was told to fail. Enter tries again.")
	up.enter(t)
	up.await(t, "-H 'Content-Type")
	curl := regexp.MustCompile(`curl --cacert (\S+) (https://localhost:\d+)/api/v1/tasks -H`).FindStringSubmatch(up.text())
	if curl == nil {
		t.Fatalf("no curl line in\n%s", up.text())
	}
	certificates, url := curl[1], curl[2]
	c := trusting(t, certificates, url)
	made := c.do(t, http.MethodPost, "/api/v1/tasks", `{"title":"buy milk"}`)
	if made.status != http.StatusCreated {
		t.Fatalf("POST answers %d %v", made.status, made.body)
	}
	before := c.do(t, http.MethodGet, "/version", "").body["version"]

	edit(t, root, "service/main.go", `log.Info("listening"`, `log.Info("listening now"`)
	edit(t, root, "Pulumi.dev.yaml", "config:\n", "config:\n  todo:apiKeysSecret: "+keysSecret+"\n")
	up.reset()
	up.enter(t)
	up.await(t, "Try it:")
	if a := c.do(t, http.MethodGet, made.header.Get("Location"), ""); a.status != http.StatusUnauthorized {
		t.Errorf("without a key the task made before answers %d", a.status)
	}
	c.key = apiKey
	if after := c.do(t, http.MethodGet, "/version", "").body["version"]; after == before {
		t.Errorf("after Enter the service still says version %v", after)
	}
	if kept := c.do(t, http.MethodGet, made.header.Get("Location"), ""); kept.status != http.StatusOK {
		t.Errorf("the task made before answers %d", kept.status)
	}

	for _, typed := range []struct{ command, answer string }{
		{"help", "rotates the database's password"},
		{"rotate", "rotate: done"},
		{"failover", "has no reader to fail over to"},
		{"restart", "restart: done"},
		{"nonsense", "lets the database fall asleep"},
		{"fault nonsense", `"nonsense" is no fault`},
		{"fault apprunner:UpdateService=throttle*2", "apprunner:UpdateService will go wrong 2 times"},
	} {
		up.reset()
		up.typeIn(t, typed.command)
		up.await(t, typed.answer)
	}
	await(t, "the service works with the new password", func() bool {
		a, err := c.try(t.Context(), http.MethodGet, made.header.Get("Location"), "")
		return err == nil && a.status == http.StatusOK
	})

	edit(t, root, "service/main.go", `log.Info("listening now"`, `log.Info(`)
	up.reset()
	up.enter(t)
	up.await(t, "What ran before still runs.")
	if health := c.do(t, http.MethodGet, "/", ""); health.status != http.StatusOK {
		t.Errorf("after a mistake GET / answers %d", health.status)
	}

	if err := up.command.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := up.wait(t); err != nil {
		t.Errorf("after Ctrl-C: %v\n%s", err, up.text())
	}
	if _, err := os.Stat(certificates); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the rehearsal's folder is left: %v", err)
	}
	if _, err := c.try(t.Context(), http.MethodGet, "/", ""); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("the service still answers after Ctrl-C: %v", err)
	}
}

func TestPreviewMakesNothing(t *testing.T) {
	preview := start(t, repository(t), "preview", "--stack", "prod")
	if err := preview.wait(t); err != nil {
		t.Fatalf("%v\n%s", err, preview.text())
	}
	for _, want := range []string{"aws:rds/cluster:Cluster", "aws:apprunner/service:Service", "to create"} {
		if !strings.Contains(preview.text(), want) {
			t.Errorf("the preview does not say %q:\n%s", want, preview.text())
		}
	}
}

func TestWrongUseSaysWhatIsRight(t *testing.T) {
	for _, args := range [][]string{{}, {"down"}, {"up", "now"}} {
		command := start(t, repository(t), args...)
		if err := command.wait(t); err == nil {
			t.Errorf("%q is accepted", args)
		}
		if !strings.Contains(command.text(), "go run ./rehearsal up") {
			t.Errorf("%q is answered without the usage:\n%s", args, command.text())
		}
	}
}

func TestASecretIsGivenByItsARN(t *testing.T) {
	for secret, want := range map[string]string{"todo/keys": "must be ARN=TEXT", `todo/keys=["x"]`: "is not the whole ARN of a secret"} {
		command := start(t, repository(t), "up", "--once", "--secret", secret)
		if err := command.wait(t); err == nil || !strings.Contains(command.text(), want) {
			t.Errorf("%q ended with %v, want %q in\n%s", secret, err, want, command.text())
		}
	}
}

// A process is the command, running, with what it has printed so far.
type process struct {
	command *exec.Cmd
	input   io.WriteCloser
	ended   chan error

	mu     sync.Mutex
	output bytes.Buffer
	more   chan struct{} // has room for one note that there is more output
}

// program is the command itself, built once for all tests; TestMain removes it.
var program = sync.OnceValues(func() (string, error) {
	var err error
	if programFolder, err = os.MkdirTemp("", "todo-e2e-"); err != nil {
		return "", err
	}
	path := filepath.Join(programFolder, "rehearsal")
	if out, err := exec.Command("go", "build", "-o", path, "..").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the command: %w\n%s", err, out)
	}
	return path, nil
})

var programFolder string

func TestMain(m *testing.M) {
	code := m.Run()
	if err := os.RemoveAll(programFolder); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func start(t *testing.T, root string, args ...string) *process {
	t.Helper()
	program, err := program()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{command: exec.Command(program, args...), ended: make(chan error, 1), more: make(chan struct{}, 1)}
	p.command.Dir = root
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p.command.Stdout, p.command.Stderr = write, write
	if p.input, err = p.command.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	_ = write.Close() // the command has its own
	go func() {
		for lines := bufio.NewScanner(read); lines.Scan(); {
			p.mu.Lock()
			p.output.WriteString(lines.Text() + "\n")
			p.mu.Unlock()
			select {
			case p.more <- struct{}{}:
			default:
			}
		}
		p.ended <- p.command.Wait()
	}()
	t.Cleanup(func() {
		_ = p.command.Process.Kill() // fails when it has ended, as it should have
		_ = read.Close()
	})
	return p
}

func (p *process) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.output.String()
}

// reset forgets what was printed so far.
func (p *process) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.output.Reset()
}

func (p *process) enter(t *testing.T) { p.typeIn(t, "") }

func (p *process) typeIn(t *testing.T, line string) {
	t.Helper()
	if _, err := io.WriteString(p.input, line+"\n"); err != nil {
		t.Fatal(err)
	}
}

func (p *process) await(t *testing.T, text string) {
	t.Helper()
	limit := time.After(patience)
	for !strings.Contains(p.text(), text) {
		select {
		case <-p.more:
		case err := <-p.ended:
			t.Fatalf("it ended (%v) before it said %q:\n%s", err, text, p.text())
		case <-limit:
			t.Fatalf("it did not say %q within %s:\n%s", text, patience, p.text())
		}
	}
}

func (p *process) wait(t *testing.T) error {
	t.Helper()
	select {
	case err := <-p.ended:
		return err
	case <-time.After(patience):
		t.Fatalf("it did not end within %s:\n%s", patience, p.text())
		return nil
	}
}
