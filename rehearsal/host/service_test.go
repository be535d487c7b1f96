package host

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// environments gives the environment of every instance of a service, by name.
func (c *cloud) environments(t *testing.T, arn string) []map[string]string {
	t.Helper()
	var all []map[string]string
	for _, address := range c.running(arn) {
		_, body := mustGet(t, http.DefaultClient, "http://"+address+"/environment")
		var lines []string
		if err := json.Unmarshal([]byte(body), &lines); err != nil {
			t.Fatal(err)
		}
		variables := map[string]string{}
		for _, line := range lines {
			name, value, _ := strings.Cut(line, "=")
			variables[name] = value
		}
		all = append(all, variables)
	}
	return all
}

// RUN-1
func TestInstancesGetThePlansEnvironmentAndThePlatforms(t *testing.T) {
	c := newCloud(t)
	t.Setenv("LEAK", "of this process")
	t.Setenv("AWS_REGION", "of this process")
	role, err := c.role("own", tasksPrincipal, "")
	if err != nil {
		t.Fatal(err)
	}
	spec := newSpec("one", map[string]string{"LOG_LEVEL": "info"})
	spec.Scaling, spec.RoleARN = two, role
	c.mustDeploy(t, spec)

	all := c.environments(t, spec.ARN)
	for _, variables := range all {
		want := []string{
			"AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_ENDPOINT_URL_SECRETS_MANAGER",
			"LISTEN_HOST", "LOG_LEVEL", "PORT", "REVISION", "SSL_CERT_FILE", roleVariable,
		}
		if got := slices.Sorted(maps.Keys(variables)); !slices.Equal(got, want) {
			t.Errorf("the instance has %v, want %v", got, want)
		}
		if variables["LOG_LEVEL"] != "info" || variables["SSL_CERT_FILE"] != c.host.RootCertificates() {
			t.Errorf("the instance got %v", variables)
		}
	}
	if all[0]["PORT"] == all[1]["PORT"] {
		t.Errorf("both instances were given port %s", all[0]["PORT"])
	}
	spec.RoleARN = ""
	c.mustDeploy(t, spec)
	if variables := c.environments(t, spec.ARN)[0]; variables["AWS_CONTAINER_AUTHORIZATION_TOKEN"] != "" {
		t.Errorf("without a role the instance got credentials: %v", variables)
	}
}

// RUN-6
func TestDeploymentLosesNoRequest(t *testing.T) {
	c := newCloud(t)
	spec := newSpec("one", nil)
	spec.Scaling = two
	host, client := c.mustDeploy(t, spec), c.client(t)
	if _, body := mustGet(t, client, "https://"+host+"/revision"); body != "one" {
		t.Fatalf("%q answered, want the first revision", body)
	}

	var senders sync.WaitGroup
	deployed := make(chan struct{})
	for range 4 {
		senders.Go(func() {
			for range 100_000 {
				status, body, err := get(client, "https://"+host+"/revision")
				if err != nil || status != http.StatusOK {
					t.Errorf("answered %d %q, %v", status, body, err)
					return
				}
				select {
				case <-deployed:
					return
				default:
				}
			}
		})
	}
	for _, name := range []string{"two", "three"} {
		spec.Environment["REVISION"] = name
		if again := c.mustDeploy(t, spec); again != host {
			t.Errorf("revision %s is reached at %s, the first at %s", name, again, host)
		}
	}
	close(deployed)
	senders.Wait()
	if _, body := mustGet(t, client, "https://"+host+"/revision"); body != "three" {
		t.Errorf("%q answers after the deployments, want the last revision", body)
	}
}

