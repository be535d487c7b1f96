// Package httpapi is the service over HTTP: its routes, the JSON it reads and
// writes, and the one place where errors become statuses.
package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"example.com/todo/service/emf"
	"example.com/todo/service/ratelimit"
	"example.com/todo/service/task"
	"example.com/todo/service/trace"
	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
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

	maxHeader = 8 << 10
	// maxWrite is more than a page of 50 tasks, which so takes one system call.
	maxWrite = 12 << 10
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

// Config is what the server needs. Every field is required but the last three.
type Config struct {
	Tasks     Tasks
	Ready     func(context.Context) error // nil when tasks can be served now
	Settings  Settings
	Build     Build
	Log       *slog.Logger
	LogOutput io.Writer     // where Log writes: a line is one Write
	Keys      Keys          // nil opens the API to all
	Tracer    *trace.Tracer // nil makes no traces
	Metrics   *emf.Metrics  // nil counts nothing
}

// Settings are what whoever runs the service decides.
type Settings struct {
	BodyLimit       int      // of a request, in bytes
	MaxConnections  int      // at once; one more is turned away
	RateLimit       int      // requests a second of one client address to the API, after a burst of ten times as many; 0 for any number
	TrustedProxies  int      // in front of the service, each of which appends to X-Forwarded-For
	Origins         []string // whose pages may use the service in a browser, or AnyOrigin
	SecurityHeaders bool     // unless what is in front sets them
}

// Server answers HTTP requests.
type Server struct {
	cfg      Config
	app      *fiber.App
	document func() (json.RawMessage, error) // of the API; made when somebody reads it, since it takes half of the start
	fixed    *fasthttp.ResponseHeader
	pages    pageWriter

	limiter    *ratelimit.Limiter // nil without a limit
	ratePolicy []byte

	connections connections

	deadlines      deadlines
	cancelRequests context.CancelFunc // ends those under way; see Shutdown
	leaving        atomic.Bool        // each answer is the last of its connection
}

// New makes a server that is not listening yet.
func New(cfg Config) *Server {
	s := &Server{cfg: cfg, fixed: fixedHeaders(cfg.Settings)}
	s.connections.open = map[*conn]struct{}{}
	s.connections.pages = newPageMemory()
	s.deadlines.parent, s.cancelRequests = context.WithCancel(context.Background())
	if rate := cfg.Settings.RateLimit; rate > 0 {
		s.limiter = ratelimit.New(rate, rate*burstSeconds, rememberedClients)
		s.ratePolicy = fmt.Appendf(nil, `"default";q=%d;w=%d`, rate*burstSeconds, burstSeconds)
	}
	s.app = fiber.New(fiber.Config{
		AppName:                      "todo",
		CaseSensitive:                true,
		DisableStartupMessage:        true,
		DisablePreParseMultipartForm: true, // is a body of another media type, like any
		BodyLimit:                    cfg.Settings.BodyLimit,
		ReadBufferSize:               maxHeader,
		WriteBufferSize:              maxWrite,
		ReadTimeout:                  readTimeout,
		WriteTimeout:                 writeTimeout,
		IdleTimeout:                  idleTimeout,
		ErrorHandler:                 s.refused,
	})
	server := s.app.Server()
	server.Logger = connectionLog{cfg.Log}
	server.SecureErrorLogMessage = true // without the request, which may hold a key
	server.Handler = s.leavesWith(s.wellFramed(knownMethods(server.Handler)))
	s.app.Use(s.observe, s.admit)
	operations := slices.Concat(systemOperations(), taskOperations())
	s.route(operations)
	s.document = sync.OnceValues(func() (json.RawMessage, error) { return s.describe(operations) })
	return s
}

// connectionLog is where fasthttp says why it gave up a connection. A client that sent
// something has had its answer and its line of the log by then.
type connectionLog struct{ log *slog.Logger }

func (l connectionLog) Printf(format string, args ...any) {
	l.log.Debug("connection ended", "error", fmt.Sprintf(format, args...))
}

func (s *Server) wellFramed(next fasthttp.RequestHandler) fasthttp.RequestHandler {
	return func(c *fasthttp.RequestCtx) {
		if fault := misframed(&c.Request.Header); fault != "" {
			s.refuse(c, newProblem(http.StatusBadRequest, fault))
			return
		}
		next(c)
	}
}

// knownMethods leads a method that nobody has heard of to the answer of one that no
// path allows, where Fiber has an answer of its own.
func knownMethods(next fasthttp.RequestHandler) fasthttp.RequestHandler {
	return func(c *fasthttp.RequestCtx) {
		if !slices.Contains(fiber.DefaultMethods, string(c.Method())) {
			c.Request.Header.SetMethod(http.MethodTrace)
		}
		next(c)
	}
}

// Serve answers on the listener until that is closed, then returns nil.
func (s *Server) Serve(l net.Listener) error {
	bounded := s.bounded(l)
	defer bounded.turning.Wait()
	if err := s.app.Listener(bounded); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("serve HTTP on %s: %w", l.Addr(), err)
	}
	return nil
}
