package host

import (
	"net/http"
	"testing"
)

// AR-25
func TestPrivateServiceAnswersFromInsideOnly(t *testing.T) {
	c := newCloud(t)
	spec := newSpec("one", nil)
	spec.Private = true
	public, client := c.mustDeploy(t, spec), c.client(t)
	inside, err := c.host.Connect(t.Context(), spec.ARN)
	if err != nil {
		t.Fatal(err)
	}
	if inside == public {
		t.Fatalf("inside and outside are both %s", public)
	}
	if again, err := c.host.Connect(t.Context(), spec.ARN); err != nil || again != inside {
		t.Errorf("connected again it is reached at %s, %v, want %s as before", again, err, inside)
	}
	if status, body := mustGet(t, client, "https://"+inside+"/revision"); status != http.StatusOK || body != "one" {
		t.Errorf("from inside it answers %d %q", status, body)
	}
	if status, body := mustGet(t, client, "https://"+public+"/revision"); status != http.StatusNotFound || body == "one" {
		t.Errorf("from outside it answers %d %q", status, body)
	}
	spec.Private, spec.Environment["REVISION"] = false, "two"
	c.mustDeploy(t, spec)
	for _, host := range []string{public, inside} {
		if status, body := mustGet(t, client, "https://"+host+"/revision"); status != http.StatusOK || body != "two" {
			t.Errorf("made public it answers %d %q at %s", status, body, host)
		}
	}
	for range 2 {
		if err := c.host.Disconnect(t.Context(), spec.ARN); err != nil {
			t.Error(err)
		}
	}
	if listens(inside) {
		t.Error("disconnected, it still listens")
	}
	if err := c.host.Disconnect(t.Context(), "arn:aws:nothing"); err != nil {
		t.Errorf("of a service that is not there: %v", err)
	}
}