// The program of these tests ends at once when it is told to, so that only the front can have waited. RUN-6
func TestDeploymentWaitsForRequestsUnderWay(t *testing.T) {
	c := newCloud(t)
	spec := newSpec("one", nil)
	host, client := c.mustDeploy(t, spec), c.client(t)
	old := "http://" + c.running(spec.ARN)[0]

	var calls sync.WaitGroup
	calls.Go(func() {
		status, body, err := get(client, "https://"+host+"/hold")
		if err != nil || status != http.StatusOK || body != "one" {
			t.Errorf("the request from before was answered %d %q, %v", status, body, err)
		}
	})
	mustGet(t, client, old+"/held")
	calls.Go(func() {
		spec.Environment = maps.Clone(spec.Environment)
		spec.Environment["REVISION"] = "two"
		if _, err := c.host.Deploy(c.ctx, spec); err != nil {
			t.Error(err)
		}
	})
	await(t, "the second revision answers", func() bool {
		status, body, err := get(client, "https://"+host+"/revision")
		return err == nil && status == http.StatusOK && body == "two"
	})
	// The instance may have ended before this is answered, too.
	_, _, _ = get(client, old+"/release")
	calls.Wait()
	if listens(old[len("http://"):]) {
		t.Error("the first revision still runs")
	}
}

// RUN-7
func TestBadRevisionLeavesTheOldOne(t *testing.T) {
	for name, row := range map[string]struct {
		environment map[string]string
		says        string
	}{
		"exits":        {map[string]string{"EXITS": "yes"}, "exit status 3"},
		"answers 503":  {map[string]string{"HEALTH": "503"}, "GET /health answered 503"},
		"redirects":    {map[string]string{"HEALTH": "302"}, "GET /health answered 302"},
		"cannot start": {nil, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCloud(t)
			spec := newSpec("good", nil)
			host := c.mustDeploy(t, spec)

			// Long enough for the process to speak, which is all that is asked of the bad revision.
			c.host.startLimit = 30 * time.Second
			bad := newSpec("bad", row.environment)
			bad.Scaling = two
			if row.environment == nil {
				if err := c.push("broken", v1.Config{Entrypoint: []string{"/nonexistent"}}, "amd64"); err != nil {
					t.Fatal(err)
				}
				bad.Image = repositoryURL + ":broken"
			}
			again, err := c.host.Deploy(c.ctx, bad)
			if err == nil || !strings.Contains(err.Error(), row.says) {
				t.Errorf("got %v, want %q in it", err, row.says)
			}
			if err != nil && row.environment != nil && !strings.Contains(err.Error(), "a line of the log from bad") {
				t.Errorf("the error lacks the log's last lines: %v", err)
			}
			if again != host {
				t.Errorf("the service is reached at %s, before at %s", again, host)
			}
			if status, body := mustGet(t, c.client(t), "https://"+host+"/revision"); status != http.StatusOK || body != "good" {
				t.Errorf("%d %q answers, want the good revision", status, body)
			}
			if left := c.alive(t); len(left) != 1 {
				t.Errorf("%v run, want only the good revision's", left)
			}
		})
	}
}

// App Runner kills such a program too; the deployment has long succeeded. RUN-6, RUN-8
func TestDeafInstancesAreKilled(t *testing.T) {
	c := newCloud(t)
	c.host.stopLimit = 50 * time.Millisecond
	spec := newSpec("deaf", map[string]string{"DEAF": "yes"})
	spec.Scaling = two
	c.mustDeploy(t, spec)
	deaf := c.running(spec.ARN)
	ended := make(chan error, 1)
	go func() {
		_, err := c.host.Deploy(c.ctx, newSpec("good", nil))
		ended <- err
	}()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("the deployment waits for what does not end")
	}
	if slices.ContainsFunc(deaf, listens) {
		t.Error("a deaf instance still runs")
	}
}

// RUN-9
func TestLongRequestsAreCut(t *testing.T) {
	c := newCloud(t)
	if c.host.requestLimit != 2*time.Minute {
		t.Errorf("requests are cut after %s, App Runner cuts them after 120 s", c.host.requestLimit)
	}
	c.host.requestLimit = 100 * time.Millisecond
	host := c.mustDeploy(t, newSpec("one", nil))
	if status, _ := mustGet(t, c.client(t), "https://"+host+"/never"); status != http.StatusGatewayTimeout {
		t.Errorf("answered %d, want 504", status)
	}
}
