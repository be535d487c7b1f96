// Package provider puts a simulated cloud behind Pulumi's provider protocol, on loopback, where the
// engine attaches to it (PULUMI_DEBUG_PROVIDERS) instead of starting a plugin.
package provider

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/stats"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"

	"example.com/todo/rehearsal/schema"
)

var (
	// ErrNotFound is answered by Cloud.Read for a resource that is not there.
	ErrNotFound = errors.New("resource not found")
	// ErrAsKnown is answered by Cloud.Read for a resource that is taken to be as the engine knows it.
	ErrAsKnown = errors.New("resource not looked at")
)

// A Session is one configured provider instance: a stack's default provider, or one that its program made.
type Session struct {
	Region      string
	DefaultTags resource.PropertyMap
}

// A Cloud is what a provider manages.
type Cloud interface {
	// Type describes a resource type; false when the cloud has no such type.
	Type(token string) (*schema.Type, bool)
	// Configure reads a provider instance's arguments; failures are refused arguments.
	Configure(args resource.PropertyMap) (Session, []schema.Failure)
	// Complete adds to checked inputs what the provider finds out on this machine; failures are refused inputs.
	Complete(token string, inputs resource.PropertyMap) []schema.Failure
	Create(ctx context.Context, s Session, urn resource.URN, inputs resource.PropertyMap) (id string, state resource.PropertyMap, err error)
	Read(ctx context.Context, s Session, token, id string) (inputs, state resource.PropertyMap, err error)
	Update(ctx context.Context, s Session, token, id string, inputs resource.PropertyMap) (state resource.PropertyMap, err error)
	Delete(ctx context.Context, s Session, token, id string) error
	Invoke(ctx context.Context, s Session, token string, args resource.PropertyMap) (resource.PropertyMap, []schema.Failure, error)
}

// An IncompleteError says that a resource exists but did not come up: the engine records it and tries again later.
type IncompleteError struct {
	ID    string
	State resource.PropertyMap
	Err   error
}

func (e *IncompleteError) Error() string { return e.Err.Error() }
func (e *IncompleteError) Unwrap() error { return e.Err }

// A Server serves one cloud to any number of engines.
type Server struct {
	// Port is where it listens on 127.0.0.1.
	Port     int
	protocol *protocol
	grpc     *grpc.Server
	done     chan error
}

// Serve starts serving cloud as the Pulumi package name in the given version.
func Serve(name, version string, cloud Cloud) (*Server, error) {
	server := &Server{protocol: &protocol{name: name, version: version, cloud: cloud}}
	return server, server.listen()
}

// Restart cuts what is under way and serves on under the same port, as a provider's process that ends and another that starts.
func (s *Server) Restart() error {
	if err := s.Close(); err != nil {
		return err
	}
	return s.listen()
}

func (s *Server) listen() error {
	listener, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", s.Port))
	if err != nil {
		return fmt.Errorf("listen for the %s provider: %w", s.protocol.name, err)
	}
	s.Port = listener.Addr().(*net.TCPAddr).Port
	// The engine sends whole states in one message.
	s.grpc = grpc.NewServer(grpc.StatsHandler(connections{}), grpc.UnaryInterceptor(untilStopped), grpc.MaxRecvMsgSize(400<<20))
	s.done = make(chan error, 1)
	pulumirpc.RegisterResourceProviderServer(s.grpc, s.protocol)
	go func(served *grpc.Server, done chan error) { done <- served.Serve(listener) }(s.grpc, s.done)
	return nil
}

// Close stops serving and cuts what is under way.
func (s *Server) Close() error {
	s.grpc.Stop()
	return <-s.done
}

// Attach is the value of PULUMI_DEBUG_PROVIDERS that makes an engine use these servers, by package name.
func Attach(servers map[string]*Server) string {
	var parts []string
	for name, server := range servers {
		parts = append(parts, fmt.Sprintf("%s:%d", name, server.Port))
	}
	return strings.Join(parts, ",")
}

// connections gives each connection a place for its session: the engine dials once per provider instance.
type connections struct{}

type connectionKey struct{}

type connection struct {
	session Session
	// stopped is done when the engine has told the provider to stop.
	stopped context.Context
	stop    context.CancelFunc
}

func (connections) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context {
	c := &connection{}
	c.stopped, c.stop = context.WithCancel(context.WithoutCancel(ctx))
	return context.WithValue(ctx, connectionKey{}, c)
}
func (connections) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }
func (connections) HandleConn(context.Context, stats.ConnStats)                     {}
func (connections) HandleRPC(context.Context, stats.RPCStats)                       {}

// untilStopped ends a request when the engine tells the provider to stop.
func untilStopped(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(connectionOf(ctx).stopped, cancel)()
	return handle(ctx, request)
}

func connectionOf(ctx context.Context) *connection {
	return ctx.Value(connectionKey{}).(*connection)
}
