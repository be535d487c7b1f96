package httpapi

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"example.com/todo/service/task"
	"github.com/valyala/fasthttp"
)

// instantTasks is a store that costs nothing.
type instantTasks struct {
	Tasks
	task task.Task
}

func (s instantTasks) Create(context.Context, task.Draft, task.Once) (task.Task, error) {
	return s.task, nil
}

func (s instantTasks) Get(context.Context, task.ID) (task.Task, error) { return s.task, nil }

func (s instantTasks) Update(context.Context, task.ID, task.Patch, []task.Version) (task.Task, error) {
	return s.task, nil
}

// What a request costs between its last byte read and its answer's first one written, but for the database.
func BenchmarkRequest(b *testing.B) {
	made, err := task.New(task.Draft{Title: "water the plants, round 17 of client 4"}, time.Now())
	if err != nil {
		b.Fatal(err)
	}
	const body = `{"title":"water the plants, round 17 of client 4","completed":false}`
	path := tasksPath + "/" + made.ID.String()
	for name, text := range map[string]string{
		"create": "POST " + tasksPath + " HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nContent-Type: application/json\r\nContent-Length: 68\r\n\r\n" + body,
		"read":   "GET " + path + " HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n",
		"update": "PUT " + path + " HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nContent-Type: application/json\r\nContent-Length: 68\r\n\r\n" + body,
	} {
		b.Run(name, func(b *testing.B) {
			s := New(Config{
				Tasks:    instantTasks{task: made},
				Settings: Settings{BodyLimit: 64 << 10, Origins: []string{AnyOrigin}, SecurityHeaders: true},
				Log:      slog.New(slog.NewJSONHandler(io.Discard, nil)), LogOutput: io.Discard,
			})
			var fctx fasthttp.RequestCtx
			fctx.Init(&fasthttp.Request{}, &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 4711}, nil)
			from, reader, to := strings.NewReader(text), bufio.NewReader(nil), bufio.NewWriter(io.Discard)
			s.app.Handler() // builds the routes, as serving does
			handler := s.app.Server().Handler
			b.ReportAllocs()
			for b.Loop() {
				from.Reset(text)
				reader.Reset(from)
				fctx.Request.Reset()
				fctx.Response.Reset()
				if err := fctx.Request.Read(reader); err != nil {
					b.Fatal(err)
				}
				handler(&fctx)
				if code := fctx.Response.StatusCode(); code/100 != 2 {
					b.Fatalf("status %d", code)
				}
				if err := fctx.Response.Write(to); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// What the edge costs each request: its framing, its headers and its count.
func BenchmarkEdge(b *testing.B) {
	s := New(Config{
		Settings: Settings{BodyLimit: 64 << 10, RateLimit: 1_000_000, TrustedProxies: 1, Origins: []string{AnyOrigin}, SecurityHeaders: true},
		Log:      slog.New(slog.DiscardHandler),
	})
	var request fasthttp.Request
	if err := request.Read(bufio.NewReader(strings.NewReader("GET /api/v1/tasks HTTP/1.1\r\nHost: example.com\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n" +
		"X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https\r\nX-Request-Id: 8e03978e-40d5-43e8-bc93-6894a57f9324\r\nX-Envoy-Expected-Rq-Timeout-Ms: 120000\r\n\r\n"))); err != nil {
		b.Fatal(err)
	}
	var fctx fasthttp.RequestCtx
	fctx.Init(&request, &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 4711}, nil)
	c := s.app.AcquireCtx(&fctx)
	defer s.app.ReleaseCtx(c)
	for name, step := range map[string]func() bool{
		"framing": func() bool { return misframed(&fctx.Request.Header) == "" },
		"headers": func() bool {
			fctx.Response.Header.Reset()
			s.setHeaders(c)
			return true
		},
		"count": func() bool { return s.limit(c) == nil },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !step() {
					b.Fatal("refused")
				}
			}
		})
	}
}
