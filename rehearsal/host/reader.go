package host

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
)

// What may come instead of a start-up message, and the longest one that PostgreSQL takes.
// https://www.postgresql.org/docs/current/protocol-message-formats.html
const (
	cancelRequest   uint32 = 80877102
	sslRequest      uint32 = 80877103
	gssRequest      uint32 = 80877104
	longestStartup         = 10000
	readOnlySetting        = "default_transaction_read_only\x00on\x00"
)

// relayReader passes a connection on to PostgreSQL as to one of Aurora's readers: its session may only read. One PostgreSQL
// stands for both, so this end of the connection is ours: we speak TLS with the server's own certificate, which
// keeps the password's binding to it, and add a setting to the start-up message. (RDS-24)
func relayReader(client net.Conn, addr string, certificate tls.Certificate) {
	server, err := net.Dial("tcp4", addr)
	if err != nil {
		return
	}
	secured, startup, err := greet(client, certificate)
	if err == nil {
		server, err = introduce(server, startup, secured != client)
	}
	if err != nil {
		_ = server.Close()
		_ = secured.Close()
		return
	}
	join(secured, server)
}

// greet reads a client's start-up message, after TLS if the client asks for it.
func greet(client net.Conn, certificate tls.Certificate) (secured net.Conn, startup []byte, err error) {
	secured = client
	for {
		startup, err = readStartup(secured)
		if err != nil {
			return secured, nil, err
		}
		switch binary.BigEndian.Uint32(startup[4:]) {
		case sslRequest:
			if _, err := client.Write([]byte("S")); err != nil {
				return secured, nil, err
			}
			secured = tls.Server(client, &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12})
		case gssRequest:
			if _, err := secured.Write([]byte("N")); err != nil {
				return secured, nil, err
			}
		case cancelRequest:
			return secured, startup, nil
		default:
			return secured, readOnly(startup), nil
		}
	}
}

// introduce sends a start-up message to the server.
func introduce(server net.Conn, startup []byte, secured bool) (net.Conn, error) {
	if secured {
		if err := binary.Write(server, binary.BigEndian, []uint32{8, sslRequest}); err != nil {
			return server, err
		}
		answer := make([]byte, 1)
		if _, err := io.ReadFull(server, answer); err != nil {
			return server, err
		}
		if answer[0] != 'S' {
			return server, errors.New("the server speaks no TLS")
		}
		// The client verifies the certificate that both ends use; between the two there is nobody.
		server = tls.Client(server, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12})
	}
	_, err := server.Write(startup)
	return server, err
}

func readStartup(from io.Reader) ([]byte, error) {
	head := make([]byte, 8)
	if _, err := io.ReadFull(from, head); err != nil {
		return nil, err
	}
	length := binary.BigEndian.Uint32(head)
	if length < 8 || length > longestStartup {
		return nil, fmt.Errorf("a start-up message of %d bytes", length)
	}
	startup := append(head, make([]byte, length-8)...)
	_, err := io.ReadFull(from, startup[8:])
	return startup, err
}

// readOnly adds a setting to the names and values that a start-up message ends in.
func readOnly(startup []byte) []byte {
	changed := append(bytes.TrimSuffix(startup, []byte{0}), readOnlySetting+"\x00"...)
	binary.BigEndian.PutUint32(changed, uint32(len(changed))) //nolint:gosec // bounded by longestStartup
	return changed
}
