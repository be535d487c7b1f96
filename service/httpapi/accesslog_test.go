package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// logged is the line that the logger would write.
func (a access) logged(log *slog.Logger) {
	attrs := []slog.Attr{
		slog.String("method", a.method),
		slog.String("route", a.route),
		slog.Int("status", a.status),
		slog.Float64("duration_ms", float64(a.took.Microseconds())/1000),
		slog.Int("bytes", a.bytes),
		slog.String("request_id", a.requestID),
	}
	if a.traceID != "" {
		attrs = append(attrs, slog.String("trace_id", a.traceID))
	}
	log.LogAttrs(context.Background(), slog.LevelInfo, "request", attrs...)
}

var anAccess = access{
	method: "GET", route: "/api/v1/tasks/:id", status: 200, bytes: 172, took: 1234567 * time.Nanosecond,
	requestID: "6f2b1c1e-7d3c-4b0a-9a53-1d8f4c9f0a11", traceID: "4bf92f3577b34da6a3ce929d0e0e4736",
}

func TestAnAccessIsLoggedAsTheLoggerWould(t *testing.T) {
	hostile := anAccess
	hostile.method, hostile.requestID, hostile.traceID = "\x00\xff<é>\u2028", `"},{"\`, ""
	instant := anAccess
	instant.took = 0
	long := anAccess
	long.took = 9 * time.Second
	for _, a := range []access{anAccess, hostile, instant, long} {
		var ours, theirs bytes.Buffer
		log := slog.New(slog.NewJSONHandler(&theirs, &slog.HandlerOptions{
			ReplaceAttr: func(_ []string, attr slog.Attr) slog.Attr {
				if attr.Key == slog.TimeKey {
					attr.Value = slog.TimeValue(time.Time{})
				}
				return attr
			},
		}))
		a.logged(log)
		accessLog{log: log, out: &ours}.write(time.Time{}, a)
		if bytes.Count(ours.Bytes(), []byte("\n")) != 1 || !bytes.HasSuffix(ours.Bytes(), []byte("}\n")) {
			t.Errorf("not one line: %q", ours.String())
		}
		var got, want map[string]any
		if err := json.Unmarshal(ours.Bytes(), &got); err != nil {
			t.Fatalf("%s: %v", ours.String(), err)
		}
		if err := json.Unmarshal(theirs.Bytes(), &want); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-logger +ours):\n%s", diff)
		}
		if a == anAccess && !bytes.Equal(ours.Bytes(), theirs.Bytes()) {
			t.Errorf("got  %swant %s", ours.String(), theirs.String())
		}
	}
}

func TestAccessesAreLoggedFromInfoOn(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelWarn}))
	accessLog{log: log, out: &out}.write(time.Now(), anAccess)
	if out.Len() != 0 {
		t.Errorf("logged %s", out.String())
	}
}

func BenchmarkAccess(b *testing.B) {
	log := slog.New(slog.NewJSONHandler(io.Discard, nil))
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		l := accessLog{log: log, out: io.Discard}
		for b.Loop() {
			l.write(time.Now(), anAccess)
		}
	})
	b.Run("logger", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			anAccess.logged(log)
		}
	})
}
