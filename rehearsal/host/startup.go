package host

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
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
		default:
			return secured, startup, nil
		}
	}
}

// introduce connects to a server and sends a start-up message, if need be as the bearer of a certificate.
func introduce(addr string, startup []byte, secured bool, login *tls.Certificate) (net.Conn, error) {
	server, err := net.Dial("tcp4", addr)
	if err != nil {
		return nil, err
	}
	if secured {
		if server, err = secure(server, login); err != nil {
			return nil, err
		}
	}
	if _, err := server.Write(startup); err != nil {
		return nil, errors.Join(err, server.Close())
	}
	return server, nil
}

func secure(server net.Conn, login *tls.Certificate) (net.Conn, error) {
	answer := make([]byte, 1)
	err := binary.Write(server, binary.BigEndian, []uint32{8, sslRequest})
	if err == nil {
		_, err = io.ReadFull(server, answer)
	}
	if err == nil && answer[0] != 'S' {
		err = errors.New("the server speaks no TLS")
	}
	if err != nil {
		return nil, errors.Join(err, server.Close())
	}
	// The client verifies the certificate that both ends use; between the two there is nobody.
	config := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}
	if login != nil {
		config.Certificates = []tls.Certificate{*login}
	}
	return tls.Client(server, config), nil
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

func isCancel(startup []byte) bool { return binary.BigEndian.Uint32(startup[4:]) == cancelRequest }

// parameter is one of the names and values in a start-up message; empty where there is none.
func parameter(startup []byte, name string) string {
	if isCancel(startup) {
		return ""
	}
	fields := strings.Split(string(startup[8:]), "\x00")
	for i := 0; i+1 < len(fields); i += 2 {
		if fields[i] == name {
			return fields[i+1]
		}
	}
	return ""
}

// readOnly adds a setting to the names and values that a start-up message ends in.
func readOnly(startup []byte) []byte {
	changed := append(bytes.TrimSuffix(startup, []byte{0}), readOnlySetting+"\x00"...)
	binary.BigEndian.PutUint32(changed, uint32(len(changed))) //nolint:gosec // bounded by longestStartup
	return changed
}
