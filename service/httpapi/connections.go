package httpapi

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

const (
	// Closing a connection on which the client still sends makes TCP tell it of a reset,
	// and with that drop the answer that it has not read. So we stop sending, and for a
	// while throw away what comes.
	lingerTime  = 2 * time.Second
	lingerBytes = 8 << 20
	// maxTurnedAway is how many that are one too many are told so at the same time; the
	// others are just closed.
	maxTurnedAway = 64
	// acceptAgain is how long to wait when a connection cannot be accepted.
	acceptAgain = 50 * time.Millisecond
)

// connections are those that are open.
type connections struct {
	pages pageMemory

	mu   sync.Mutex
	open map[*conn]struct{}
}

// add gives how many there are with this one.
func (cs *connections) add(c *conn) int {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.open[c] = struct{}{}
	return len(cs.open)
}

func (cs *connections) remove(c *conn) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	delete(cs.open, c)
}

func (cs *connections) any() bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return len(cs.open) > 0
}

// stopReading ends those that wait for a request, also if they never sent one, which
// fasthttp takes for busy. A request that is there is not read again, so it is still
// answered; closing the connection could come between it and its answer.
func (cs *connections) stopReading() {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for c := range cs.open {
		_ = c.Conn.SetReadDeadline(time.Now()) // fails only when it is closed
	}
}

// listener keeps account of connections, and turns away those that are too many.
type listener struct {
	net.Listener
	server  *Server
	turned  chan struct{} // holds one for each that is being turned away
	turning sync.WaitGroup
}

func (s *Server) bounded(l net.Listener) *listener {
	return &listener{Listener: l, server: s, turned: make(chan struct{}, maxTurnedAway)}
}

func (l *listener) Accept() (net.Conn, error) {
	for {
		accepted, err := l.Listener.Accept()
		if passes(err) { // fasthttp would stop serving
			l.server.cfg.Log.Warn("cannot accept connections for now", "error", err)
			time.Sleep(acceptAgain)
			continue
		}
		if err != nil {
			return nil, err
		}
		c := &conn{Conn: accepted, all: &l.server.connections}
		if c.all.add(c) <= l.server.cfg.Settings.MaxConnections {
			return c, nil
		}
		select {
		case l.turned <- struct{}{}:
			l.turning.Go(func() {
				l.server.turnAway(c)
				<-l.turned
			})
		default:
			_ = c.Close() // nobody is left to tell
		}
	}
}

// passes says whether accepting fails for something that does not last: a lack of file
// descriptors or memory, or a client that has gone already.
func passes(err error) bool {
	for _, passing := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED} {
		if errors.Is(err, passing) {
			return true
		}
	}
	return false
}

// Close may come after the end of the listener, which fasthttp would report.
func (l *listener) Close() error {
	if err := l.Listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("stop listening on %s: %w", l.Addr(), err)
	}
	return nil
}

// turnAway answers whatever comes first on a connection. Clients do not expect an answer
// before they have asked.
func (s *Server) turnAway(c *conn) {
	defer c.Close()
	var some [1]byte
	if err := c.SetDeadline(time.Now().Add(lingerTime)); err != nil {
		return
	}
	if _, err := c.Read(some[:]); err != nil {
		return
	}
	var fctx fasthttp.RequestCtx
	fctx.Init2(c, nil, true)
	s.refuse(&fctx, newProblem(http.StatusServiceUnavailable, "there are too many connections"))
	_, _ = fctx.Response.WriteTo(c) // it may have gone
}

// refuse answers what must not reach the routes, and ends its connection.
func (s *Server) refuse(fctx *fasthttp.RequestCtx, p *problem) {
	c := s.app.AcquireCtx(fctx)
	defer s.app.ReleaseCtx(c)
	_ = s.refused(c, p) // always nil
	fctx.SetConnectionClose()
}

// linger has the connection of a request that is not read to its end closed so that the
// answer arrives.
func linger(c *fiber.Ctx) {
	if c, ok := c.Context().Conn().(*conn); ok {
		c.lingers.Store(true)
	}
}

// conn is among the connections until it is closed.
type conn struct {
	net.Conn
	all     *connections
	lingers atomic.Bool

	pageSize, pageSince atomic.Int64 // bytes of the last page until it is written, and when that began

	reading, writing deadline
}

// deadline is when reading or writing has to end. fasthttp moves it several times with each
// request, and it hardly ever comes, so the socket's, which is a timer, follows only when
// it would come too late, or too early by more than deadlineSlack.
type deadline struct{ wanted, socket time.Time }

const deadlineSlack = time.Second

// follow sets the socket's if it has to.
func (d *deadline) follow(set func(time.Time) error) error {
	if early := d.wanted.Sub(d.socket); early >= 0 && early <= deadlineSlack {
		return nil
	}
	d.socket = d.wanted
	return set(d.wanted)
}

// SetReadDeadline holds from the next Read on.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.reading.wanted = t
	return nil
}

// SetWriteDeadline holds from the next Write on.
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.writing.wanted = t
	return nil
}

func (c *conn) Read(b []byte) (int, error) {
	c.releasePage() // since the next request is read after the answer is written
	if err := c.reading.follow(c.Conn.SetReadDeadline); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

func (c *conn) Write(b []byte) (int, error) {
	if err := c.writing.follow(c.Conn.SetWriteDeadline); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

func (c *conn) Close() error {
	c.releasePage()
	if tcp, ok := c.Conn.(*net.TCPConn); ok && c.lingers.CompareAndSwap(true, false) {
		// What goes wrong here is what the client does; it is closed in any case.
		_ = tcp.CloseWrite()
		_ = tcp.SetReadDeadline(time.Now().Add(lingerTime))
		_, _ = io.CopyN(io.Discard, tcp, lingerBytes)
	}
	c.all.remove(c)
	return c.Conn.Close()
}
