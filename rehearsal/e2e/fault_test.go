package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/todo/rehearsal/fault"
)

// What goes wrong while a stack comes up, and that the next `up` gets over it. (PRO-7, PRO-8, PRO-9, PRO-10, PRO-11)
func TestFaults(t *testing.T) {
	t.Parallel()
	l := &life{root: repository(t)}
	l.stage = open(t, l.root)
	instances := 1
	// more has the next update make one more instance, which takes for ever.
	more := func(t *testing.T) (name, id string, met <-chan struct{}) {
		t.Helper()
		instances++
		configure(t, l.root, "faulty", fmt.Sprintf("todo:maxInstances: 1\n  todo:finalSnapshot: false\n  todo:databaseInstances: %d", instances))
		return fmt.Sprintf("database-%d", instances), fmt.Sprintf("todo-faulty-%d", instances), l.inject(t, "rds:CreateDBInstance=10000h")
	}
	configure(t, l.root, "faulty", "todo:maxInstances: 1\n  todo:finalSnapshot: false")
	l.stack = stackOf(t, l.stage, "faulty")
	aws := newDeployer(t, l.stage, l.root, l.stack)

	const listening, broken = `log.Info("listening"`, `panic("a broken release"); log.Info("listening"`
	if !t.Run("each update goes on where the one before stopped", func(t *testing.T) {
		edit(t, l.root, "service/main.go", listening, broken)
		surfacing := []string{
			"ec2:CreateVpc=UnauthorizedOperation", "ec2:CreateSubnet=InvalidSubnet.Conflict", "iam:CreateRole=AccessDenied", "logs:CreateLogGroup=OperationAbortedException",
			"rds:CreateDBInstance=InsufficientDBInstanceCapacity*2", "ecr:CreateRepository=LimitExceeded", "apprunner:CreateVpcConnector=ServiceQuotaExceededException",
			"apprunner:CreateService=InvalidStateException",
		}
		for _, text := range append(surfacing, "ec2:CreateVpc=throttle*2", "rds:CreateDBCluster=internal", "apprunner:CreateAutoScalingConfiguration=throttle",
			"aws:ecr/getAuthorizationToken:getAuthorizationToken=throttle", "docker:index/image:Image=5s") {
			l.inject(t, text)
		}
		var last error
		for tries := 0; l.stage.Faults.Pending() > 0; tries++ {
			if tries > len(surfacing)+1 {
				t.Fatalf("after %d updates these faults have not been met: %v\n%v", tries, l.stage.Faults.Clear(), last)
			}
			if last = l.up(t); last == nil {
				t.Fatalf("an update succeeds before these faults were met: %v", l.stage.Faults.Clear())
			}
		}
		// The service's own first release does not start. (AR-11)
		if last = l.up(t); last == nil || !strings.Contains(last.Error(), "CREATE_FAILED") {
			t.Fatalf("a service that does not start comes up: %v", last)
		}
		if diff := cmp.Diff([]string{"create " + dashboard, "update " + service}, plan(t, l.stack).Changes()); diff != "" {
			t.Errorf("what a preview plans then (-want +got):\n%s", diff)
		}
		edit(t, l.root, "service/main.go", broken, listening)
		must(t, l.stack.Up)
		l.whole(t)
	}) {
		return
	}

	t.Run("an update that was told to stop is taken up by the next", func(t *testing.T) {
		name, _, met := more(t)
		ctx, stop := context.WithCancel(t.Context())
		go func() {
			<-met
			stop()
		}()
		var out bytes.Buffer
		if err := l.stack.Up(ctx, &out); err == nil {
			t.Fatal("the update ended well")
		}
		must(t, l.stack.Up)
		l.whole(t)
		l.known(t, "ClusterInstance", name)
	})

	t.Run("after the end of a provider the state is recovered", func(t *testing.T) {
		name, id, met := more(t)
		go func() {
			<-met
			if err := l.stage.RestartProviders(); err != nil {
				t.Error(err)
			}
		}()
		if err := l.up(t); err == nil {
			t.Fatal("the update ended well")
		}
		if err := l.up(t); err == nil || !strings.Contains(err.Error(), "DBInstanceAlreadyExists") {
			t.Fatalf("the next update: got %v, want it to meet what AWS has made", err)
		}
		l.recovers(t, aws, "adopt     aws:rds/clusterInstance:ClusterInstance "+name+", which is "+id)
	})

	t.Run("after the end of the engine the state is unlocked and recovered", func(t *testing.T) {
		name, id, met := more(t)
		killed(t, aws, met)
		printed, err := aws.run(t, "recover", "--stack", "faulty")
		if err == nil || !strings.Contains(printed, "recover with --unlock") {
			t.Errorf("a locked stack: %v\n%s", err, printed)
		}
		l.recovers(t, aws, "adopt     aws:rds/clusterInstance:ClusterInstance "+name+", which is "+id, "--unlock")
	})

	t.Run("after the end of the engine while an image was pushed the next update pushes it", func(t *testing.T) {
		edit(t, l.root, "service/main.go", listening, `log.Info("listening now"`)
		killed(t, aws, l.inject(t, "docker:index/image:Image=10000h"))
		l.recovers(t, aws, "there is nothing in AWS that the next update would make", "--unlock")
	})

	t.Run("a stack that was destroyed half-way is destroyed", func(t *testing.T) {
		l.inject(t, "rds:DeleteDBInstance=internal")
		l.inject(t, "ec2:DeleteSubnet=DependencyViolation")
		l.inject(t, "apprunner:DeleteService=InvalidStateException")
		for range 2 {
			if err := l.stack.Destroy(t.Context(), &bytes.Buffer{}); err == nil {
				break
			}
		}
		must(t, l.stack.Destroy)
		if n := l.account().Count(); n != 0 {
			t.Errorf("%d resources are left in the account", n)
		}
	})
}

