package account_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// AR-28, LOG-3
func TestOperationsAreListedWithTheirEnds(t *testing.T) {
	w := newCloud(t).world()
	service := w.made["service"]
	w.runtime.fails = errors.New("Health check failed on port '8080': the program ended: exit before it was healthy")
	for _, cpu := range []string{"512", "1024"} {
		memory := map[string]string{"512": "1024", "1024": "2048"}[cpu]
		if _, refused := w.update(service, w.props["service"].with(props{"instanceConfiguration.cpu": cpu, "instanceConfiguration.memory": memory})); refused != nil {
			t.Fatal(refused.text)
		}
		w.runtime.fails = nil
	}
	w.runtime.fails = errors.New("Health check failed on port '8080': not healthy in time")
	if _, refused := w.try(service.token, "other", w.props["service"].with(props{"serviceName": "todo-other"})); refused == nil {
		t.Fatal("the service came up")
	}
	ends := func(arn string) string {
		var all []string
		for _, o := range w.account.Operations(arn) {
			if o.ID == "" || o.Ended.Before(o.Started) {
				t.Errorf("operation %+v", o)
			}
			all = append(all, o.Type+" "+o.Status)
		}
		return strings.Join(all, ", ")
	}
	if got, want := ends(service.id), "UPDATE_SERVICE SUCCEEDED, UPDATE_SERVICE ROLLBACK_SUCCEEDED, CREATE_SERVICE SUCCEEDED"; got != want {
		t.Errorf("operations %s, want %s", got, want)
	}
	var other string
	for _, r := range w.account.Resources() {
		if strings.Contains(r.ID, "service/todo-other/") {
			other = r.ID
		}
	}
	if got := ends(other); got != "CREATE_SERVICE FAILED" {
		t.Errorf("operations %q, want a failed creation", got)
	}
	for arn, want := range map[string]string{
		service.id: "[AppRunner] Your application stopped or failed to start. See logs for more information.  Container exit code: 1",
		other:      "[AppRunner] Health check failed on port '8080'",
	} {
		if events := fmt.Sprint(w.account.Events(arn)); !strings.Contains(events, want) || !strings.Contains(events, "[Path: '/'], [Port: '8080']") {
			t.Errorf("App Runner logged %s, want %q", events, want)
		}
	}
}
