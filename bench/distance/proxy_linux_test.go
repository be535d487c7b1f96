package distance_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"example.com/todo/bench/distance"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve handles each connection in a goroutine of its own and then closes it.
func serve(t *testing.T, handle func(*net.TCPConn)) (addr string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var handling sync.WaitGroup
	handling.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			handling.Go(func() {
				defer conn.Close()
				handle(conn.(*net.TCPConn))
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		handling.Wait()
	})
	return listener.Addr().String()
}

func echo(conn *net.TCPConn) { _, _ = io.Copy(conn, conn) } // a client that is gone has failed its test

func start(t *testing.T, server string, roundTrip time.Duration) *distance.Proxy {
	t.Helper()
	p, err := distance.Start(server, roundTrip)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func dial(t *testing.T, addr string) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn.(*net.TCPConn)
}

// Chunks do not queue behind each other's delay: all that is sent within one round trip is back after little more than one.
func TestDelayIsAddedOnce(t *testing.T) {
	const roundTrip, chunks = 100 * time.Millisecond, 10
	conn := dial(t, start(t, serve(t, echo), roundTrip).Addr)
	begun := time.Now()
	var sent []byte
	for i := range byte(chunks) {
		sent = append(sent, i)
		if _, err := conn.Write([]byte{i}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
	back := make([]byte, 1)
	if _, err := io.ReadFull(conn, back); err != nil {
		t.Fatal(err)
	}
	first := time.Since(begun)
	rest := make([]byte, chunks-1)
	if _, err := io.ReadFull(conn, rest); err != nil {
		t.Fatal(err)
	}
	if all := time.Since(begun); first < roundTrip || all > chunks/2*roundTrip {
		t.Errorf("the first of %d chunks was back after %v, the last after %v", chunks, first, all)
	}
	if !bytes.Equal(append(back, rest...), sent) {
		t.Errorf("%v became %v%v", sent, back, rest)
	}
}

// Whatever the sizes, and however slowly the receiver reads, all bytes arrive in order on each of many connections.
func TestBytesArrive(t *testing.T) {
	const size = 12 << 20 // more than may be on the way
	p := start(t, serve(t, echo), 2*time.Millisecond)
	var clients sync.WaitGroup
	for i := range uint64(4) {
		conn := dial(t, p.Addr)
		clients.Go(func() {
			sent, got := sha256.New(), sha256.New()
			var sending sync.WaitGroup
			sending.Go(func() {
				random := rand.New(rand.NewPCG(i, 0))
				for left := size; left > 0; {
					chunk := make([]byte, min(left, 1+random.IntN(1<<18)))
					for i := range chunk {
						chunk[i] = byte(random.Uint32())
					}
					left -= len(chunk)
					sent.Write(chunk)
					if _, err := conn.Write(chunk); err != nil {
						t.Error(err)
						return
					}
				}
				if err := conn.CloseWrite(); err != nil {
					t.Error(err)
				}
			})
			time.Sleep(50 * time.Millisecond) // by when every buffer is full
			n, err := io.Copy(got, conn)
			sending.Wait()
			if err != nil || n != size || !bytes.Equal(got.Sum(nil), sent.Sum(nil)) {
				t.Errorf("%d of %d bytes came back, equal: %v, %v", n, size, bytes.Equal(got.Sum(nil), sent.Sum(nil)), err)
			}
		})
	}
	clients.Wait()
}

// What one side does at the end reaches the other.
func TestEnds(t *testing.T) {
	farewell := func(conn *net.TCPConn) {
		_, _ = io.Copy(io.Discard, conn) // until the client has ended
		_, _ = io.WriteString(conn, "bye")
	}
	reset := func(conn *net.TCPConn) {
		_, _ = io.ReadFull(conn, make([]byte, 1))
		_ = conn.SetLinger(0)
	}
	t.Run("half", func(t *testing.T) {
		conn := dial(t, start(t, serve(t, farewell), 5*time.Millisecond).Addr)
		if _, err := io.WriteString(conn, "hello"); err != nil {
			t.Fatal(err)
		}
		if err := conn.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if answer, err := io.ReadAll(conn); err != nil || string(answer) != "bye" {
			t.Errorf("got %q, %v", answer, err)
		}
	})
	t.Run("reset", func(t *testing.T) {
		conn := dial(t, start(t, serve(t, reset), 5*time.Millisecond).Addr)
		if _, err := io.WriteString(conn, "x"); err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(conn); len(b) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %q, %v", b, err)
		}
	})
	t.Run("nobody there", func(t *testing.T) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listener.Close()
		conn := dial(t, start(t, listener.Addr().String(), time.Millisecond).Addr)
		if b, err := io.ReadAll(conn); len(b) > 0 {
			t.Errorf("got %q, %v", b, err)
		}
	})
	t.Run("closed proxy", func(t *testing.T) {
		p, err := distance.Start(serve(t, echo), time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		conn := dial(t, p.Addr)
		if _, err := io.WriteString(conn, "on the way"); err != nil {
			t.Fatal(err)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if b, err := io.ReadAll(conn); len(b) > 0 {
			t.Errorf("got %q, %v", b, err)
		}
		if conn, err := net.Dial("tcp", p.Addr); err == nil {
			conn.Close()
			t.Error("it still listens")
		}
	})
}

func TestStartNeedsAnAddress(t *testing.T) {
	if p, err := distance.Start("127.0.0.1", time.Millisecond); err == nil {
		t.Errorf("got %+v", p)
	}
}
