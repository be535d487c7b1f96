package host

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"slices"
	"sync"
	"time"

	"example.com/todo/service/postgres/postgrestest"

	"example.com/todo/rehearsal/account"
	"example.com/todo/rehearsal/clock"
)

// A database is a cluster's PostgreSQL and the proxies through which alone it is reached, one for each endpoint.
type database struct {
	cluster     string
	account     *account.Account
	clock       *clock.Clock
	log         io.Writer
	server      *postgrestest.Server
	authority   *authority
	certificate tls.Certificate

	changing chan struct{} // full while something changes
	lives    sync.WaitGroup
	life     context.Context // of what comes by itself
	end      context.CancelFunc

	mu       sync.Mutex
	spec     account.Database
	proxies  map[string]*Proxy // by endpoint
	state    state
	since    time.Time // when the state began
	turned   chan struct{}
	open     int             // connections, those that wait included
	quiet    time.Time       // when the last one ended
	upUntil  time.Time       // no pause before
	rotated  time.Time       // when the password was made
	stale    time.Time       // until when the cluster's endpoint leads to the writer before
	steady   context.Context // done when something of this has changed
	unsettle context.CancelFunc
	refused  map[string]string // by role, what was wrong with its last token
}

// newDatabase starts a cluster's PostgreSQL. (RDS-16, RUN-4)
func (h *Host) newDatabase(ctx context.Context, spec account.Database) (*database, error) {
	dir, err := h.Folder("certificates")
	if err != nil {
		return nil, err
	}
	certificate, err := h.authority.issue(spec.Names...)
	if err != nil {
		return nil, err
	}
	certFile, keyFile, err := files(dir, spec.Cluster, certificate)
	if err != nil {
		return nil, err
	}
	server, err := postgrestest.Start(ctx, postgrestest.Options{User: superuser, CertFile: certFile, KeyFile: keyFile, Log: h.log})
	if err != nil {
		return nil, err
	}
	now := h.Account.Clock.Now()
	d := &database{
		cluster: spec.Cluster, account: h.Account, clock: h.Account.Clock, log: h.log, server: server,
		authority: h.authority, certificate: certificate,
		changing: make(chan struct{}, 1), spec: spec, proxies: map[string]*Proxy{}, refused: map[string]string{},
		turned: make(chan struct{}), quiet: now, rotated: now,
	}
	d.life, d.end = context.WithCancel(context.Background())
	d.steady, d.unsettle = context.WithCancel(d.life)
	if err := errors.Join(d.prepare(ctx), d.listen()); err != nil {
		return nil, errors.Join(err, d.close())
	}
	d.turnTo(awake)
	d.lives.Go(func() { d.live(d.life) })
	return d, nil
}

func (d *database) say(format string, args ...any) {
	fmt.Fprintf(d.log, "aurora: %s: %s\n", d.cluster, fmt.Sprintf(format, args...))
}

// become has the database be as described. What only a start of PostgreSQL changes waits for one. (RDS-26, RDS-27)
func (d *database) become(ctx context.Context, spec account.Database) error {
	return d.alone(ctx, func() error {
		before := d.describe(spec)
		switch {
		case len(spec.Writers) == 0:
			d.turnTo(away)
			if err := d.server.Stop(ctx); err != nil {
				return err
			}
			d.say("has no instance left; its data stays")
			return d.listen()
		case len(before.Writers) == 0:
			if err := d.server.Restart(ctx); err != nil {
				return err
			}
			d.turnTo(awake)
		case !sameSettings(before, spec):
			if err := d.disturb(ctx); err != nil {
				return err
			}
		}
		if !sameSettings(before, spec) {
			if err := d.configure(ctx); err != nil {
				return err
			}
		}
		if before.Version != spec.Version {
			if err := d.restart(ctx, restartTime); err != nil {
				return err
			}
			d.turnTo(awake)
			d.say("runs version %s", spec.Version)
		}
		return d.listen()
	})
}

// describe takes a description and answers the one before.
func (d *database) describe(spec account.Database) (before account.Database) {
	d.mu.Lock()
	defer d.mu.Unlock()
	before, d.spec = d.spec, spec
	d.note()
	return before
}

func sameSettings(a, b account.Database) bool {
	return reflect.DeepEqual(a.Settings, b.Settings) && a.PlainToo == b.PlainToo && a.Tokens == b.Tokens && a.SleepAfter == b.SleepAfter
}

// failOver restarts under the description's endpoints. For a while the name of the cluster's own leads to the writer before,
// which is a reader then, if it is there. (RDS-23, RDS-24)
func (d *database) failOver(ctx context.Context, spec account.Database) error {
	return d.alone(ctx, func() error {
		if err := d.restart(ctx, failOverTime); err != nil {
			return err
		}
		d.describe(spec)
		if err := d.listen(); err != nil {
			return err
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		if len(spec.Readers) > 0 {
			d.stale = d.clock.Now().Add(addressTime)
		}
		d.turn(awake)
		d.say("failed over; %s is the writer now", spec.Writers[1])
		return nil
	})
}

// listen has a proxy for each endpoint. Those of the cluster itself outlive its instances.
func (d *database) listen() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, name := range slices.Concat(d.spec.Writers, d.spec.Readers) {
		if d.proxies[name] != nil {
			continue
		}
		proxy, err := newProxy(func(client net.Conn) { d.carry(name, client) })
		if err != nil {
			return err
		}
		d.proxies[name] = proxy
	}
	return nil
}

// carry passes a connection to one of the endpoints on.
func (d *database) carry(endpoint string, client net.Conn) {
	defer d.leave()
	if !d.enter() {
		return
	}
	writes, reads := d.leadsTo(endpoint)
	switch tokens := d.takesTokens(); {
	case writes && !tokens:
		relay(client, d.server.Addr)
	case writes || reads:
		d.usher(endpoint, client, reads, tokens)
	}
}

// leadsTo says what the sessions of an endpoint may do; nothing when its instance is gone. (RDS-24)
func (d *database) leadsTo(endpoint string) (writes, reads bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if endpoint == d.spec.Endpoint && d.clock.Now().Before(d.stale) {
		return false, true
	}
	return slices.Contains(d.spec.Writers, endpoint), slices.Contains(d.spec.Readers, endpoint)
}

func (d *database) takesTokens() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.spec.Tokens
}

func (d *database) proxy(endpoint string) *Proxy {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.proxies[endpoint]
}

func (d *database) hangUp() error {
	d.mu.Lock()
	proxies := d.proxies
	d.proxies = map[string]*Proxy{}
	d.turn(away)
	d.mu.Unlock()
	var problems []error
	for _, proxy := range proxies {
		problems = append(problems, proxy.close())
	}
	return errors.Join(problems...)
}

func (d *database) close() error {
	d.end()
	d.lives.Wait()
	return errors.Join(d.hangUp(), d.server.Close())
}
