package host

import (
	"context"
	"errors"
	"fmt"

	"example.com/todo/rehearsal/account"
)

// RunDatabase implements account.Runtime.
func (h *Host) RunDatabase(ctx context.Context, spec account.Database) error {
	ctx, done, err := h.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	if d := h.databaseOf(spec.Cluster); d != nil {
		return d.become(ctx, spec)
	}
	if len(spec.Writers) == 0 {
		return nil
	}
	d, err := h.newDatabase(ctx, spec)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.databases[spec.Cluster] = d
	return nil
}

// RestartDatabase implements account.Runtime. (RDS-22)
func (h *Host) RestartDatabase(ctx context.Context, cluster string) error {
	return h.change(ctx, cluster, func(ctx context.Context, d *database) error {
		return d.alone(ctx, func() error {
			if err := d.restart(ctx, restartTime); err != nil {
				return err
			}
			d.turnTo(awake)
			d.say("restarted")
			return nil
		})
	})
}

// FailOver implements account.Runtime. Whoever was to take over may be leaving, too, by now. (RDS-23, RDS-27)
func (h *Host) FailOver(ctx context.Context, spec account.Database) error {
	if len(spec.Writers) == 0 {
		return h.RunDatabase(ctx, spec)
	}
	return h.change(ctx, spec.Cluster, func(ctx context.Context, d *database) error { return d.failOver(ctx, spec) })
}

// SetPassword implements account.Runtime. (SM-3)
func (h *Host) SetPassword(ctx context.Context, cluster, password string) error {
	return h.change(ctx, cluster, func(ctx context.Context, d *database) error { return d.setPassword(ctx, password) })
}

// StopDatabase implements account.Runtime.
func (h *Host) StopDatabase(ctx context.Context, cluster string) error {
	_, done, err := h.begin(ctx)
	if errors.Is(err, errClosed) {
		return nil
	}
	defer done()
	h.mu.Lock()
	d := h.databases[cluster]
	delete(h.databases, cluster)
	h.mu.Unlock()
	if d == nil {
		return nil
	}
	return d.close()
}

// Pause waits until a cluster's last connection has ended, and lets the time pass after which it pauses. A cluster that
// never does is an error.
func (h *Host) Pause(ctx context.Context, cluster string) error {
	return h.change(ctx, cluster, func(ctx context.Context, d *database) error {
		for {
			now, unsteady, err := d.mayPause()
			if now == paused || err != nil {
				return err
			}
			if err := d.pause(ctx); err != nil {
				return err
			}
			select {
			case <-unsteady:
			case <-ctx.Done():
				return fmt.Errorf("wait until no connection is open: %w", ctx.Err())
			}
		}
	})
}

// Wake has a cluster that has paused answer again, as a connection would; it answers when it does.
func (h *Host) Wake(ctx context.Context, cluster string) error {
	return h.change(ctx, cluster, func(ctx context.Context, d *database) error { return d.wake(ctx) })
}

// Paused says whether a cluster's PostgreSQL is stopped because nobody was connected.
func (h *Host) Paused(cluster string) bool {
	d := h.databaseOf(cluster)
	if d == nil {
		return false
	}
	now, _ := d.lookAt()
	return now == paused
}

// Database is the way to a cluster's own endpoint, for a test that disturbs it.
func (h *Host) Database(cluster string) (*Proxy, error) {
	d := h.databaseOf(cluster)
	if d == nil {
		return nil, fmt.Errorf("cluster %s has no database", cluster)
	}
	return d.proxy(d.spec.Endpoint), nil
}

// change does something to a cluster's database that Close waits for.
func (h *Host) change(ctx context.Context, cluster string, do func(context.Context, *database) error) error {
	ctx, done, err := h.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	d := h.databaseOf(cluster)
	if d == nil {
		return fmt.Errorf("cluster %s has no database", cluster)
	}
	if err := do(ctx, d); err != nil {
		return fmt.Errorf("cluster %s: %w", cluster, err)
	}
	return nil
}

func (h *Host) databaseOf(cluster string) *database {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.databases[cluster]
}

// resolve is where the named endpoint really listens, as a private DNS would say; false for what the network does not reach.
func (h *Host) resolve(endpoint string) (string, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, d := range h.databases {
		if proxy := d.proxy(endpoint); proxy != nil {
			return proxy.Addr, true
		}
	}
	return "", false
}
