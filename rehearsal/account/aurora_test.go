package account_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"

	"example.com/todo/rehearsal/account"
)

// told is what the database was told to be last.
func (w *world) told() account.Database {
	w.Helper()
	w.runtime.mu.Lock()
	defer w.runtime.mu.Unlock()
	if len(w.runtime.run) == 0 {
		w.Fatal("no database runs")
	}
	return w.runtime.run[len(w.runtime.run)-1]
}

// reader makes a second instance.
func (w *world) reader(identifier string, tier int) made {
	w.Helper()
	return w.make(w.made["instance"].token, identifier, w.props["instance"].with(props{"identifier": identifier, "promotionTier": tier}))
}

func (w *world) endpoints(cluster made, output string, instances ...made) []string {
	all := []string{}
	if output != "" {
		all = append(all, cluster.state[output].(string))
	}
	for _, i := range instances {
		all = append(all, i.state["endpoint"].(string))
	}
	slices.Sort(all)
	return all
}

func sorted(names []string) []string { return slices.Sorted(slices.Values(names)) }

func mustCode(t *testing.T, err error, code string) {
	t.Helper()
	var refusal *account.APIError
	if !errors.As(err, &refusal) || refusal.Code != code {
		t.Errorf("got %v, want %s", err, code)
	}
}

// RDS-16, RDS-20
func TestClusterWithAnInstanceRuns(t *testing.T) {
	w := newCloud(t).world()
	d := w.told()
	if d.Name != "tasks" || d.User != "tasks" || len(d.Password) < 16 || d.Endpoint != w.made["cluster"].state["endpoint"] || d.SecretARN != w.secret() {
		t.Errorf("it was told to be %+v", d)
	}
	for _, row := range []struct {
		scaling props
		sleeps  time.Duration
	}{
		{props{"minCapacity": 0, "maxCapacity": 1}, 5 * time.Minute},
		{props{"minCapacity": 0, "maxCapacity": 1, "secondsUntilAutoPause": 3600}, time.Hour},
		{props{"minCapacity": 0.5, "maxCapacity": 1}, 0},
	} {
		if _, refused := w.update(w.made["cluster"], w.props["cluster"].with(props{"serverlessv2ScalingConfiguration": row.scaling})); refused != nil {
			t.Fatal(refused.text)
		}
		if got := w.told().SleepAfter; got != row.sleeps {
			t.Errorf("with %v it pauses after %s, want %s", row.scaling, got, row.sleeps)
		}
	}
}

