package httpapi

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"
)

// The socket's deadline follows where it would come too late, and where it has passed.
func TestDeadlinesOfConnections(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	accepted, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c := &conn{Conn: accepted}
	defer accepted.Close()

	var one [1]byte
	reads := func(in time.Duration) error {
		if err := c.SetReadDeadline(time.Now().Add(in)); err != nil {
			return err
		}
		_, err := c.Read(one[:])
		return err
	}
	writes := func(in time.Duration) error {
		if err := c.SetWriteDeadline(time.Now().Add(in)); err != nil {
			return err
		}
		_, err := c.Write(make([]byte, 64<<20)) // more than the system takes from who is not read
		return err
	}
	for range 2 {
		if _, err := client.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if err := reads(time.Hour); err != nil {
			t.Errorf("what is there: %v", err)
		}
		if err := reads(10 * time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("what never comes: %v", err)
		}
		if err := writes(10 * time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("what nobody takes: %v", err)
		}
	}
}
