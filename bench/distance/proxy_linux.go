package distance

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// Proxy forwards connections to one server. Close it.
type Proxy struct {
	// Addr is the host:port where it listens, on loopback.
	Addr string

	server    unix.Sockaddr
	roundTrip time.Duration
	listener  int // file descriptor
	stop      int // eventfd(2), readable when the loop must end
	ended     chan struct{}
	err       error // of the loop, once ended is closed

	connections []*connection
	polled      []unix.PollFd // kept, as buffer is, so that a turn allocates only what is on the way
	buffer      []byte
}

// connection is a client's connection and the one to the server that belongs to it.
type connection struct {
	request, response pipe
}

// Start listens on loopback and forwards to the server, an IPv4 host:port. Whatever a client sends arrives the round trip
// later; answers arrive at once.
func Start(server string, roundTrip time.Duration) (*Proxy, error) {
	p, err := start(server, roundTrip)
	if err != nil {
		return nil, fmt.Errorf("start a proxy %v before %s: %w", roundTrip, server, err)
	}
	return p, nil
}

func start(server string, roundTrip time.Duration) (*Proxy, error) {
	address, err := net.ResolveTCPAddr("tcp4", server)
	if err != nil {
		return nil, err
	}
	p := &Proxy{
		server:    &unix.SockaddrInet4{Port: address.Port, Addr: [4]byte(address.IP.To4())},
		roundTrip: roundTrip, ended: make(chan struct{}), buffer: make([]byte, 256<<10),
	}
	if p.listener, p.Addr, err = listen(); err != nil {
		return nil, err
	}
	if p.stop, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return nil, errors.Join(os.NewSyscallError("eventfd", err), unix.Close(p.listener))
	}
	go p.run()
	return p, nil
}

func listen() (fd int, addr string, err error) {
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, "", os.NewSyscallError("socket", err)
	}
	err = os.NewSyscallError("bind", unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	if err == nil {
		err = os.NewSyscallError("listen", unix.Listen(fd, unix.SOMAXCONN))
	}
	if err != nil {
		return 0, "", errors.Join(err, unix.Close(fd))
	}
	bound, err := unix.Getsockname(fd)
	if err != nil {
		return 0, "", errors.Join(os.NewSyscallError("getsockname", err), unix.Close(fd))
	}
	return fd, fmt.Sprintf("127.0.0.1:%d", bound.(*unix.SockaddrInet4).Port), nil
}

// Close closes all connections and stops listening. Its error is also one that ended the proxy earlier.
func (p *Proxy) Close() error {
	_, err := unix.Write(p.stop, binary.NativeEndian.AppendUint64(nil, 1))
	<-p.ended
	return errors.Join(p.err, os.NewSyscallError("eventfd", err), unix.Close(p.stop))
}

// run is the loop. Its thread ends with it, because a goroutine that returns locked takes it along.
func (p *Proxy) run() {
	runtime.LockOSThread()
	defer close(p.ended)
	// By default the kernel may end a wait 50 µs late, to save wake-ups.
	p.err = os.NewSyscallError("prctl", unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0))
	for p.err == nil {
		var stopped bool
		if stopped, p.err = p.turn(); stopped {
			break
		}
	}
	for _, c := range p.connections {
		c.close()
	}
	_ = unix.Close(p.listener) // nothing is lost
}

// turn waits for the next event and does what there is to do; true when Close was called.
func (p *Proxy) turn() (stopped bool, err error) {
	polled := append(p.polled[:0], unix.PollFd{Fd: int32(p.stop), Events: unix.POLLIN}, unix.PollFd{Fd: int32(p.listener), Events: unix.POLLIN})
	wait, timed := time.Duration(0), false
	now := time.Now()
	for _, c := range p.connections {
		for _, pipe := range []*pipe{&c.request, &c.response} {
			polled = append(polled, pipe.readable(), pipe.writable())
			if left, ok := pipe.wait(now); ok && (!timed || left < wait) {
				wait, timed = left, true
			}
		}
	}
	p.polled = polled
	var timeout *unix.Timespec
	if timed {
		t := unix.NsecToTimespec(wait.Nanoseconds())
		timeout = &t
	}
	if _, err := unix.Ppoll(polled, timeout, nil); err != nil {
		if errors.Is(err, unix.EINTR) {
			return false, nil
		}
		return false, os.NewSyscallError("ppoll", err)
	}
	if polled[0].Revents != 0 {
		return true, nil
	}
	now = time.Now()
	open := p.connections[:0]
	for i, c := range p.connections {
		events := polled[2+4*i:]
		alive := c.request.move(events[0], events[1], now, p.buffer) && c.response.move(events[2], events[3], now, p.buffer)
		if !alive || c.request.closed && c.response.closed {
			c.close()
			continue
		}
		open = append(open, c)
	}
	p.connections = open
	if polled[1].Revents != 0 {
		return false, p.accept()
	}
	return false, nil
}

