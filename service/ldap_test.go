package main

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// directory answers LDAP's simple bind, which is how PostgreSQL has a password checked by
// somebody else, of any length: it says whether the password is a token that RDS would take.
// https://www.rfc-editor.org/rfc/rfc4511#section-4.2
type directory struct {
	listener net.Listener
	work     sync.WaitGroup

	mu        sync.Mutex
	key       string            // of AWS's role, by which tokens must be signed
	passwords map[string]string // of those who have no token
	binds     map[string]int    // who was asked about, how often
	refused   []error
}

func startDirectory(t *testing.T, key string) *directory {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &directory{listener: l, key: key, passwords: map[string]string{}, binds: map[string]int{}}
	d.work.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			d.work.Go(func() { d.serve(conn) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		d.work.Wait()
		if t.Failed() {
			t.Logf("asked about %v, refused: %v", d.binds, d.refused)
		}
	})
	return d
}

type ldapMessage struct {
	ID        int
	Operation asn1.RawValue
}

const (
	bindRequest        = 0
	bindResponse       = 1
	success            = 0
	invalidCredentials = 49
)

func (d *directory) serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	for {
		var request ldapMessage
		raw, err := element(in)
		if err != nil {
			return
		}
		if _, err := asn1.Unmarshal(raw, &request); err != nil || request.Operation.Tag != bindRequest {
			return // unbind, which ends the connection
		}
		code := success
		if err := d.bind(request.Operation.Bytes); err != nil {
			code = invalidCredentials
		}
		var body []byte
		for _, field := range []any{asn1.Enumerated(code), []byte{}, []byte{}} { // code, matched name, message
			der, _ := asn1.Marshal(field) // of these types it always can
			body = append(body, der...)
		}
		answer, _ := asn1.Marshal(ldapMessage{request.ID, asn1.RawValue{
			Class: asn1.ClassApplication, Tag: bindResponse, IsCompound: true, Bytes: body,
		}})
		if _, err := conn.Write(answer); err != nil {
			return
		}
	}
}

// element reads one element of BER, whose length is at most two bytes long.
func element(in *bufio.Reader) ([]byte, error) {
	head, err := in.Peek(4)
	if err != nil {
		return nil, err
	}
	length := 2 + int(head[1])
	switch head[1] {
	case 0x81:
		length = 3 + int(head[2])
	case 0x82:
		length = 4 + int(head[2])<<8 + int(head[3])
	}
	raw := make([]byte, length)
	_, err = io.ReadFull(in, raw)
	return raw, err
}

// bind checks the name, which PostgreSQL makes of the user's, and the password.
func (d *directory) bind(request []byte) error {
	var version int
	var name []byte
	var password asn1.RawValue
	rest := request
	for _, field := range []any{&version, &name, &password} {
		var err error
		if rest, err = asn1.Unmarshal(rest, field); err != nil {
			return err
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	user := strings.TrimPrefix(string(name), namePrefix)
	d.binds[user]++
	err := d.check(user, string(password.Bytes))
	if err != nil {
		d.refused = append(d.refused, err)
	}
	return err
}

// check is called with mu held.
func (d *directory) check(user, password string) error {
	if want, ok := d.passwords[user]; ok {
		if password != want {
			return fmt.Errorf("%s has another password", user)
		}
		return nil
	}
	return checkToken(password, user, d.key)
}

// asked says how often that user tried to log in.
func (d *directory) asked(user string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.binds[user]
}

func (d *directory) set(change func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change()
}

// namePrefix is before the user in the name that PostgreSQL binds as.
const namePrefix = "cn="

const (
	tokenTime    = "20060102T150405Z"
	tokenExpires = 15 * time.Minute
)

// checkToken verifies what the specification of signed URLs says, and that it is for that
// user of this database:
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
func checkToken(token, user, key string) error {
	address, query, _ := strings.Cut(token, "/?")
	unsigned, signature, _ := strings.Cut(query, "&X-Amz-Signature=")
	values, err := url.ParseQuery(unsigned)
	if err != nil {
		return err
	}
	if address != databaseHost+":5432" {
		return fmt.Errorf("it is for %s", address)
	}
	date, err := time.Parse(tokenTime, values.Get("X-Amz-Date"))
	if age := time.Since(date); err != nil || age < -time.Minute || age > tokenExpires {
		return fmt.Errorf("it is of %s", values.Get("X-Amz-Date"))
	}
	scope := date.Format("20060102") + "/eu-west-1/rds-db/aws4_request"
	for name, want := range map[string]string{
		"Action": "connect", "DBUser": user, "X-Amz-Algorithm": "AWS4-HMAC-SHA256", "X-Amz-Credential": "AKID/" + scope,
		"X-Amz-Expires": "900", "X-Amz-SignedHeaders": "host", "X-Amz-Security-Token": "t",
	} {
		if values.Get(name) != want {
			return fmt.Errorf("%s is %q, not %q", name, values.Get(name), want)
		}
	}
	canonical := "GET\n/\n" + strings.ReplaceAll(values.Encode(), "+", "%20") + "\nhost:" + address + "\n\nhost\n" + digest("")
	mac := []byte("AWS4" + key)
	for _, part := range append(strings.Split(scope, "/"), "AWS4-HMAC-SHA256\n"+date.Format(tokenTime)+"\n"+scope+"\n"+digest(canonical)) {
		h := hmac.New(sha256.New, mac)
		h.Write([]byte(part))
		mac = h.Sum(nil)
	}
	if signature != hex.EncodeToString(mac) {
		return errors.New("it is signed with another key")
	}
	return nil
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
