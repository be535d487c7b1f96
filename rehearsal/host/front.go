package host

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"
)

// requestLimit is App Runner's for a whole request. https://docs.aws.amazon.com/apprunner/latest/dg/develop.html
const requestLimit = 120 * time.Second

// A front is what answers at a service's URL: it ends TLS and passes requests to the instances in turn.
type front struct {
	host   string // localhost:port
	server *http.Server
	done   chan error

	mu        sync.Mutex
	instances []*instance
	next      int
}

type targetKey struct{}

// answerTime is what the front has for its 504, or for the end of an answer that the client takes too slowly.
const answerTime = 5 * time.Second

// newFront starts a front that cuts a request when limit has passed.
func newFront(authority *authority, limit time.Duration) (*front, error) {
	certificate, err := authority.issue("localhost")
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp4", loopback+":0")
	if err != nil {
		return nil, fmt.Errorf("listen for a service: %w", err)
	}
	f := &front{host: fmt.Sprintf("localhost:%d", listener.Addr().(*net.TCPAddr).Port), done: make(chan error, 1)}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: r.In.Context().Value(targetKey{}).(string)})
			r.SetXForwarded()
			r.Out.Host = r.In.Host
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			status := http.StatusBadGateway
			if errors.Is(err, context.DeadlineExceeded) {
				status = http.StatusGatewayTimeout
			}
			http.Error(w, http.StatusText(status), status)
		},
		ErrorLog: log.New(io.Discard, "", 0),
	}
	f.server = &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			target, ok := f.pick()
			if !ok {
				http.Error(w, "no healthy instance", http.StatusServiceUnavailable)
				return
			}
			defer target.requests.Done()
			// RUN-9
			ctx, cancel := context.WithTimeout(context.WithValue(r.Context(), targetKey{}, target.addr), limit)
			defer cancel()
			proxy.ServeHTTP(w, r.WithContext(ctx))
		}),
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
		ReadHeaderTimeout: limit,
		WriteTimeout:      limit + answerTime,
		// What clients do wrong is theirs to see.
		ErrorLog: log.New(io.Discard, "", 0),
	}
	go func() { f.done <- f.server.ServeTLS(listener, "", "") }()
	return f, nil
}

// pick takes the next instance and counts the request; the caller says when it is done.
func (f *front) pick() (*instance, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.instances) == 0 {
		return nil, false
	}
	f.next++
	target := f.instances[f.next%len(f.instances)]
	target.requests.Add(1)
	return target, true
}

// turnTo sends all further requests to the given instances and answers those before.
func (f *front) turnTo(instances []*instance) (before []*instance) {
	f.mu.Lock()
	defer f.mu.Unlock()
	before, f.instances = f.instances, instances
	return before
}

func (f *front) size() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.instances)
}

func (f *front) close() error {
	err := f.server.Close()
	if served := <-f.done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