// accept takes a client's connection and opens the server's. A server that cannot be reached ends the client's, as a
// network does.
func (p *Proxy) accept() error {
	client, _, err := unix.Accept4(p.listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.ECONNABORTED) {
		return nil
	}
	if err != nil {
		return os.NewSyscallError("accept", err)
	}
	server, err := p.connect()
	if err != nil {
		return unix.Close(client)
	}
	_ = unix.SetsockoptInt(client, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) // fails only when it has ended, which is met later
	p.connections = append(p.connections, &connection{
		request: pipe{from: client, to: server, delay: p.roundTrip}, response: pipe{from: server, to: client},
	})
	return nil
}

// connect opens a connection to the server. On loopback that takes no time.
func (p *Proxy) connect() (fd int, err error) {
	if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return 0, err
	}
	if err = unix.Connect(fd, p.server); err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err == nil {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	}
	if err != nil {
		return 0, errors.Join(err, unix.Close(fd))
	}
	return fd, nil
}

func (c *connection) close() {
	_ = unix.Close(c.request.from) // nothing is lost
	_ = unix.Close(c.request.to)
}

// readable and writable return what to wait for; poll(2) ignores a negative descriptor.
func (p *pipe) readable() unix.PollFd {
	if p.ended || p.queued >= maxQueued {
		return unix.PollFd{Fd: -1}
	}
	return unix.PollFd{Fd: int32(p.from), Events: unix.POLLIN}
}

func (p *pipe) writable() unix.PollFd {
	if !p.blocked {
		return unix.PollFd{Fd: -1}
	}
	return unix.PollFd{Fd: int32(p.to), Events: unix.POLLOUT}
}

// move reads what has come and writes what is due; false when the connection has failed.
func (p *pipe) move(readable, writable unix.PollFd, now time.Time, buffer []byte) bool {
	if writable.Revents != 0 {
		p.blocked = false
	}
	if readable.Revents != 0 {
		n, err := unix.Read(p.from, buffer)
		switch {
		case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR):
		case err != nil:
			return false
		case n == 0:
			p.ended = true
		case !p.push(buffer[:n], now):
			return false
		}
	}
	for len(p.queue) > 0 && !p.blocked && !p.queue[0].due.After(now) {
		first := &p.queue[0]
		n, ok := p.write(first.bytes)
		if !ok {
			return false
		}
		p.queued -= n
		if first.bytes = first.bytes[n:]; len(first.bytes) == 0 {
			p.queue = p.queue[1:]
		}
	}
	if p.ended && len(p.queue) == 0 && !p.closed {
		p.closed = true
		return unix.Shutdown(p.to, unix.SHUT_WR) == nil
	}
	return true
}

// push sends bytes on their way; false when the connection has failed. Without a delay they are written at once.
func (p *pipe) push(b []byte, now time.Time) bool {
	if p.delay == 0 && len(p.queue) == 0 && !p.blocked {
		n, ok := p.write(b)
		if !ok {
			return false
		}
		b = b[n:]
	}
	if len(b) > 0 {
		p.queue = append(p.queue, chunk{now.Add(p.delay), append([]byte(nil), b...)})
		p.queued += len(b)
	}
	return true
}

// write writes as much as the receiver has room for; false when the connection has failed.
func (p *pipe) write(b []byte) (n int, ok bool) {
	n, err := unix.Write(p.to, b)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
		n, err = 0, nil
	}
	p.blocked = n < len(b)
	return max(n, 0), err == nil
}
