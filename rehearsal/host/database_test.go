package host

import (
	"crypto/x509"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"example.com/todo/service/postgres/postgrestest"
)

// RUN-4
func TestDatabaseIsTheClusters(t *testing.T) {
	c := newCloud(t)
	cluster, err := c.cluster()
	if err != nil {
		t.Fatal(err)
	}
	connect := func(change func(*pgx.ConnConfig)) error {
		conn, err := c.connect(cluster, cluster.output("endpoint"), change)
		if err != nil {
			return err
		}
		return errors.Join(conn.Ping(t.Context()), conn.Close(t.Context()))
	}
	if err := connect(func(*pgx.ConnConfig) {}); err != nil {
		t.Fatal(err)
	}

	var refusal *pgconn.PgError
	err = connect(func(config *pgx.ConnConfig) { config.TLSConfig = nil })
	if !errors.As(err, &refusal) || !strings.Contains(refusal.Message, "no encryption") {
		t.Errorf("without TLS: got %v, want a refusal", err)
	}
	err = connect(func(config *pgx.ConnConfig) { config.Password = "guess" })
	if !errors.As(err, &refusal) || refusal.Code != "28P01" {
		t.Errorf("with another password: got %v, want a refusal", err)
	}
	var other x509.HostnameError
	if err = connect(func(config *pgx.ConnConfig) { config.TLSConfig.ServerName = "other.example.com" }); !errors.As(err, &other) {
		t.Errorf("under another name: got %v, want the certificate refused", err)
	}
	var unknown x509.UnknownAuthorityError
	if err = connect(func(config *pgx.ConnConfig) { config.TLSConfig.RootCAs = x509.NewCertPool() }); !errors.As(err, &unknown) {
		t.Errorf("without the root certificate: got %v, want the certificate refused", err)
	}
}

// RUN-5
func TestProxy(t *testing.T) {
	server, err := postgrestest.Start(t.Context(), postgrestest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	proxy, err := newProxy(func(client net.Conn) { relay(client, server.Addr) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := proxy.close(); err != nil {
			t.Error(err)
		}
	})
	counted := func(want int) {
		t.Helper()
		await(t, "the number of connections", func() bool { return proxy.Connections() == want })
	}
	// later connects in the background; it returns when the connection is counted, what it returns when there is an answer.
	later := func(count int) (answered func() error) {
		t.Helper()
		result := make(chan error, 1)
		go func() {
			conn, err := net.Dial("tcp4", proxy.Addr)
			if err == nil {
				err = errors.Join(ask(conn, sslRequest), conn.Close())
			}
			result <- err
		}()
		counted(count)
		return func() error { return <-result }
	}

	conn, err := net.Dial("tcp4", proxy.Addr)
	if err != nil {
		t.Fatal(err)
	}
	if err := ask(conn, sslRequest); err != nil {
		t.Fatal(err)
	}
	counted(1)
	proxy.Stall()
	answered := later(2)
	if err := ask(conn, gssRequest); err != nil {
		t.Errorf("an open connection does not outlive the stall: %v", err)
	}
	proxy.Pass()
	if err := answered(); err != nil {
		t.Errorf("after the stall: %v", err)
	}
	counted(1)

	proxy.Stall()
	answered = later(2)
	proxy.Refuse()
	if err := answered(); err == nil {
		t.Error("a stalled connection was not cut")
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("an open connection was not cut")
	}
	_ = conn.Close() // the proxy has closed it
	if refused, err := net.Dial("tcp4", proxy.Addr); err == nil {
		if err := ask(refused, sslRequest); err == nil {
			t.Error("a new connection was not refused")
		}
		_ = refused.Close() // the proxy has closed it
	}
	counted(0)

	proxy.Stall()
	answered = later(1)
	proxy.Pass()
	if err := answered(); err != nil {
		t.Errorf("after the refusals and the stall: %v", err)
	}
	counted(0)

	if err := server.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if conn, err := net.Dial("tcp4", proxy.Addr); err == nil {
		if _, err := io.ReadAll(conn); err != nil {
			t.Errorf("a connection to a stopped server: %v", err)
		}
		_ = conn.Close() // the proxy has closed it
	}
	counted(0)
}

// ask asks what PostgreSQL answers with one byte before anything else. Not through pgx, which after a failure opens one more
// connection to cancel what failed, and that would be counted.
func ask(conn net.Conn, code uint32) error {
	question := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, 8), code)
	if _, err := conn.Write(question); err != nil {
		return err
	}
	_, err := io.ReadFull(conn, make([]byte, 1))
	return err
}
