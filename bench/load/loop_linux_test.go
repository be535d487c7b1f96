package load

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	brief    = 150 * time.Millisecond
	question = "GET / HTTP/1.1\r\n\r\n"
	fine     = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	closing  = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
	room     = 64 << 10 // of each of the buffers between two sockets
	much     = 32 * room
)

// plain asks the same again and again.
var plain = scenario{
	next: func(c *client) { c.request = append(c.request[:0], question...) },
	check: func(_ *client, a answer) error {
		if string(a.body) != "ok" {
			return errors.New("not ok")
		}
		return nil
	},
}

// listen has each connection handled, which are numbered in the order in which they came, and then closes it.
func listen(t *testing.T, handle func(number int, conn net.Conn)) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var handling sync.WaitGroup
	handling.Go(func() {
		for number := 0; ; number++ {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			handling.Go(func() {
				defer conn.Close()
				_ = conn.(*net.TCPConn).SetReadBuffer(room) // where it fails, less is tested
				handle(number, conn)
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		handling.Wait()
	})
	return listener
}

// answerAll answers each question, and gives up at the first that is none.
func answerAll(conn net.Conn, answer string) {
	for asked(conn) {
		_, _ = io.WriteString(conn, answer) // a client that is gone asks nothing
	}
}

func asked(conn net.Conn) bool {
	request := make([]byte, len(question))
	_, err := io.ReadFull(conn, request)
	return err == nil && string(request) == question
}

// connectTo gives an open loop, whose workers have the numbers that the server gives their first connections.
func connectTo(t *testing.T, listener net.Listener, connections int, s scenario) *loop {
	t.Helper()
	workers := make([]*worker, connections)
	for i := range workers {
		w, err := newWorker(Config{Addr: listener.Addr().String(), Scenario: List}, i, "")
		if err != nil {
			t.Fatal(err)
		}
		w.scenario = s
		workers[i] = w
	}
	l, err := newLoop(listener.Addr().String(), workers)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.close)
	if err := l.open(); err != nil {
		t.Fatal(err)
	}
	for _, w := range workers {
		if err := unix.SetsockoptInt(w.connection, unix.SOL_SOCKET, unix.SO_SNDBUF, room); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

func drive(t *testing.T, l *loop) {
	t.Helper()
	first := time.Now()
	last := first.Add(brief)
	if err := l.run(first, last, last.Add(brief), func() {}, func() {}); err != nil {
		t.Fatal(err)
	}
}

// A request that does not fit is sent as there is room, and then nothing but its answer wakes the loop.
func TestRequestsThatDoNotFit(t *testing.T) {
	for _, tc := range []struct {
		name   string
		size   int
		filled bool
	}{{"a part", much, false}, {"nothing", len(question), true}} {
		t.Run(tc.name, func(t *testing.T) {
			request := bytes.Repeat([]byte("r"), tc.size)
			roomy, received := make(chan struct{}), make(chan []byte, 1)
			listener := listen(t, func(_ int, conn net.Conn) {
				<-roomy
				all, _ := io.ReadAll(conn) // what is missing fails below
				received <- all
			})
			l := connectTo(t, listener, 1, scenario{next: func(c *client) { c.request = request }})
			l.last = time.Now().Add(time.Minute)
			w := l.workers[0]
			if tc.filled {
				fill(t, w.connection)
			}
			l.ask(w, time.Now())
			if len(w.unsent) == 0 || tc.filled && len(w.unsent) < len(request) {
				t.Fatalf("%d of %d bytes are not sent", len(w.unsent), len(request))
			}
			close(roomy)
			ready := make([]unix.EpollEvent, 1)
			for len(w.unsent) > 0 {
				if waitFor(t, l, ready, time.Second) == 0 {
					t.Fatalf("nothing wakes the loop for %d bytes", len(w.unsent))
				}
				l.serve(w, time.Now())
			}
			if waitFor(t, l, ready, brief) != 0 {
				t.Errorf("awake for events %#x before there is an answer", ready[0].Events)
			}
			l.disconnect(w)
			if all := <-received; !bytes.HasSuffix(all, request) || len(w.errors) != 0 {
				t.Errorf("the server got %d bytes, errors %v", len(all), w.errors)
			}
		})
	}
}

// fill writes until there is no room for long.
func fill(t *testing.T, fd int) {
	t.Helper()
	for full := 0; full < 5; {
		switch _, err := unix.Write(fd, make([]byte, 1<<10)); {
		case errors.Is(err, unix.EAGAIN):
			full++
			time.Sleep(time.Millisecond)
		case err != nil:
			t.Fatal(err)
		default:
			full = 0
		}
	}
}

func waitFor(t *testing.T, l *loop, ready []unix.EpollEvent, timeout time.Duration) int {
	t.Helper()
	for {
		n, err := unix.EpollWait(l.epoll, ready, int(timeout.Milliseconds()))
		if !errors.Is(err, unix.EINTR) {
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
}

// However server and client take turns, requests arrive whole and one after the other.
func TestTurns(t *testing.T) {
	for name, turn := range map[string]func(conn net.Conn, read func(bytes int)){
		"answers in pieces": func(conn net.Conn, read func(int)) {
			read(much)
			for piece := range slices.Chunk([]byte(fine), 15) {
				_, _ = conn.Write(piece)
				time.Sleep(2 * time.Millisecond)
			}
		},
		"answers before the request is read": func(conn net.Conn, read func(int)) {
			read(1)
			_, _ = io.WriteString(conn, fine)
			time.Sleep(2 * time.Millisecond)
			read(much - 1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			number := byte(0)
			numbered := scenario{check: plain.check, next: func(c *client) {
				number++
				c.request = bytes.Repeat([]byte{number}, much)
			}}
			listener := listen(t, func(_ int, conn net.Conn) {
				var err error
				for number := byte(1); err == nil; number++ {
					turn(conn, func(size int) {
						part := make([]byte, size)
						if _, err = io.ReadFull(conn, part); err == nil && bytes.Count(part, []byte{number}) != size {
							err = errors.New("mixed")
							t.Errorf("request %d is mixed with another", number)
						}
					})
				}
			})
			l := connectTo(t, listener, 1, numbered)
			drive(t, l)
			if w := l.workers[0]; len(w.latencies) < 2 || len(w.errors) != 0 {
				t.Errorf("%d answers, errors %v", len(w.latencies), w.errors)
			}
		})
	}
}

// Whoever is not answered is given up at the deadline, and nobody waits for it before.
func TestOneStalls(t *testing.T) {
	listener := listen(t, func(number int, conn net.Conn) {
		if number == 1 {
			_, _ = io.Copy(io.Discard, conn)
			return
		}
		answerAll(conn, fine)
	})
	l := connectTo(t, listener, 3, plain)
	begun := time.Now()
	drive(t, l)
	if took := time.Since(begun); took < 2*brief || took > 4*brief {
		t.Errorf("it took %v", took)
	}
	for i, want := range []map[string]int{{}, {"read: i/o timeout": 1}, {}} {
		if w := l.workers[i]; !maps.Equal(w.errors, want) || (w.answers > 0) != (len(want) == 0) {
			t.Errorf("worker %d: %d answers, errors %v", i, w.answers, w.errors)
		}
	}
}

// A connection that breaks is opened again after the pause, in which the others go on.
func TestBrokenConnections(t *testing.T) {
	var mu sync.Mutex
	broken := 0
	listener := listen(t, func(number int, conn net.Conn) {
		if number == 1 {
			answerAll(conn, fine)
			return
		}
		if asked(conn) {
			_, _ = io.WriteString(conn, fine)
		}
		if asked(conn) {
			mu.Lock()
			defer mu.Unlock()
			broken++
		}
	})
	l := connectTo(t, listener, 2, plain)
	drive(t, l)
	mu.Lock()
	defer mu.Unlock()
	if w := l.workers[0]; !maps.Equal(w.errors, map[string]int{"unexpected EOF": broken}) || broken < 2 || broken > int(brief/pause)+1 || w.answers < broken {
		t.Errorf("%d answers, errors %v of %d", w.answers, w.errors, broken)
	}
	if w := l.workers[1]; len(w.errors) != 0 || w.answers < 10*l.workers[0].answers {
		t.Errorf("the other: %d answers, errors %v", w.answers, w.errors)
	}
}

func TestRefusedConnections(t *testing.T) {
	closed := make(chan struct{})
	var accepted sync.WaitGroup
	accepted.Add(2)
	listener := listen(t, func(number int, conn net.Conn) {
		accepted.Done()
		if number == 1 {
			answerAll(conn, fine)
			return
		}
		<-closed
		asked(conn)
	})
	l := connectTo(t, listener, 2, plain)
	accepted.Wait() // whatever is not would be reset
	listener.Close()
	close(closed)
	drive(t, l)
	w := l.workers[0]
	if n := w.errors["connect: connection refused"]; n < 2 || n > int(brief/pause) || w.errors["unexpected EOF"] != 1 || len(w.errors) != 2 {
		t.Errorf("errors %v", w.errors)
	}
	if w := l.workers[1]; len(w.errors) != 0 || w.answers == 0 {
		t.Errorf("the other: %d answers, errors %v", w.answers, w.errors)
	}
}

// A server may close the connection after an answer when it says so: that is no error, and takes no pause.
func TestAnnouncedCloses(t *testing.T) {
	listener := listen(t, func(_ int, conn net.Conn) {
		if asked(conn) {
			_, _ = io.WriteString(conn, closing)
		}
	})
	l := connectTo(t, listener, 1, plain)
	drive(t, l)
	if w := l.workers[0]; len(w.errors) != 0 || w.answers <= int(brief/pause) {
		t.Errorf("%d answers, errors %v", w.answers, w.errors)
	}
}

// An answer that waits for the loop to be done with another has taken that much longer.
func TestWaitingForTheLoopCounts(t *testing.T) {
	const busy = 20 * time.Millisecond
	var both sync.WaitGroup
	both.Add(2)
	listener := listen(t, func(_ int, conn net.Conn) {
		if asked(conn) {
			both.Done()
			both.Wait()
			_, _ = io.WriteString(conn, fine)
		}
		asked(conn)
		_, _ = io.WriteString(conn, fine)
		_, _ = io.Copy(io.Discard, conn)
	})
	slow := scenario{next: plain.next, check: func(c *client, a answer) error {
		time.Sleep(busy)
		return plain.check(c, a)
	}}
	l := connectTo(t, listener, 2, slow)
	drive(t, l)
	if one, other := l.workers[0].latencies, l.workers[1].latencies; len(one) == 0 || len(other) == 0 || max(one[0], other[0]) < busy {
		t.Errorf("latencies %v and %v", one, other)
	}
}
