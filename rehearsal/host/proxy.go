package host

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

// A Proxy passes TCP connections on and can stall or cut them, as a network that fails does.
type Proxy struct {
	// Addr is where it listens.
	Addr string

	carry    func(client net.Conn) // to where it is to go, until either side ends
	listener net.Listener
	done     sync.WaitGroup

	mu      sync.Mutex
	conns   map[net.Conn]bool
	gate    chan struct{} // closed while connections are let through
	refuses bool
	closed  bool
}

func newProxy(carry func(client net.Conn)) (*Proxy, error) {
	listener, err := net.Listen("tcp4", loopback+":0")
	if err != nil {
		return nil, fmt.Errorf("listen for the database proxy: %w", err)
	}
	p := &Proxy{Addr: listener.Addr().String(), carry: carry, listener: listener, conns: map[net.Conn]bool{}, gate: make(chan struct{})}
	close(p.gate)
	p.done.Go(p.accept)
	return p, nil
}

// Stall accepts new connections but passes nothing of theirs on until Pass. Open ones stay as they are. (RUN-5)
func (p *Proxy) Stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuses = false
	select {
	case <-p.gate:
		p.gate = make(chan struct{})
	default:
	}
}

// Refuse cuts all connections, those that wait included, and ends new ones at once until Pass or Stall. (RUN-5)
func (p *Proxy) Refuse() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuses = true
	for conn := range p.conns {
		_ = conn.Close() // its copying ends, which is the purpose
	}
	p.open()
}

// Pass lets connections through, those that wait included. (RUN-5)
func (p *Proxy) Pass() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuses = false
	p.open()
}

func (p *Proxy) open() {
	select {
	case <-p.gate:
	default:
		close(p.gate)
	}
}

// Connections counts the open ones. (RUN-5)
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.conns)
}

func (p *Proxy) accept() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		if !p.add(conn) {
			_ = conn.Close()
			continue
		}
		p.done.Go(func() {
			p.pass(conn)
			p.remove(conn)
		})
	}
}

func (p *Proxy) add(conn net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refuses || p.closed {
		return false
	}
	p.conns[conn] = true
	return true
}

func (p *Proxy) remove(conn net.Conn) {
	_ = conn.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, conn)
}

func (p *Proxy) pass(client net.Conn) {
	p.mu.Lock()
	gate := p.gate
	p.mu.Unlock()
	<-gate
	p.carry(client)
}

// relay passes a connection on to addr, as it is.
func relay(client net.Conn, addr string) {
	server, err := net.Dial("tcp4", addr)
	if err != nil {
		return
	}
	join(client, server)
}

// join passes on what two connections send each other; either side's end ends the other.
func join(client, server net.Conn) {
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{server, client}, {client, server}} {
		both.Go(func() {
			_, _ = io.Copy(way[0], way[1])
			_ = way[0].Close()
			_ = way[1].Close()
		})
	}
	both.Wait()
}

func (p *Proxy) close() error {
	err := p.listener.Close()
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.Refuse()
	p.done.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