// RDS-22, RDS-23, RDS-24, RDS-27
func TestEndpointsFollowTheInstances(t *testing.T) {
	w := newCloud(t).world()
	cluster, first := w.made["cluster"], w.made["instance"]
	own := cluster.state["endpoint"].(string)
	expect := func(writer made, readers ...made) {
		t.Helper()
		d := w.told()
		writers, reads := w.endpoints(cluster, "endpoint", writer), w.endpoints(cluster, "readerEndpoint", readers...)
		if len(readers) == 0 {
			writers, reads = sorted(append(writers, reads...)), nil
		}
		if diff := cmp.Diff(writers, sorted(d.Writers)); diff != "" {
			t.Errorf("endpoints of the writer (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(reads, sorted(d.Readers)); diff != "" {
			t.Errorf("endpoints of the readers (-want +got):\n%s", diff)
		}
	}
	expect(first)
	mustCode(t, w.account.FailoverDBCluster(t.Context(), cluster.id), "InvalidDBClusterStateFault")
	mustCode(t, w.account.FailoverDBCluster(t.Context(), "todo-other"), "DBClusterNotFoundFault")
	third, second := w.reader("todo-test-2", 2), w.reader("todo-test-3", 1)
	expect(first, second, third)

	mustCode(t, w.account.RebootDBInstance(t.Context(), second.id), "InvalidDBInstanceState")
	mustCode(t, w.account.RebootDBInstance(t.Context(), "todo-test-9"), "DBInstanceNotFound")
	if err := w.account.RebootDBInstance(t.Context(), first.id); err != nil {
		t.Error(err)
	}
	if err := w.account.FailoverDBCluster(t.Context(), cluster.id); err != nil {
		t.Fatal(err)
	}
	expect(second, first, third)
	if inputs, state := w.read(first); state["writer"] != false || cmp.Diff(first.inputs["identifier"], inputs["identifier"]) != "" {
		t.Errorf("the writer before says %v", state["writer"])
	}
	for _, gone := range []made{second, first, third} {
		if refused := w.remove(gone); refused != nil {
			t.Fatal(refused.text)
		}
	}
	if d := w.told(); len(d.Writers)+len(d.Readers) > 0 || d.Endpoint != own {
		t.Errorf("without instances the database is told to answer at %v and %v", d.Writers, d.Readers)
	}
	want := []string{"restart todo-test"}
	for _, writer := range []made{second, first, third} {
		want = append(want, "fail over to "+writer.state["endpoint"].(string))
	}
	if diff := cmp.Diff(want, w.runtime.done); diff != "" {
		t.Errorf("what was done (-want +got):\n%s", diff)
	}
}

// RDS-27
func TestTheReaderThatTakesOverIsDeletedToo(t *testing.T) {
	w := newCloud(t).world()
	instances := []made{w.made["instance"], w.reader("todo-test-2", 1)}
	busy, free := make(chan struct{}), make(chan struct{})
	w.runtime.during = sync.OnceFunc(func() {
		close(busy)
		<-free
	})
	var all sync.WaitGroup
	all.Go(func() {
		if _, refused := w.update(w.made["cluster"], w.props["cluster"].with(props{"backupRetentionPeriod": 2})); refused != nil {
			t.Error(refused.text)
		}
	})
	<-busy
	for _, gone := range instances {
		all.Go(func() {
			if refused := w.remove(gone); refused != nil {
				t.Error(refused.text)
			}
		})
	}
	for w.account.Clusters()[0].Writer != "" {
		<-time.After(time.Millisecond)
	}
	close(free)
	all.Wait()
	if d := w.told(); len(d.Writers)+len(d.Readers) > 0 {
		t.Errorf("without instances the database is told to answer at %v and %v", d.Writers, d.Readers)
	}
}

func (c *cloud) read(m made) (inputs, state map[string]any) {
	c.Helper()
	read, err := c.client.Read(c.Context(), &pulumirpc.ReadRequest{Id: m.id, Urn: urn(m.token, m.name)})
	if err != nil {
		c.Fatal(err)
	}
	return read.GetInputs().AsMap(), read.GetProperties().AsMap()
}

// RDS-25
func TestConnectionsComeFromTheCapacity(t *testing.T) {
	w := newCloud(t).world()
	for _, row := range []struct {
		least, most float64
		connections string
	}{
		{0, 1, "189"}, {0.5, 4, "823"}, {1, 8, "1669"}, {0, 8, "1669"}, {1, 16, "3360"}, {0.5, 16, "2000"}, {0, 256, "2000"}, {1, 32, "5000"}, {2, 256, "5000"},
	} {
		if _, refused := w.update(w.made["cluster"], w.props["cluster"].with(props{
			"serverlessv2ScalingConfiguration": props{"minCapacity": row.least, "maxCapacity": row.most}})); refused != nil {
			t.Fatal(refused.text)
		}
		if got := w.told().Settings["max_connections"]; got != row.connections {
			t.Errorf("from %v to %v units: %s connections, want %s", row.least, row.most, got, row.connections)
		}
	}
}

// RDS-26
func TestParametersReachTheClustersOfTheirGroup(t *testing.T) {
	w := newCloud(t).world()
	set := func(of string, all ...props) {
		t.Helper()
		if _, refused := w.update(w.made[of], w.props[of].with(props{"parameters": all})); refused != nil {
			t.Fatal(refused.text)
		}
	}
	set("parameters", props{"name": "rds.force_ssl", "value": "0"}, props{"name": "log_lock_waits", "value": "1"},
		props{"name": "max_connections", "value": "50", "applyMethod": "pending-reboot"})
	d := w.told()
	want := map[string]string{"log_lock_waits": "1", "max_connections": "50"}
	if diff := cmp.Diff(want, d.Settings); diff != "" || !d.PlainToo {
		t.Errorf("settings (-want +got):\n%s\nwithout TLS: %t, want true", diff, d.PlainToo)
	}
	set("parameters")
	if d := w.told(); d.PlainToo || len(d.Settings) != 1 {
		t.Errorf("without parameters version 17 is told %v, without TLS: %t", d.Settings, d.PlainToo)
	}
	before := len(w.runtime.run)
	w.make(w.made["parameters"].token, "unused", w.props["parameters"])
	if len(w.runtime.run) != before {
		t.Error("a group without clusters changed a database")
	}
}

// RDS-13, RDS-28
func TestFinalSnapshotsStayUnderNamesOfTheirOwn(t *testing.T) {
	w := newCloud(t).world()
	if refused := w.remove(w.made["instance"]); refused != nil {
		t.Fatal(refused.text)
	}
	lives := func(snapshot string) *refusal {
		t.Helper()
		m, refused := w.update(w.made["cluster"], w.props["cluster"].with(props{"skipFinalSnapshot": false, "finalSnapshotIdentifier": snapshot}))
		if refused != nil {
			t.Fatal(refused.text)
		}
		if refused := w.remove(m); refused != nil {
			return refused
		}
		w.made["cluster"] = w.make(m.token, m.name, w.props["cluster"])
		return nil
	}
	if refused := lives("todo-final-1"); refused != nil {
		t.Fatal(refused.text)
	}
	w.mustRefuse(lives("todo-final-1"), "up", "DBClusterSnapshotAlreadyExistsFault")
	if refused := lives("todo-final-2"); refused != nil {
		t.Fatal(refused.text)
	}
	if diff := cmp.Diff([]string{"todo-final-1", "todo-final-2"}, w.account.Snapshots()); diff != "" {
		t.Errorf("snapshots (-want +got):\n%s", diff)
	}
}

// RDS-29, RDS-30
func TestMinorVersionsMoveByThemselvesAndNeverBack(t *testing.T) {
	w := newCloud(t).world()
	cluster := w.made["cluster"]
	upgrade := func(version string) error {
		return w.account.UpgradeMinorVersion(t.Context(), cluster.id, version)
	}
	for _, version := range []string{"17.9", "18.4"} {
		if upgrade(version) == nil {
			t.Errorf("17.10 was upgraded to %s", version)
		}
	}
	if err := upgrade("17.11"); err != nil {
		t.Fatal(err)
	}
	inputs, state := w.read(cluster)
	if inputs["engineVersion"] != "17" || state["engineVersionActual"] != "17.11" || w.told().Version != "17.11" {
		t.Errorf("after the upgrade of a cluster of version 17: asked for %v, runs %v", inputs["engineVersion"], state["engineVersionActual"])
	}
	if _, refused := w.update(cluster, w.props["cluster"]); refused != nil {
		t.Errorf("asking for 17 once more: %s", refused.text)
	}

	_, refused := w.update(cluster, w.props["cluster"].with(props{"engineVersion": "17.9"}))
	w.mustRefuse(refused, "up", "Cannot upgrade aurora-postgresql from 17.11 to 17.9")
	_, refused = w.update(cluster, w.props["cluster"].with(props{"engineVersion": "18"}))
	w.mustRefuse(refused, "up", "The AllowMajorVersionUpgrade flag must be present")

	pinned := w.make(cluster.token, "pinned", w.props["cluster"].with(props{"clusterIdentifier": "pinned", "engineVersion": "17.7"}))
	w.make(w.made["instance"].token, "pinned-1", w.props["instance"].with(props{"identifier": "pinned-1", "clusterIdentifier": "pinned", "autoMinorVersionUpgrade": false}))
	if w.account.UpgradeMinorVersion(t.Context(), pinned.id, "17.9") == nil {
		t.Error("a cluster whose instance takes no minor versions was upgraded")
	}
	moved, refused := w.update(pinned, w.props["cluster"].with(props{"clusterIdentifier": "pinned", "engineVersion": "17.9"}))
	if refused != nil || moved.state["engineVersionActual"] != "17.9" {
		t.Errorf("17.7 did not become 17.9: %v", refused)
	}
	w.make(cluster.token, "idle", w.props["cluster"].with(props{"clusterIdentifier": "idle", "engineVersion": "17.7"}))
	if err := w.account.UpgradeMinorVersion(t.Context(), "idle", "17.9"); err != nil {
		t.Fatal(err)
	}
	if inputs, _ := w.read(made{token: cluster.token, name: "idle", id: "idle"}); inputs["engineVersion"] != "17.9" {
		t.Errorf("a cluster pinned to 17.7 is read as %v after an upgrade to 17.9, want that as a change", inputs["engineVersion"])
	}
}

// SM-3, SM-4
func TestRotationMovesTheStagesAfterThePassword(t *testing.T) {
	w := newCloud(t).world()
	own := w.made["own"].state["arn"].(string)
	read := func(id, stage string) (account.SecretValue, error) {
		return w.account.GetSecretValue(caller(own), w.secret(), id, stage)
	}
	first, err := read("", "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = read("", account.StagePrevious)
	mustCode(t, err, "ResourceNotFoundException")

	w.runtime.during = func() { mustCode(t, w.account.RotateSecret(t.Context(), w.secret()), "InvalidRequestException") }
	w.runtime.fails = errors.New("the database is away")
	if err := w.account.RotateSecret(t.Context(), w.secret()); !errors.Is(err, w.runtime.fails) {
		t.Errorf("a rotation that failed: %v", err)
	}
	if now, err := read("", account.StageCurrent); err != nil || now.Value != first.Value {
		t.Errorf("a rotation that failed left %q, %v", now.Value, err)
	}
	w.runtime.fails, w.runtime.during = nil, func() {}
	for range 2 {
		before, err := read("", "")
		if err != nil {
			t.Fatal(err)
		}
		if err := w.account.RotateSecret(t.Context(), w.secret()); err != nil {
			t.Fatal(err)
		}
		now, err := read("", account.StageCurrent)
		if err != nil || now.VersionID == before.VersionID || now.Value == before.Value {
			t.Errorf("the current version is still %+v, %v", now, err)
		}
		if last := w.runtime.done[len(w.runtime.done)-1]; !strings.HasPrefix(last, "password of todo-test: ") || !strings.Contains(now.Value, last[len("password of todo-test: "):]) {
			t.Errorf("the secret's password is not the database's: %s", last)
		}
		previous, err := read(before.VersionID, account.StagePrevious)
		if err != nil || previous.Value != before.Value || fmt.Sprint(previous.Stages) != "[AWSPREVIOUS]" {
			t.Errorf("the version before is %+v, %v", previous, err)
		}
	}
	_, err = read(first.VersionID, "")
	mustCode(t, err, "ResourceNotFoundException")
	if _, state := w.read(w.made["cluster"]); state["masterUserSecrets"].([]any)[0].(map[string]any)["secretStatus"] != "active" {
		t.Errorf("the cluster says %v", state["masterUserSecrets"])
	}
	mustCode(t, w.account.RotateSecret(t.Context(), "rds!cluster-other"), "ResourceNotFoundException")
}
