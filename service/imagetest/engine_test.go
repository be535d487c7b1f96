package imagetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// engine is a Docker engine that answers, and a client of it that can BuildKit.
type engine struct {
	client string
	host   string // "" for the client's own choice
}

// command is one of the client's, with BuildKit on.
func (e engine) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, e.client, args...)
	cmd.Env = append(os.Environ(), "DOCKER_BUILDKIT=1", "BUILDKIT_PROGRESS=plain")
	if e.host != "" {
		cmd.Env = append(cmd.Env, "DOCKER_HOST="+e.host)
	}
	return cmd
}

// docker runs a command of the client and gives what it printed.
func (e engine) docker(t *testing.T, args ...string) string {
	t.Helper()
	out, err := e.command(t.Context(), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// remove runs a command that clears up, after the test's own context has ended.
func (e engine) remove(t *testing.T, args ...string) {
	t.Helper()
	if out, err := e.command(context.Background(), args...).CombinedOutput(); err != nil {
		t.Errorf("docker %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// anEngine uses the engine that runs here, else starts one, as root, for this test.
func anEngine(t *testing.T) engine {
	t.Helper()
	if e, ok := running(t.Context(), ""); ok {
		return e
	}
	if os.Geteuid() != 0 {
		t.Skip("NOT TESTED: the image. No Docker engine answers, and only root can start one.")
	}
	if _, err := exec.LookPath("dockerd"); err != nil {
		install(t, "docker.io")
	}
	if _, err := exec.LookPath("dockerd"); err != nil {
		t.Skip("NOT TESTED: the image. No Docker engine answers, and none can be installed here.")
	}
	return start(t)
}

func running(ctx context.Context, host string) (engine, bool) {
	for _, client := range clients() {
		e := engine{client: client, host: host}
		if e.command(ctx, "version").Run() == nil && buildsWithBuildKit(e) {
			return e, true
		}
	}
	return engine{}, false
}

// clients are all that are here: the first on PATH may lack its build plugin.
func clients() []string {
	var found []string
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/bin") {
		path := filepath.Join(dir, "docker")
		if _, err := exec.LookPath(path); err == nil && !slices.Contains(found, path) {
			found = append(found, path)
		}
	}
	return found
}

// buildsWithBuildKit: since version 23 the client needs a plugin for it.
func buildsWithBuildKit(e engine) bool {
	var major int
	out, err := e.command(context.Background(), "--version").Output()
	if err != nil {
		return false
	}
	if _, err := fmt.Sscanf(string(out), "Docker version %d.", &major); err != nil {
		return false
	}
	return major < 23 || e.command(context.Background(), "buildx", "version").Run() == nil
}

// engineScript runs an engine of its own in the folder $1 until its input ends,
// which it also does when this process is killed. It touches no network of the
// machine: containers use the host's.
const engineScript = `
dockerd --host "unix://$1/docker.sock" --data-root "$1/data" --exec-root "$1/exec" --pidfile "$1/pid" \
	--iptables=false --ip6tables=false --bridge=none >"$1/log" 2>&1 </dev/null &
pid=$!
cat >/dev/null
kill "$pid"
wait "$pid"
# dockerd leaves its network namespace mounted, and one that was killed its layers too.
while read -r _ point _; do
	case $point in "$1"/*) umount "$point" ;; esac
done </proc/mounts
tries=0
until rm -rf "$1" || [ $tries -ge 50 ]; do sleep 0.1; tries=$((tries + 1)); done
[ ! -e "$1" ]
`

func start(t *testing.T) engine {
	t.Helper()
	dir, err := os.MkdirTemp("", "todo-docker-")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("starting a Docker engine in %s", dir)
	cmd := exec.Command("sh", "-c", engineScript, "engine", dir)
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(input.Close(), cmd.Wait()); err != nil {
			t.Errorf("stop the Docker engine: %v", err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if e, ok := running(ctx, "unix://"+dir+"/docker.sock"); ok {
			return e
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			log, err := os.ReadFile(filepath.Join(dir, "log"))
			t.Skipf("NOT TESTED: the image. The Docker engine does not start here: %v\n%s", err, log)
		}
	}
}

func install(t *testing.T, pkg string) {
	t.Helper()
	t.Logf("installing %s", pkg)
	for _, args := range [][]string{{"update"}, {"install", "-y", "--no-install-recommends", pkg}} {
		cmd := exec.CommandContext(t.Context(), "apt-get", append([]string{"-o", "DPkg::Lock::Timeout=300"}, args...)...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Logf("apt-get %s: %v\n%s", strings.Join(args, " "), err, out)
			return
		}
	}
}
