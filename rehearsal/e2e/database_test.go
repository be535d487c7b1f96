package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// What Aurora does to a database while the real service uses it.
func (l *life) database(t *testing.T) {
	c, aws := l.client(t), l.account()
	t.Run("a restart costs 503s only", func(t *testing.T) {
		if failed := underLoad(t, c, func(ctx context.Context) error {
			return aws.RebootDBInstance(ctx, l.cluster(t).Writer)
		}); failed == 0 {
			t.Error("no request met the restart")
		}
	})
	t.Run("a failover costs 503s only", func(t *testing.T) {
		before := l.cluster(t).Writer
		if failed := underLoad(t, c, func(ctx context.Context) error {
			return aws.FailoverDBCluster(ctx, l.cluster(t).ID)
		}); failed == 0 {
			t.Error("no request met the failover")
		}
		if after := l.cluster(t).Writer; after == before {
			t.Errorf("%s is still the writer", after)
		}
	})

	// Two more stacks have databases that end no idle sessions. The service of one gets the processor when its health is asked for,
	// and closes its idle connections then; neither of the others does. (AR-33, RDS-20)
	keeps := l.beside(t, "keeps")
	keeps.endIdleSessions(t, "0")
	l.stage.Host.HealthChecks = true
	closes := l.beside(t, "closes")
	l.stage.Host.HealthChecks = false
	closes.endIdleSessions(t, "0")
	t.Run("a database pauses when it ends idle sessions, or when the service can", func(t *testing.T) {
		for _, asked := range []*client{c, keeps.client(t), closes.client(t)} {
			if !asked.works() {
				t.Fatal("the service does not answer")
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		for _, cluster := range []string{"todo-closes", "todo-life"} {
			if err := l.stage.Host.Pause(ctx, cluster); err != nil {
				t.Fatal(err)
			}
		}
		aws.Clock.Skip(12 * time.Hour)
		proxy, err := l.stage.Host.Database("todo-keeps")
		if err != nil {
			t.Fatal(err)
		}
		if l.stage.Host.Paused("todo-keeps") || proxy.Connections() == 0 {
			t.Errorf("without either the database pauses; %d connections are open", proxy.Connections())
		}
		if !l.stage.Host.Paused("todo-life") {
			t.Error("the database is awake again, though nobody has asked for anything")
		}
	})
	t.Run("the end of an idle session costs no request", func(t *testing.T) {
		keeps.endIdleSessions(t, "1000")
		proxy, err := l.stage.Host.Database("todo-keeps")
		if err != nil {
			t.Fatal(err)
		}
		// PostgreSQL does not end sessions that were idle before.
		proxy.Refuse()
		proxy.Pass()
		asked := keeps.client(t)
		await(t, "the service has other connections", asked.works)
		for range 3 {
			await(t, "no connection is open", func() bool { return proxy.Connections() == 0 })
			if a := asked.do(t, http.MethodPost, "/api/v1/tasks", `{"title":"after a quiet minute"}`); a.status != http.StatusCreated {
				t.Errorf("a request is answered %d %v", a.status, a.body)
			}
		}
	})
	t.Run("the first request after a pause is answered in time", func(t *testing.T) {
		if health := c.do(t, http.MethodGet, "/", ""); health.status != http.StatusOK || !l.stage.Host.Paused("todo-life") {
			t.Errorf("the health check answers %d, and the database sleeps: %t", health.status, l.stage.Host.Paused("todo-life"))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 12*time.Second)
		defer cancel()
		first, err := c.try(ctx, http.MethodGet, "/api/v1/tasks?limit=1", "")
		if err != nil {
			t.Fatal(err)
		}
		if first.status != http.StatusOK {
			mustBeUnavailable(t, first)
		}
		await(t, "the next request succeeds", c.works)
	})
	t.Run("a request that waits for too long is told when to come again", func(t *testing.T) {
		proxy, err := l.stage.Host.Database("todo-life")
		if err != nil {
			t.Fatal(err)
		}
		proxy.Refuse()
		proxy.Pass()
		if err := l.stage.Host.Pause(t.Context(), "todo-life"); err != nil {
			t.Fatal(err)
		}
		proxy.Stall()
		// Those that get one of the connections that were cut are told so at once.
		await(t, "a request waits for as long as it may", func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), 12*time.Second)
			defer cancel()
			a, err := c.try(ctx, http.MethodGet, "/api/v1/tasks?limit=1", "")
			if err != nil {
				t.Fatal(err)
			}
			mustBeUnavailable(t, a)
			return strings.Contains(fmt.Sprint(a.body["detail"]), "waking up")
		})
		proxy.Pass()
		await(t, "the next request succeeds", c.works)
	})
	must(t, keeps.stack.Destroy)
	must(t, closes.stack.Destroy)
}

