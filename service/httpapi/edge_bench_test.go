package httpapi

import (
	"bufio"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
)

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
