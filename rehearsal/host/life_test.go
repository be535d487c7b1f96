package host

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"example.com/todo/rehearsal/account"
	"example.com/todo/rehearsal/provider"
)

// A life is a cluster whose database a test follows.
type life struct {
	*testing.T
	*cloud
	cluster made
	own     string // the cluster's endpoint
}

func newLife(t *testing.T) *life {
	t.Helper()
	l := &life{T: t, cloud: newCloud(t)}
	var err error
	if l.cluster, err = l.cloud.cluster(); err != nil {
		t.Fatal(err)
	}
	l.own = l.cluster.output("endpoint")
	return l
}

func same(*pgx.ConnConfig) {}

// open opens a session; ending it is the test's.
func (l *life) open(endpoint string) *pgx.Conn {
	l.Helper()
	conn, err := l.connect(l.cluster, endpoint, same)
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { _ = conn.Close(context.Background()) }) // most have ended before
	return conn
}

func (l *life) end(conn *pgx.Conn) {
	l.Helper()
	if err := conn.Close(l.Context()); err != nil {
		l.Error(err)
	}
}

func run(conn *pgx.Conn, statement string) error {
	_, err := conn.Exec(context.Background(), statement)
	return err
}

func (l *life) must(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

// show is a setting as a new session has it.
func (l *life) show(setting string) string {
	l.Helper()
	conn := l.open(l.own)
	defer l.end(conn)
	var value string
	l.must(conn.QueryRow(l.Context(), "SELECT current_setting($1)", setting).Scan(&value))
	return value
}

// asleep lets the time pass after which the database pauses, which it must do.
func (l *life) asleep() {
	l.Helper()
	d := l.host.databaseOf(l.cluster.id)
	await(l.T, "no connection is open", func() bool { return d.connections() == 0 })
	l.host.Account.Clock.Skip(300 * time.Second)
	await(l.T, "the database pauses", func() bool { return l.host.Paused(l.cluster.id) && !listens(d.server.Addr) })
}

func (d *database) connections() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.open
}

// RDS-20, RDS-21
func TestDatabasePausesWithoutConnectionsAndWakesForOne(t *testing.T) {
	l := newLife(t)
	clock := l.host.Account.Clock
	conn := l.open(l.own)
	l.must(run(conn, "CREATE TABLE kept (v int)"))
	clock.Skip(24 * time.Hour)
	// Longer than PostgreSQL would take to stop.
	if err := run(conn, "SELECT pg_sleep(0.5)"); err != nil || l.host.Paused(l.cluster.id) {
		t.Fatalf("with an open connection the database paused: %v", err)
	}
	l.end(conn)

	for _, sleep := range []struct{ lasts, wakes time.Duration }{{time.Hour, wakeTime}, {25 * time.Hour, deepWakeTime}} {
		l.asleep()
		clock.Skip(sleep.lasts)
		before := clock.Now()
		conn = l.open(l.own)
		if took := clock.Now().Sub(before); took < sleep.wakes {
			t.Errorf("after %s of sleep a connection took %s of AWS's time, want %s", sleep.lasts, took, sleep.wakes)
		}
		if err := run(conn, "SELECT v FROM kept"); err != nil {
			t.Errorf("what was stored before the pause: %v", err)
		}
		l.end(conn)
	}

	l.asleep()
	var refusal *pgconn.PgError
	_, err := l.connect(l.cluster, l.own, func(config *pgx.ConnConfig) { config.Password = "guess" })
	if !errors.As(err, &refusal) || refusal.Code != "28P01" || l.host.Paused(l.cluster.id) {
		t.Errorf("whoever connects with a wrong password got %v; paused: %t", err, l.host.Paused(l.cluster.id))
	}

	l.must(l.host.Pause(t.Context(), l.cluster.id))
	if !l.host.Paused(l.cluster.id) {
		t.Error("not paused after Pause")
	}
	l.must(l.host.Wake(t.Context(), l.cluster.id))
	if l.host.Paused(l.cluster.id) {
		t.Error("paused after Wake")
	}
}

// A client that has no processor closes nothing: what lets the database pause is that PostgreSQL itself ends idle sessions.
// RDS-20, RDS-26
func TestDatabaseThatEndsIdleSessionsPauses(t *testing.T) {
	l := newLife(t)
	parameters, err := l.make("aws:rds/clusterParameterGroup:ClusterParameterGroup", "parameters", props{
		"family": "aurora-postgresql17", "parameters": []any{props{"name": "idle_session_timeout", "value": "1000"}}})
	l.must(err)
	l.must(l.change(clusterToken, l.cluster, l.props, props{"dbClusterParameterGroupName": parameters.id}))
	idle := l.open(l.own)
	l.asleep()
	var ended *pgconn.PgError
	if err := run(idle, "SELECT 1"); !errors.As(err, &ended) || ended.Code != "57P05" {
		t.Errorf("the idle session was told %v, want 57P05", err)
	}
}

