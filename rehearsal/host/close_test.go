package host

import (
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"testing"
)

func empty(t *testing.T, folder string) bool {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	return len(entries) == 0
}

// RUN-8
func TestCloseLeavesNothing(t *testing.T) {
	c := newCloud(t)
	cluster, err := c.cluster()
	if err != nil {
		t.Fatal(err)
	}
	spec := newSpec("one", nil)
	spec.Scaling = two
	c.mustDeploy(t, spec)
	if databases, instances := c.host.Running(); databases != 1 || instances != 2 {
		t.Errorf("%d databases and %d instances run, want 1 and 2", databases, instances)
	}
	listening := c.listening(cluster, spec)
	if i := slices.IndexFunc(listening, func(a string) bool { return !listens(a) }); i >= 0 {
		t.Errorf("%s does not listen", listening[i])
	}
	for range 2 {
		if err := c.host.Close(); err != nil {
			t.Error(err)
		}
	}
	if i := slices.IndexFunc(listening, listens); i >= 0 {
		t.Errorf("%s still listens", listening[i])
	}
	if !empty(t, os.TempDir()) {
		t.Error("the host's folder is still there")
	}
	if databases, instances := c.host.Running(); databases != 0 || instances != 0 {
		t.Errorf("%d databases and %d instances are counted after Close", databases, instances)
	}
}

// What an operation that comes too late would start, or write, nothing would remove. RUN-8
func TestClosedHostStartsNothing(t *testing.T) {
	c := newCloud(t)
	spec := newSpec("one", map[string]string{"HEALTH": "503"})
	deployed := make(chan error, 1)
	go func() {
		_, err := c.host.Deploy(c.ctx, spec)
		deployed <- err
	}()
	var under []string
	await(t, "the instance listens", func() bool { under = c.alive(t); return len(under) > 0 })
	if err := c.host.Close(); err != nil {
		t.Error(err)
	}
	if listens(under[0]) {
		t.Error("the instance still runs")
	}
	select {
	case err := <-deployed:
		if err == nil {
			t.Error("the deployment succeeded")
		}
	default:
		t.Error("Close left a deployment under way")
	}
	if _, err := c.host.Folder("late"); err == nil {
		t.Error("a closed host made a folder")
	}
	if _, err := c.host.Deploy(c.ctx, spec); err == nil {
		t.Error("a closed host deployed")
	}
	if _, err := c.cluster(); err == nil {
		t.Error("a closed host started a database")
	}
	if !empty(t, os.TempDir()) {
		t.Error("something was written after Close")
	}
}

// RUN-8
func TestRemoveAndStop(t *testing.T) {
	c := newCloud(t)
	cluster, err := c.cluster()
	if err != nil {
		t.Fatal(err)
	}
	spec := newSpec("one", nil)
	host := c.mustDeploy(t, spec)
	proxy, err := c.host.Database(cluster.id)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := c.host.Remove(t.Context(), spec.ARN); err != nil {
			t.Error(err)
		}
		if err := c.host.StopDatabase(t.Context(), cluster.id); err != nil {
			t.Error(err)
		}
	}
	if listens(host) || listens(proxy.Addr) || len(c.alive(t)) > 0 {
		t.Error("something still listens")
	}
	if _, err := c.host.Database(cluster.id); err == nil {
		t.Error("the cluster still has a database")
	}
}

// RUN-8
func TestDeathLeavesNothing(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	parent := exec.Command(program)
	parent.Env = append(os.Environ(), roleVariable+"=parent", "TMPDIR="+folder)
	parent.Stderr = os.Stderr
	// Held open, so that the parent waits.
	if _, err := parent.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	told, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	var listening []string
	err = json.NewDecoder(told).Decode(&listening)
	gone := slices.IndexFunc(listening, func(a string) bool { return !listens(a) })
	if killErr := parent.Process.Kill(); killErr != nil {
		t.Error(killErr)
	}
	_ = parent.Wait() // killed, as it says
	if err != nil || len(listening) < 5 || gone >= 0 {
		t.Fatalf("the parent had %v: %v", listening, err)
	}
	await(t, "the processes are gone", func() bool { return !slices.ContainsFunc(listening, listens) })
	await(t, "the folders are gone", func() bool { return empty(t, folder) })
}
