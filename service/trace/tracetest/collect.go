package tracetest

import "testing"

// Collect starts a collector on a free port, for as long as the test runs.
func Collect(t testing.TB) *Collector {
	t.Helper()
	c, err := Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}