// RDS-20
func TestDatabaseThatMayNotPauseOrWasChangedStaysAwake(t *testing.T) {
	l := newLife(t)
	l.asleep()
	l.must(l.change(clusterToken, l.cluster, l.props, props{"serverlessv2ScalingConfiguration": capacity(0, 2)}))
	if l.host.Paused(l.cluster.id) {
		t.Error("a changed capacity did not wake the database")
	}
	if _, due, _ := l.host.databaseOf(l.cluster.id).next(); due.Before(l.host.Account.Clock.Now().Add(stayAwake - time.Minute)) {
		t.Errorf("then it pauses at %s, want that after %s", due, stayAwake)
	}
	l.must(l.change(clusterToken, l.cluster, l.props, props{"serverlessv2ScalingConfiguration": capacity(0.5, 2)}))
	l.host.Account.Clock.Skip(24 * time.Hour)
	if err := l.host.Pause(t.Context(), l.cluster.id); err == nil || l.host.Paused(l.cluster.id) {
		t.Errorf("with a minimum of half a unit the database pauses: %v", err)
	}
}

// RDS-22
func TestRestartCutsConnectionsAndKeepsData(t *testing.T) {
	l := newLife(t)
	conn := l.open(l.own)
	l.must(run(conn, "CREATE TABLE kept (v int)"))
	restarted := make(chan error, 1)
	go func() { restarted <- l.host.Account.RebootDBInstance(l.ctx, "todo-test-1") }()
	await(t, "the database is away", func() bool {
		now, _ := l.host.databaseOf(l.cluster.id).lookAt()
		return now == away
	})
	if _, err := l.connect(l.cluster, l.own, same); err == nil {
		t.Error("a database that restarts takes connections")
	}
	l.host.Account.Clock.Skip(restartTime)
	l.must(<-restarted)
	if err := run(conn, "SELECT 1"); err == nil {
		t.Error("an open connection outlived the restart")
	}
	if err := run(l.open(l.own), "SELECT v FROM kept"); err != nil {
		t.Errorf("what was stored before the restart: %v", err)
	}
	if err := l.host.Account.RebootDBInstance(l.ctx, "todo-test-9"); err == nil {
		t.Error("an instance that does not exist was restarted")
	}
}

// RDS-23, RDS-24
func TestFailoverMovesTheEndpoints(t *testing.T) {
	l := newLife(t)
	second, err := l.instance("todo-test-2")
	l.must(err)
	reader := l.cluster.output("readerEndpoint")
	const write = "INSERT INTO kept VALUES (1)"
	mayWrite := func(endpoint string, want bool) {
		t.Helper()
		conn := l.open(endpoint)
		defer l.end(conn)
		err := run(conn, write)
		var refusal *pgconn.PgError
		switch {
		case want && err != nil:
			t.Errorf("%s: %v", endpoint, err)
		case !want && (!errors.As(err, &refusal) || refusal.Code != "25006"):
			t.Errorf("%s: got %v, want a refusal to write", endpoint, err)
		}
		if err := run(conn, "SELECT v FROM kept"); err != nil {
			t.Errorf("%s: %v", endpoint, err)
		}
	}
	conn := l.open(l.own)
	l.must(run(conn, "CREATE TABLE kept (v int)"))
	mayWrite(l.own, true)
	mayWrite(reader, false)
	mayWrite(second.output("endpoint"), false)
	if _, err := l.connect(l.cluster, reader, func(config *pgx.ConnConfig) { config.TLSConfig = nil }); err == nil {
		t.Error("the reader takes connections without TLS")
	}

	failedOver := make(chan error, 1)
	go func() { failedOver <- l.host.Account.FailoverDBCluster(l.ctx, l.cluster.id) }()
	await(t, "the database is away", func() bool {
		now, _ := l.host.databaseOf(l.cluster.id).lookAt()
		return now == away
	})
	l.host.Account.Clock.Skip(failOverTime)
	l.must(<-failedOver)
	if err := run(conn, "SELECT 1"); err == nil {
		t.Error("an open connection outlived the failover")
	}
	mayWrite(second.output("endpoint"), true)
	mayWrite(reader, false)
	// The name still leads to the writer before, which the clock has not to pass over while we look.
	d := l.host.databaseOf(l.cluster.id)
	d.mu.Lock()
	d.stale = d.clock.Now().Add(time.Hour)
	d.mu.Unlock()
	mayWrite(l.own, false)
	l.host.Account.Clock.Skip(time.Hour)
	mayWrite(l.own, true)
}