func (l *life) inject(t *testing.T, text string) (met <-chan struct{}) {
	t.Helper()
	f, err := fault.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return l.stage.Faults.Inject(f)
}

// up runs an update that may fail; what it printed is in the error.
func (l *life) up(t *testing.T) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var out bytes.Buffer
	if err := l.stack.Up(ctx, &out); err != nil {
		return fmt.Errorf("%w\n%s", err, out.String())
	}
	return nil
}

// recovers runs the command that recovers, and then an update, after which all is well.
func (l *life) recovers(t *testing.T, aws *deployer, says string, args ...string) {
	t.Helper()
	printed, err := aws.run(t, append([]string{"recover", "--stack", l.stack.Name}, args...)...)
	if err != nil || !strings.Contains(printed, says) {
		t.Fatalf("recover: %v; it does not say %q:\n%s", err, says, printed)
	}
	must(t, l.stack.Up)
	l.whole(t)
}

// whole expects the service to work, nothing to do, and all that is in the account to be in the state.
func (l *life) whole(t *testing.T) {
	t.Helper()
	l.settled(t)
	exported, err := l.stack.Export(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var state struct {
		Deployment struct {
			Resources []known
			Pending   []any `json:"pending_operations"`
		}
	}
	if err := json.Unmarshal(exported, &state); err != nil {
		t.Fatal(err)
	}
	made := 0
	for _, r := range state.Deployment.Resources {
		if strings.HasPrefix(r.Type, "aws:") && r.ID != "" {
			made++
		}
	}
	if n := l.account().Count(); n != made || len(state.Deployment.Pending) > 0 {
		t.Errorf("the account has %d resources, the state %d, and %d operations are pending", n, made, len(state.Deployment.Pending))
	}
}

// killed runs an update and kills the engine, with all that it has started, when something happens.
func killed(t *testing.T, aws *deployer, when <-chan struct{}) {
	t.Helper()
	// The shell finds the CLI in its own PATH.
	command := exec.Command("/bin/sh", "-c", "exec pulumi up --yes --skip-preview --non-interactive --stack faulty")
	command.Dir, command.Env = aws.root, aws.environment
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var out bytes.Buffer
	command.Stdout, command.Stderr = &out, &out
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	select {
	case <-when:
	case err := <-ended:
		t.Fatalf("the update ended by itself: %v\n%s", err, out.String())
	case <-time.After(patience):
	}
	if err := syscall.Kill(-command.Process.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil {
		t.Fatal("the engine was killed and says that all went well")
	}
}
