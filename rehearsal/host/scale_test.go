package host

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"example.com/todo/rehearsal/account"
)

// letTimePass has what App Runner does after a while come about. (AR-21)
func (c *cloud) letTimePass() { c.host.Account.Clock.Skip(scaleInAfter) }

// load is how many requests of a service are under way.
func (c *cloud) load(arn string) int {
	c.host.mu.Lock()
	f := c.host.services[arn].front
	c.host.mu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.load
}

// AR-21, AR-22
func TestRequestsBringInstances(t *testing.T) {
	c := newCloud(t)
	spec := newSpec("one", nil)
	spec.Scaling = account.Scaling{Least: 1, Most: 3, Concurrency: 2}
	host, client := c.mustDeploy(t, spec), c.client(t)
	url := "https://" + host

	var waiting sync.WaitGroup
	wait := func(count, instances int) {
		t.Helper()
		for range count {
			waiting.Go(func() {
				if status, body, err := get(client, url+"/wait"); err != nil || status != http.StatusOK {
					t.Errorf("answered %d %q, %v", status, body, err)
				}
			})
		}
		await(t, "the instances that these requests take", func() bool { return c.host.Instances(spec.ARN) == instances })
	}
	wait(2, 1)
	wait(1, 2)
	wait(2, 3)
	wait(1, 3)
	await(t, "all instances have what they can take", func() bool { return c.load(spec.ARN) == 6 })
	if status, _ := mustGet(t, client, url+"/revision"); status != http.StatusTooManyRequests {
		t.Errorf("without room for more answered %d, want 429", status)
	}
	all := c.running(spec.ARN)
	for _, address := range all {
		mustGet(t, http.DefaultClient, "http://"+address+"/release")
	}
	waiting.Wait()
	await(t, "the instances that nobody needs are stopped", func() bool {
		c.letTimePass()
		return c.host.Instances(spec.ARN) == 1
	})
	await(t, "their processes have ended", func() bool { return !slices.ContainsFunc(all[1:], listens) })
	if status, _ := mustGet(t, client, url+"/revision"); status != http.StatusOK {
		t.Errorf("afterwards answered %d", status)
	}
}

// AR-21
func TestScalingLosesNoRequest(t *testing.T) {
	c := newCloud(t)
	spec := newSpec("one", nil)
	spec.Scaling = account.Scaling{Least: 1, Most: 4, Concurrency: 2}
	host, client := c.mustDeploy(t, spec), c.client(t)

	var senders sync.WaitGroup
	var answers atomic.Int64
	// send has some clients ask until they are told to end.
	send := func(count int) (end func()) {
		ended := make(chan struct{})
		for range count {
			senders.Go(func() {
				for {
					select {
					case <-ended:
						return
					default:
					}
					if status, body, err := get(client, "https://"+host+"/revision"); err != nil || status != http.StatusOK || body == "" {
						t.Errorf("answered %d %q, %v", status, body, err)
						return
					}
					answers.Add(1)
				}
			})
		}
		return sync.OnceFunc(func() { close(ended) })
	}
	few, many := send(1), send(7)
	defer senders.Wait()
	defer few()
	defer many()
	await(t, "many clients bring all instances", func() bool { return c.host.Instances(spec.ARN) == 4 })
	spec.Environment["REVISION"] = "two"
	c.mustDeploy(t, spec)
	if instances := c.host.Instances(spec.ARN); instances != 4 {
		t.Errorf("a deployment under load has %d instances, want the 4 of before", instances)
	}
	many()
	await(t, "one client keeps one instance", func() bool {
		c.letTimePass()
		return c.host.Instances(spec.ARN) == 1
	})
	before := answers.Load()
	await(t, "the client is answered still", func() bool { return answers.Load() > before })
}

// AR-23
func TestInstancesThatEndAreReplaced(t *testing.T) {
	c := newCloud(t)
	spec := newSpec("one", nil)
	host, client := c.mustDeploy(t, spec), c.client(t)
	before := c.running(spec.ARN)[0]
	if _, _, err := get(http.DefaultClient, "http://"+before+"/exit"); err == nil {
		t.Fatal("the instance has not ended")
	}
	await(t, "another instance answers", func() bool {
		status, _, err := get(client, "https://"+host+"/revision")
		return err == nil && status == http.StatusOK
	})
	if after := c.running(spec.ARN); len(after) != 1 || after[0] == before {
		t.Errorf("%v run, before %s", after, before)
	}
}

// RUN-10
func TestTheFrontTellsWhoAsks(t *testing.T) {
	c := newCloud(t)
	spec := newSpec("one", nil)
	host, client := c.mustDeploy(t, spec), c.client(t)
	for _, row := range []struct {
		sent http.Header
		want map[string]string // an empty value for a header that is not there
	}{
		{http.Header{}, map[string]string{"X-Forwarded-For": loopback, "X-Forwarded-Proto": "https", "X-Forwarded-Host": "", "Accept-Encoding": ""}},
		{
			http.Header{"X-Forwarded-For": {"192.0.2.1, 192.0.2.2", "192.0.2.3"}, "X-Forwarded-Proto": {"http"}, "X-Request-Id": {"mine"}},
			map[string]string{"X-Forwarded-For": "192.0.2.1, 192.0.2.2, 192.0.2.3, " + loopback, "X-Forwarded-Proto": "https", "X-Request-Id": "mine"},
		},
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+host+"/headers", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header = row.sent
		client.Transport.(*http.Transport).DisableCompression = true
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		var got http.Header
		err = json.NewDecoder(response.Body).Decode(&got)
		if closeErr := response.Body.Close(); err != nil || closeErr != nil {
			t.Fatal(err, closeErr)
		}
		for name, want := range row.want {
			if value := strings.Join(got.Values(name), "; "); value != want {
				t.Errorf("%s is %q, want %q", name, value, want)
			}
		}
	}
}