// RDS-24, RDS-27
func TestInstancesGoAndTheirDataStays(t *testing.T) {
	l := newLife(t)
	conn := l.open(l.cluster.output("readerEndpoint"))
	if err := run(conn, "CREATE TABLE kept (v int)"); err != nil {
		t.Errorf("the reader endpoint of a cluster without readers does not write: %v", err)
	}
	l.must(l.host.Account.Delete(l.ctx, session, instanceToken, "todo-test-1"))
	if err := run(conn, "SELECT 1"); err == nil {
		t.Error("a connection outlived the last instance")
	}
	if _, err := l.connect(l.cluster, l.own, same); err == nil {
		t.Error("a cluster without instances answers")
	}
	_, err := l.instance("todo-test-3")
	l.must(err)
	if err := run(l.open(l.own), "SELECT v FROM kept"); err != nil {
		t.Errorf("what was stored under the instance before: %v", err)
	}
	_, err = l.instance("todo-test-4")
	l.must(err)
	deleted := make(chan error, 1)
	go func() { deleted <- l.host.Account.Delete(l.ctx, session, instanceToken, "todo-test-3") }()
	await(t, "the database is away", func() bool {
		now, _ := l.host.databaseOf(l.cluster.id).lookAt()
		return now == away
	})
	l.host.Account.Clock.Skip(failOverTime)
	l.must(<-deleted)
	if err := run(l.open(l.own), "INSERT INTO kept VALUES (1)"); err != nil {
		t.Errorf("a reader has not taken over from a writer that was deleted: %v", err)
	}
}

// Two instances that are deleted at once: the one that was to take over is leaving, too, when it comes to that. RDS-27
func TestAFailoverToNobodyEnds(t *testing.T) {
	l := newLife(t)
	d := l.host.databaseOf(l.cluster.id)
	spec := d.spec
	spec.Writers, spec.Readers = nil, nil
	l.must(l.host.FailOver(l.ctx, spec))
	if now, _ := d.lookAt(); now != away {
		t.Errorf("a cluster without instances is in the state %d, want it away", now)
	}
	if _, err := l.connect(l.cluster, l.own, same); err == nil {
		t.Error("a cluster without instances answers")
	}
}

var session = provider.Session{Region: region}

// SM-3, SM-4
func TestManagedPasswordRotates(t *testing.T) {
	l := newLife(t)
	conn := l.open(l.own)
	secret := func(stage string) string {
		t.Helper()
		value, err := l.secret(l.cluster, stage)
		l.must(err)
		return value.Password
	}
	first := secret(account.StageCurrent)
	if _, err := l.secret(l.cluster, account.StagePrevious); err == nil {
		t.Error("a secret that was never rotated has a previous version")
	}
	l.must(l.host.Account.RotateSecret(t.Context(), secretOf(l.cluster)))
	second := secret(account.StageCurrent)
	if second == first || secret(account.StagePrevious) != first {
		t.Error("the new password is not current, or the one before not previous")
	}
	if err := run(conn, "SELECT 1"); err != nil {
		t.Errorf("an open connection did not outlive the rotation: %v", err)
	}
	l.end(l.open(l.own))
	var refusal *pgconn.PgError
	if _, err := l.connect(l.cluster, l.own, func(c *pgx.ConnConfig) { c.Password = first }); !errors.As(err, &refusal) || refusal.Code != "28P01" {
		t.Errorf("the password before: got %v, want a refusal", err)
	}

	l.host.Account.Clock.Skip(rotateAfter)
	await(t, "the password is rotated after a week", func() bool { return secret(account.StageCurrent) != second })
	if secret(account.StagePrevious) != second {
		t.Error("the password of the week before is not the previous one")
	}
	l.end(conn)

	l.asleep()
	l.must(l.host.Account.RotateSecret(t.Context(), secretOf(l.cluster)))
	l.end(l.open(l.own))
}

// RDS-25, RDS-26
func TestParametersTakeEffect(t *testing.T) {
	l := newLife(t)
	group := props{"family": "aurora-postgresql17", "parameters": []any{props{"name": "log_min_duration_statement", "value": "1500"}}}
	parameters, err := l.make("aws:rds/clusterParameterGroup:ClusterParameterGroup", "parameters", group)
	l.must(err)
	if got := l.show("max_connections"); got != "189" {
		t.Errorf("max_connections is %s, want Aurora's 189 for a capacity of 1", got)
	}
	l.must(l.change(clusterToken, l.cluster, l.props, props{
		"dbClusterParameterGroupName": parameters.id, "serverlessv2ScalingConfiguration": capacity(0, 4)}))
	if got := l.show("log_min_duration_statement"); got != "1500ms" {
		t.Errorf("log_min_duration_statement is %s, want the group's 1500ms", got)
	}
	if got := l.show("max_connections"); got != "189" {
		t.Errorf("max_connections is %s before a restart", got)
	}
	l.asleep()
	if got := l.show("max_connections"); got != "823" {
		t.Errorf("max_connections is %s after a pause, want Aurora's 823 for a capacity of 4", got)
	}

	plain := func() error {
		conn, err := l.connect(l.cluster, l.own, func(config *pgx.ConnConfig) { config.TLSConfig = nil })
		if err != nil {
			return err
		}
		return conn.Close(t.Context())
	}
	for value, accepted := range map[string]bool{"0": true, "1": false} {
		l.must(l.change("aws:rds/clusterParameterGroup:ClusterParameterGroup", parameters, group, props{
			"parameters": []any{props{"name": "rds.force_ssl", "value": value}}}))
		if err := plain(); (err == nil) != accepted {
			t.Errorf("with rds.force_ssl=%s a connection without TLS: %v", value, err)
		}
	}
	if got := l.show("log_min_duration_statement"); got != "-1" {
		t.Errorf("log_min_duration_statement is %s after the group has let go of it", got)
	}
}
