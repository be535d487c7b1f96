package host

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	"example.com/todo/rehearsal/account"
)

// stopped says whether a process has no processor, as the system's own list has it.
func stopped(t *testing.T, pid int) bool {
	t.Helper()
	state, err := exec.CommandContext(t.Context(), "ps", "-o", "stat=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.HasPrefix(string(state), "T")
}

// instances are a service's that take requests.
func (c *cloud) instances(arn string) []*instance {
	c.host.mu.Lock()
	defer c.host.mu.Unlock()
	front := c.host.services[arn].front
	front.mu.Lock()
	defer front.mu.Unlock()
	return front.instances
}

// AR-33
func TestAnIdleInstanceHasNoProcessor(t *testing.T) {
	c := newCloud(t)
	c.host.Throttled = true
	spec := newSpec("one", nil)
	host, client := c.mustDeploy(t, spec), c.client(t)
	idle := c.instances(spec.ARN)[0]
	rests := func() bool { return stopped(t, idle.cmd.Process.Pid) }
	await(t, "the instance rests", rests)

	var call sync.WaitGroup
	call.Go(func() {
		if status, body, err := get(client, "https://"+host+"/hold"); err != nil || status != 200 || body != "one" {
			t.Errorf("the request was answered %d %q, %v", status, body, err)
		}
	})
	mustGet(t, client, "https://"+host+"/held")
	if rests() {
		t.Error("it rests with a request to answer")
	}
	mustGet(t, client, "https://"+host+"/release")
	call.Wait()
	await(t, "it rests when it has answered", rests)
	if err := c.host.Remove(t.Context(), spec.ARN); err != nil {
		t.Errorf("an instance that rests does not end when it is told to: %v", err)
	}
}

// What comes due while an instance rests is done at its next health check, if that gets the processor, and otherwise at the next
// request. AR-33
func TestAnIdleInstanceDoesWhatIsDueWhenItIsAsked(t *testing.T) {
	c := newCloud(t)
	c.host.Throttled = true
	client := c.client(t)
	deploy := func(name string) (host string, done func() bool) {
		t.Helper()
		spec := newSpec(name, nil)
		spec.ARN, spec.Name, spec.Health.Interval = spec.ARN+name, name, 1
		host = c.mustDeploy(t, spec)
		log := c.instances(spec.ARN)[0].log
		mustGet(t, client, "https://"+host+"/later")
		return host, func() bool {
			text, err := os.ReadFile(log)
			if err != nil {
				t.Fatal(err)
			}
			return strings.Contains(string(text), laterLine)
		}
	}
	host, strict := deploy("strict")
	c.host.HealthChecks = true
	_, lenient := deploy("lenient")
	await(t, "a health check has it done", lenient)
	if strict() {
		t.Error("without a health check it is done all the same")
	}
	await(t, "a request has it done", func() bool {
		mustGet(t, client, "https://"+host+"/revision")
		return strict()
	})
}

// What is started for more requests rests without them, too. AR-21, AR-33
func TestAnInstanceThatWasAddedRests(t *testing.T) {
	c := newCloud(t)
	c.host.Throttled = true
	spec := newSpec("one", nil)
	spec.Scaling = account.Scaling{Least: 1, Most: 2, Concurrency: 1}
	host, client := c.mustDeploy(t, spec), c.client(t)
	var calls sync.WaitGroup
	for range 2 {
		calls.Go(func() { _, _, _ = get(client, "https://"+host+"/wait") })
	}
	await(t, "there are two", func() bool { return c.host.Instances(spec.ARN) == 2 })
	await(t, "one of them rests", func() bool {
		for _, i := range c.instances(spec.ARN) {
			if stopped(t, i.cmd.Process.Pid) {
				return true
			}
		}
		return false
	})
	if err := c.host.Remove(t.Context(), spec.ARN); err != nil {
		t.Error(err)
	}
	calls.Wait()
}