// beside is another stack of the same program, on the same stage.
func (l *life) beside(t *testing.T, name string) *life {
	t.Helper()
	configure(t, l.root, name, "todo:maxInstances: 1\n  todo:finalSnapshot: false")
	other := &life{root: l.root, stage: l.stage, stack: stackOf(t, l.stage, name)}
	must(t, other.stack.Up)
	return other
}

// endIdleSessions has somebody set the stack's idle_session_timeout in the console, 0 for none.
func (l *life) endIdleSessions(t *testing.T, milliseconds string) {
	t.Helper()
	l.modify(t, "ClusterParameterGroup", "database-parameters", map[string]any{"parameters": []any{
		map[string]any{"name": "rds.force_ssl", "value": "1", "applyMethod": "immediate"},
		map[string]any{"name": "idle_session_timeout", "value": milliseconds, "applyMethod": "immediate"}}})
}

// configure writes the configuration of a stack.
func configure(t *testing.T, root, name, settings string) {
	t.Helper()
	text := fmt.Sprintf("config:\n  aws:region: eu-west-1\n  %s\n", settings)
	if err := os.WriteFile(filepath.Join(root, "Pulumi."+name+".yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (c *client) works() bool {
	a, err := c.try(context.Background(), http.MethodPost, "/api/v1/tasks", `{"title":"while the database lives"}`)
	return err == nil && a.status == http.StatusCreated
}

func mustBeUnavailable(t *testing.T, a answer) {
	t.Helper()
	if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" || a.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("answered %d %v %v, want success or 503 as a problem with Retry-After", a.status, a.header, a.body)
	}
}

const (
	clients = 8
	// pace keeps all clients together below what the service takes from one address.
	pace = 25 * time.Millisecond
	// recovered is how many requests in a row succeed after a disturbance that is over.
	recovered = 100
)

// underLoad reads and writes from several clients while something happens, and until all is well again. Each request has to be
// answered, with success or with 503; it answers how many with 503.
func underLoad(t *testing.T, c *client, happens func(context.Context) error) (unavailable int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var (
		mu         sync.Mutex
		succeeded  int // in a row
		over, done bool
		all        sync.WaitGroup
	)
	begun := make(chan struct{}, 1)
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for range clients {
		all.Go(func() {
			for n := 0; ; n++ {
				<-tick.C
				a, err := c.request(ctx, n)
				mu.Lock()
				switch {
				case done:
				case err != nil:
					t.Errorf("a request was not answered: %v", err)
					done = true
				case a.status == http.StatusOK || a.status == http.StatusCreated:
					if succeeded++; succeeded == recovered {
						select {
						case begun <- struct{}{}:
						default:
						}
					}
					done = over && succeeded >= recovered
				default:
					mustBeUnavailable(t, a)
					unavailable++
					succeeded = 0
				}
				end := done
				mu.Unlock()
				if end {
					return
				}
			}
		})
	}
	select {
	case <-begun:
	case <-ctx.Done():
	}
	if err := happens(ctx); err != nil {
		t.Error(err)
	}
	mu.Lock()
	over, succeeded = true, 0
	mu.Unlock()
	all.Wait()
	return unavailable
}

func (c *client) request(ctx context.Context, n int) (answer, error) {
	if n%2 == 0 {
		return c.try(ctx, http.MethodPost, "/api/v1/tasks", `{"title":"under load"}`)
	}
	return c.try(ctx, http.MethodGet, "/api/v1/tasks?limit=10", "")
}
