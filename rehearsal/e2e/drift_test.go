package e2e

import (
	"errors"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/todo/rehearsal/account"
)

const (
	service     = "aws:apprunner/service:Service service-apprunner"
	image       = "docker:index/image:Image image-build"
	dashboard   = "aws:cloudwatch/dashboard:Dashboard monitoring-dashboard"
	cluster     = "aws:rds/cluster:Cluster database-cluster"
	ingressRule = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule network-database-from-service"
	instance    = "aws:rds/clusterInstance:ClusterInstance database-1"
	rolePolicy  = "aws:iam/rolePolicy:RolePolicy service-instance"
)

// What somebody changes in AWS's console, and what AWS changes by itself. (ACC-2)
func (l *life) drift(t *testing.T) {
	// After a failover, above.
	t.Run("what AWS does by itself is no change", func(t *testing.T) {
		if err := l.account().RotateSecret(t.Context(), l.cluster(t).SecretARN); err != nil {
			t.Fatal(err)
		}
		if err := l.account().UpgradeMinorVersion(t.Context(), l.cluster(t).ID, "17.11"); err != nil {
			t.Fatal(err)
		}
		l.settled(t)
	})

	t.Run("what somebody did in the console is found and repaired, and the data is there", func(t *testing.T) {
		made := l.client(t).do(t, http.MethodPost, "/api/v1/tasks", `{"title":"outlives its instance"}`)
		l.remove(t, "SecurityGroupIngressRule", "network-database-from-service")
		l.remove(t, "RolePolicy", "service-instance")
		l.remove(t, "Service", "service-apprunner")
		l.remove(t, "ClusterInstance", "database-1")
		l.modify(t, "Cluster", "database-cluster", map[string]any{"serverlessv2ScalingConfiguration.maxCapacity": 4})
		var refusal *account.APIError
		if err := l.account().DeleteSecret(l.cluster(t).SecretARN); !errors.As(err, &refusal) || refusal.Code != "InvalidRequestException" {
			t.Errorf("deleting the managed secret: got %v, want a refusal", err)
		}
		found := l.drifts(t, "delete "+service, "delete "+rolePolicy, "delete "+instance, "delete "+ingressRule, "update "+cluster)
		for _, step := range found.Steps {
			if step.Op == "update" {
				if diff := cmp.Diff([]string{"serverlessv2ScalingConfiguration.maxCapacity"}, step.DiffReasons); diff != "" {
					t.Errorf("what has changed (-want +got):\n%s", diff)
				}
			}
		}
		l.repairs(t, "create "+service, "create "+rolePolicy, "create "+instance, "create "+ingressRule, "update "+dashboard, "update "+cluster)
		if kept := l.client(t).do(t, http.MethodGet, made.header.Get("Location"), ""); kept.status != http.StatusOK {
			t.Errorf("the task made before answers %d", kept.status)
		}
	})

	// The provider reports a success. (AR-12)
	t.Run("a release that App Runner rolled back is found and repaired", func(t *testing.T) {
		const listening, broken = `log.Info("listening"`, `panic("a broken release"); log.Info("listening"`
		before := l.client(t).do(t, http.MethodGet, "/version", "").body["version"]
		edit(t, l.root, "service/main.go", listening, broken)
		must(t, l.stack.Up)
		if after := l.client(t).do(t, http.MethodGet, "/version", "").body["version"]; after != before {
			t.Errorf("version %v runs, want the one before, %v", after, before)
		}
		l.drifts(t, "update "+service)
		if diff := cmp.Diff([]string{"update " + service}, plan(t, l.stack).Changes()); diff != "" {
			t.Errorf("what a preview plans then (-want +got):\n%s", diff)
		}
		edit(t, l.root, "service/main.go", broken, listening)
		l.repairs(t, "update "+service, "update "+image)
	})
}
