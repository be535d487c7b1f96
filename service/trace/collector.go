package trace

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// exportTimeout is OTLP's default. A process that is not given the processor between
	// requests may need a second try.
	exportTimeout = 10 * time.Second
	// idleTimeout closes a connection that nobody uses.
	idleTimeout = 30 * time.Second
	maxResponse = 64 << 10

	method    = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
	userAgent = "OTel-OTLP-Exporter-todo/1"
)

// collector takes spans with OTLP over gRPC, of which one unary call is all that is
// needed: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
type collector struct {
	url       string
	transport *http.Transport
}

func newCollector(endpoint string) *collector {
	var protocols http.Protocols
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	return &collector{
		url:       strings.TrimSuffix(endpoint, "/") + method,
		transport: &http.Transport{Protocols: &protocols, IdleConnTimeout: idleTimeout},
	}
}

// prefix is the room for gRPC's five bytes before a message.
const prefix = 5

// export sends a request that was appended behind a prefix. When err is nil the
// collector may still have rejected some of the spans, for a reason. An error may pass,
// unless it is a [*statusError] that is permanent.
func (c *collector) export(ctx context.Context, request []byte) (refused int, reason string, err error) {
	ctx, cancel := context.WithTimeout(ctx, exportTimeout)
	defer cancel()
	request[0] = 0 // not compressed
	binary.BigEndian.PutUint32(request[1:prefix], uint32(len(request)-prefix))
	response, err := c.call(ctx, request)
	if err != nil {
		// The next attempt gets a new connection: this one may have died unnoticed.
		c.transport.CloseIdleConnections()
		return 0, "", fmt.Errorf("export spans to %s: %w", c.url, err)
	}
	refused, reason = rejected(response)
	return refused, reason, nil
}

func (c *collector) call(ctx context.Context, message []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(message))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/grpc")
	req.Header.Set("TE", "trailers")
	req.Header.Set("User-Agent", userAgent)
	res, err := c.transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxResponse))
	if err != nil {
		return nil, err
	}
	if err := statusOf(res); err != nil {
		return nil, err
	}
	if len(body) < prefix || body[0] != 0 {
		return nil, errors.New("the answer is not a gRPC message")
	}
	return body[prefix:], nil
}

// statusOf is the outcome of a call, in its trailers or, when there is no message, in
// its headers.
func statusOf(res *http.Response) error {
	status, message := res.Trailer.Get("Grpc-Status"), res.Trailer.Get("Grpc-Message")
	if status == "" {
		status, message = res.Header.Get("Grpc-Status"), res.Header.Get("Grpc-Message")
	}
	if status == "" { // no gRPC server, but perhaps a proxy before one
		if slices.Contains([]int{429, 502, 503, 504}, res.StatusCode) {
			return &statusError{code: codeUnavailable, message: res.Status}
		}
		return &statusError{code: codeUnknown, message: "HTTP " + res.Status + " without a gRPC status"}
	}
	code, err := strconv.Atoi(status)
	if err != nil {
		code = codeUnknown
	}
	if code == codeOK {
		return nil
	}
	if text, err := url.PathUnescape(message); err == nil {
		message = text
	}
	return &statusError{code: code, message: message[:min(len(message), maxText)]}
}

// Some of gRPC's status codes: https://grpc.io/docs/guides/status-codes/
const (
	codeOK          = 0
	codeUnknown     = 2
	codeUnavailable = 14
)

// mayPass are the codes after which OTLP lets a client try again:
// https://opentelemetry.io/docs/specs/otlp/#failures
var mayPass = []int{1, 4, 10, 11, codeUnavailable, 15}

// statusError is what a gRPC server answers other than OK.
type statusError struct {
	code    int
	message string
}

func (e *statusError) Error() string { return fmt.Sprintf("gRPC status %d: %s", e.code, e.message) }

func (e *statusError) permanent() bool { return !slices.Contains(mayPass, e.code) }
