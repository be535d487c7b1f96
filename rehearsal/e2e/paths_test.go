package e2e

import (
	"strings"
	"testing"
)

// A service whose health check asks nobody comes up without a way to its database: the command says so and why.
func TestUpWithoutAWayToTheDatabase(t *testing.T) {
	root := repository(t)
	// The groups let their own members in instead of the service's.
	edit(t, root, "infra/network/security.go", "ReferencedSecurityGroupId: g.service.ID(),", "ReferencedSecurityGroupId: target.ID(),")
	up := start(t, root, "up", "--stack", "dev", "--once")
	if err := up.wait(t); err == nil {
		t.Error("the command succeeded")
	}
	for _, want := range []string{
		"/readyz answered 503 Service Unavailable: {",
		"todo-dev cannot reach todo-dev.cluster-",
		"the security groups",
		"let nothing in from the security groups",
	} {
		if !strings.Contains(up.text(), want) {
			t.Errorf("the output does not say %q:\n%s", want, up.text())
		}
	}
}
