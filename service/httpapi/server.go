// Package httpapi is the service over HTTP: its routes, the JSON it reads and
// writes, and the one place where errors become statuses.
package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"example.com/todo/service/task"
	"github.com/gofiber/fiber/v2"
)

const (
	// requestTimeout is the deadline that reaches every query: a database that wakes
	// has this long, then the client gets its 503 within ten seconds.
	requestTimeout = 9 * time.Second
	readTimeout    = 10 * time.Second // of a whole request
	writeTimeout   = 20 * time.Second // of a whole answer
	// idleTimeout is longer than the 60 s of the usual load balancer, so that it closes
	// first and never meets a connection that has just gone.
	idleTimeout = 75 * time.Second
	// lastCall is what requests get to end when the server stops. Those that still wait
	// for the database are then told that it is unavailable.
	lastCall = 4 * time.Second

	// maxBody is what a task may need; hardMaxBody is what is read at all. Between the
	// two the client gets its answer before the connection closes under its sending.
	maxBody     = 64 << 10
	hardMaxBody = 1 << 20
	maxHeader   = 16 << 10
)

// Tasks is the store behind the API. Its errors are those of package task.
type Tasks interface {
	List(context.Context, task.Filter) ([]task.Task, error)
	// Create with the key of an earlier one gives what that one gave, for 24 hours.
	Create(context.Context, task.Draft, task.Once) (task.Task, error)
	Get(context.Context, task.ID) (task.Task, error)
	// Update and Delete with versions other than nil write only a task that has one of
	// them, and decide that together with the write.
	Update(ctx context.Context, id task.ID, p task.Patch, versions []task.Version) (task.Task, error)
	Delete(ctx context.Context, id task.ID, versions []task.Version) error
}

// Build says what is running; it is what GET /version answers.
type Build struct {
	Version string `json:"version"`
	Commit  string `json:"commit"`
	Go      string `json:"go"`
}

// Config is what the server needs. Every field is required.
type Config struct {
	Tasks Tasks
	Ready func(context.Context) error // nil when tasks can be served now
	Build Build
	Log   *slog.Logger
}

// Server answers HTTP requests.
type Server struct {
	cfg Config
	app *fiber.App
	// requests ends those under way; see Shutdown.
	requests       context.Context
	cancelRequests context.CancelFunc
}

// New makes a server that is not listening yet.
func New(cfg Config) *Server {
	s := &Server{cfg: cfg}
	s.requests, s.cancelRequests = context.WithCancel(context.Background())
	s.app = fiber.New(fiber.Config{
		AppName:               "todo",
		DisableStartupMessage: true,
		Immutable:             true, // fasthttp reuses the memory of a request's strings
		BodyLimit:             hardMaxBody,
		ReadBufferSize:        maxHeader,
		ReadTimeout:           readTimeout,
		WriteTimeout:          writeTimeout,
		IdleTimeout:           idleTimeout,
		ErrorHandler:          s.refused,
	})
	s.app.Server().CloseOnShutdown = true
	s.routes()
	return s
}

func (s *Server) routes() {
	s.app.Use(s.observe)
	s.app.Get("/", s.alive)
	s.app.Get("/readyz", s.ready)
	s.app.Get("/version", s.version)
	for _, o := range taskOperations() {
		handle := func(c *fiber.Ctx) error { return o.handle(s, c) }
		s.app.Add(o.method, o.fiberPath(), handle)
		if o.method == http.MethodGet {
			s.app.Head(o.fiberPath(), handle)
		}
	}
}

// Serve answers on the listener until Shutdown, then returns nil.
func (s *Server) Serve(l net.Listener) error {
	if err := s.app.Listener(l); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("serve HTTP on %s: %w", l.Addr(), err)
	}
	return nil
}

// Shutdown stops accepting, and waits for the requests under way while ctx lasts.
func (s *Server) Shutdown(ctx context.Context) error {
	defer s.cancelRequests()
	defer time.AfterFunc(lastCall, s.cancelRequests).Stop()
	if err := s.app.ShutdownWithContext(ctx); err != nil {
		return fmt.Errorf("wait for the requests under way: %w", err)
	}
	return nil
}

// alive is the platform's health check. It leaves the database alone, which would
// otherwise never sleep, and whose failure no new instance would mend.
func (s *Server) alive(c *fiber.Ctx) error { return c.SendString("OK") }

func (s *Server) ready(c *fiber.Ctx) error {
	if err := s.cfg.Ready(c.UserContext()); err != nil {
		return err
	}
	return c.Status(http.StatusOK).SendString("OK")
}

func (s *Server) version(c *fiber.Ctx) error { return c.JSON(s.cfg.Build) }
