package load

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

const (
	connectTimeout = 5 * time.Second
	// pause keeps a server that refuses everything from being asked in a tight loop.
	pause = 10 * time.Millisecond
)

var errTimeout = errors.New("i/o timeout")

// loop drives all workers from one thread. A goroutine for each would take a sixth more of the processor: it is woken and
// put to sleep for every answer, and asks the system in vain before it sleeps.
type loop struct {
	workers []*worker
	epoll   int
	address unix.Sockaddr
	family  int

	first, last, deadline time.Time
	connecting, pausing   []*worker // in the order in which they began
}

func newLoop(addr string, workers []*worker) (*loop, error) {
	tcp, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return nil, err
	}
	if tcp.IP == nil { // an address without a host is this one, as net has it
		tcp.IP = net.IPv4(127, 0, 0, 1)
	}
	l := &loop{workers: workers, family: unix.AF_INET6, address: &unix.SockaddrInet6{Port: tcp.Port, Addr: [16]byte(tcp.IP.To16())}}
	if ip := tcp.IP.To4(); ip != nil {
		l.family, l.address = unix.AF_INET, &unix.SockaddrInet4{Port: tcp.Port, Addr: [4]byte(ip)}
	}
	if l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	return l, nil
}

func (l *loop) close() {
	for _, w := range l.workers {
		l.disconnect(w)
	}
	_ = unix.Close(l.epoll) // nothing is lost
}

// open connects all workers, or says how it went wrong with one of them.
func (l *loop) open() error {
	for i, w := range l.workers {
		w.start = time.Now()
		err := l.connect(w)
		if err == nil {
			err = awaitConnection(w.connection)
		}
		if err != nil {
			return fmt.Errorf("open connection %d of %d: %w", i+1, len(l.workers), err)
		}
	}
	l.connecting = nil
	return nil
}

func awaitConnection(fd int) error {
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	for {
		n, err := unix.Poll(poll, int(connectTimeout.Milliseconds()))
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return failed("poll", err)
		case n == 0:
			return failed("connect", errTimeout)
		}
		return connected(fd)
	}
}

// connected says how connecting ended.
func connected(fd int) error {
	code, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && code != 0 {
		err = unix.Errno(code)
	}
	return failed("connect", err)
}

// failed says what failed, and nothing else that differs between connections.
func failed(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

// run asks from now until last, calls begin at first and end at last, and waits for answers until the deadline.
func (l *loop) run(first, last, deadline time.Time, begin, end func()) error {
	l.first, l.last, l.deadline = first, last, deadline
	now := time.Now()
	for _, w := range l.workers {
		l.ask(w, now)
	}
	ready := make([]unix.EpollEvent, len(l.workers))
	calls := []struct {
		at   time.Time
		call func()
	}{{first, begin}, {last, end}}
	for {
		for len(calls) > 0 && !now.Before(calls[0].at) {
			calls[0].call()
			calls = calls[1:]
		}
		if len(calls) == 0 && !l.owed() {
			return nil
		}
		if !now.Before(l.deadline) {
			l.giveUp()
			return nil
		}
		wake := l.deadline
		if len(calls) > 0 {
			wake = calls[0].at
		}
		n, err := unix.EpollWait(l.epoll, ready, l.timeout(now, wake))
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("epoll: %w", err)
		}
		now = time.Now()
		for _, event := range ready[:max(n, 0)] {
			now = l.serve(l.workers[event.Fd], now)
		}
		l.wake(now)
	}
}

// timeout is in milliseconds, and rounded up, so that whatever it is for is due then.
func (l *loop) timeout(now, wake time.Time) int {
	if len(l.pausing) > 0 && l.pausing[0].again.Before(wake) {
		wake = l.pausing[0].again
	}
	if len(l.connecting) > 0 && l.connecting[0].start.Add(connectTimeout).Before(wake) {
		wake = l.connecting[0].start.Add(connectTimeout)
	}
	return int(max(0, (wake.Sub(now)+time.Millisecond-1)/time.Millisecond))
}

// owed says whether an answer may still come.
func (l *loop) owed() bool {
	return slices.ContainsFunc(l.workers, func(w *worker) bool { return w.asked })
}

func (l *loop) giveUp() {
	for _, w := range l.workers {
		switch {
		case len(w.unsent) > 0:
			w.errors[failed("write", errTimeout).Error()]++
		case w.asked:
			w.errors[failed("read", errTimeout).Error()]++
		}
	}
}

