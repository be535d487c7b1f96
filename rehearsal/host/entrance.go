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
	"time"
)

// An entrance is one address under which a service answers.
type entrance struct {
	host   string // localhost:port
	server *http.Server
	done   chan error
}

func open(authority *authority, limit time.Duration, handler http.Handler) (*entrance, error) {
	certificate, err := authority.issue("localhost")
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp4", loopback+":0")
	if err != nil {
		return nil, fmt.Errorf("listen for a service: %w", err)
	}
	e := &entrance{host: fmt.Sprintf("localhost:%d", listener.Addr().(*net.TCPAddr).Port), done: make(chan error, 1)}
	e.server = &http.Server{
		Handler:           handler,
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
		ReadHeaderTimeout: limit,
		WriteTimeout:      limit + answerTime,
		// What clients do wrong is theirs to see.
		ErrorLog: log.New(io.Discard, "", 0),
	}
	go func() { e.done <- e.server.ServeTLS(listener, "", "") }()
	return e, nil
}

func (e *entrance) close() error {
	err := e.server.Close()
	if served := <-e.done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// Connect implements account.Runtime. Inside the VPC is, here, on this machine. (AR-25)
func (h *Host) Connect(ctx context.Context, arn string) (string, error) {
	_, done, err := h.begin(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	s, err := h.serviceOf(arn)
	if err != nil {
		return "", err
	}
	return s.front.connect()
}

// Disconnect implements account.Runtime.
func (h *Host) Disconnect(ctx context.Context, arn string) error {
	_, done, err := h.begin(ctx)
	if errors.Is(err, errClosed) {
		return nil
	}
	defer done()
	h.mu.Lock()
	s := h.services[arn]
	h.mu.Unlock()
	if s == nil {
		return nil
	}
	return s.front.disconnect()
}

// shut says whether the internet is kept out.
func (f *front) shut() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.private
}

func (f *front) keepOut(internet bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.private = internet
}

// connect opens the entrance from inside a VPC.
func (f *front) connect() (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.inside == nil {
		inside, err := open(f.authority, f.limit, f.handler())
		if err != nil {
			return "", err
		}
		f.inside = inside
	}
	return f.inside.host, nil
}

func (f *front) disconnect() error {
	f.mu.Lock()
	inside := f.inside
	f.inside = nil
	f.mu.Unlock()
	if inside == nil {
		return nil
	}
	return inside.close()
}