// serve does what a connection is ready for. It gives the time, which it has to read once an answer is there: the answer
// before it has taken time too, and each counts for itself. The clock counts nanoseconds, and one reading of it ends a
// request and starts the next, which so begins before it is made and sent: a latency may be too long by that, never short.
func (l *loop) serve(w *worker, now time.Time) time.Time {
	var err error
	switch {
	case !w.asked && !now.Before(l.last): // it is not needed any more
		l.disconnect(w)
	case !w.asked: // it connects
		if err = connected(w.connection); err == nil {
			l.connecting = without(l.connecting, w)
			l.ask(w, now)
			return now
		}
	case len(w.unsent) > 0:
		err = l.send(w)
	default:
		var a answer
		a, err = w.reader.read(socket(w.connection))
		if errors.Is(err, unix.EAGAIN) {
			return now
		}
		now = time.Now()
		w.asked = false
		if err == nil {
			err = w.scenario.check(&w.client, a)
		}
		if err == nil {
			w.answered(now, l.first, l.last)
			if !a.last {
				l.ask(w, now)
				return now
			}
			l.disconnect(w)
			l.reconnect(w, now)
			return now
		}
	}
	if err != nil {
		l.fail(w, err, now)
	}
	return now
}

// ask sends the next request unless it is too late for one.
func (l *loop) ask(w *worker, now time.Time) {
	if !now.Before(l.last) {
		return
	}
	w.scenario.next(&w.client)
	w.asked, w.start, w.unsent = true, now, w.client.request
	if err := l.send(w); err != nil {
		l.fail(w, err, now)
	}
}

// send sends what it can, and has itself called again for the rest. Until that is sent, no answer is read: one that comes
// early must not have the next request sent into the middle of this one.
func (l *loop) send(w *worker) error {
	n, err := unix.Write(w.connection, w.unsent)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
		n, err = 0, nil
	}
	if err != nil {
		return failed("write", err)
	}
	w.unsent = w.unsent[n:]
	if len(w.unsent) > 0 {
		return l.await(unix.EPOLL_CTL_MOD, w, unix.EPOLLOUT)
	}
	return l.await(unix.EPOLL_CTL_MOD, w, unix.EPOLLIN)
}

// fail takes note of what went wrong, and begins again after a pause.
func (l *loop) fail(w *worker, err error, now time.Time) {
	w.errors[err.Error()]++
	l.disconnect(w)
	w.again = now.Add(pause)
	l.pausing = append(l.pausing, w)
}

func (l *loop) disconnect(w *worker) {
	w.asked, w.unsent = false, nil
	w.reader.reset()
	l.connecting = without(l.connecting, w)
	if w.connection >= 0 {
		_ = unix.Close(w.connection) // nothing is lost
		w.connection = -1
	}
}

func without(workers []*worker, w *worker) []*worker {
	return slices.DeleteFunc(workers, func(other *worker) bool { return other == w })
}

// wake has those begin again whose pause is over, and gives up what takes too long to connect.
func (l *loop) wake(now time.Time) {
	for len(l.connecting) > 0 && !now.Before(l.connecting[0].start.Add(connectTimeout)) {
		l.fail(l.connecting[0], failed("connect", errTimeout), now)
	}
	for len(l.pausing) > 0 && !now.Before(l.pausing[0].again) {
		w := l.pausing[0]
		l.pausing = l.pausing[1:]
		l.reconnect(w, now)
	}
}

func (l *loop) reconnect(w *worker, now time.Time) {
	if !now.Before(l.last) {
		return
	}
	w.start = now
	if err := l.connect(w); err != nil {
		l.fail(w, err, now)
	}
}

// connect begins to connect.
func (l *loop) connect(w *worker) (err error) {
	if w.connection, err = unix.Socket(l.family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
		return failed("socket", err)
	}
	// As net does: an answer to a small request must not wait for the acknowledgement of the one before.
	if err := unix.SetsockoptInt(w.connection, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return failed("socket", err)
	}
	if err := unix.Connect(w.connection, l.address); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		return failed("connect", err)
	}
	l.connecting = append(l.connecting, w)
	w.awaited = 0
	return l.await(unix.EPOLL_CTL_ADD, w, unix.EPOLLOUT)
}

// await says what a connection is waited for, unless it is already. An event names the worker by its place rather than by
// its connection.
func (l *loop) await(how int, w *worker, events uint32) error {
	if w.awaited == events {
		return nil
	}
	w.awaited = events
	return failed("epoll", unix.EpollCtl(l.epoll, how, w.connection, &unix.EpollEvent{Events: events, Fd: int32(w.client.number)}))
}

// socket is read without waiting.
type socket int

func (s socket) Read(b []byte) (int, error) {
	for {
		n, err := unix.Read(int(s), b)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return 0, failed("read", err)
		case n == 0:
			return 0, io.EOF
		}
		return n, nil
	}
}
