package host

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"example.com/todo/rehearsal/account"
)

// longestPassword is PostgreSQL's limit for what answers an authentication request.
const longestPassword = 65535

// usher takes part in the beginning of a connection to PostgreSQL: a reader's session may only read (RDS-24), and a role that
// inherits rds_iam needs a token. This end of the connection is ours then: we speak TLS with the server's own certificate, which
// keeps a password's binding to it.
func (d *database) usher(endpoint string, client net.Conn, reads, tokens bool) {
	conn, startup, err := greet(client, d.certificate)
	if err != nil {
		_ = conn.Close()
		return
	}
	secured := conn != client
	var login *tls.Certificate
	if role := parameter(startup, "user"); role != "" && tokens && secured && d.needsToken(role) {
		if login, err = d.admit(conn, endpoint, role); err != nil {
			_ = conn.Close()
			return
		}
	}
	if reads && !isCancel(startup) {
		startup = readOnly(startup)
	}
	server, err := introduce(d.server.Addr, startup, secured, login)
	if err != nil {
		_ = conn.Close()
		return
	}
	join(conn, server)
}

// needsToken says whether a role inherits rds_iam, over any number of others. Membership that does not inherit, as the maker of a
// role has it since version 16, does not count. Of a PostgreSQL that answers nobody the client learns better itself. (RDS-31)
// https://github.com/crossplane-contrib/provider-sql/issues/359
func (d *database) needsToken(role string) bool {
	ctx, cancel := context.WithTimeout(d.life, time.Minute)
	defer cancel()
	var needs bool
	err := d.connected(ctx, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, "SELECT pg_has_role(oid, $1, 'USAGE') FROM pg_roles WHERE rolname = $2 AND NOT rolsuper", tokenRole, role).Scan(&needs)
	})
	return err == nil && needs
}

// admit asks for a token and answers the certificate with which PostgreSQL lets its bearer in. What is wrong with one RDS tells
// the client as little as PostgreSQL would of PAM; it writes it into a log of its own. (RDS-34)
// https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/UsingWithRDS.IAMDBAuth.Troubleshooting.html
func (d *database) admit(client net.Conn, endpoint, role string) (*tls.Certificate, error) {
	token, err := askForPassword(client)
	if err != nil {
		return nil, err
	}
	err = d.mayConnect(token, endpoint, role)
	d.tellRefusal(role, err)
	if err != nil {
		return nil, errors.Join(err, fatal(client, "28000", fmt.Sprintf("PAM authentication failed for user %q", role)))
	}
	certificate, err := d.authority.login(role)
	return &certificate, err
}

func (d *database) mayConnect(token, endpoint, role string) error {
	d.mu.Lock()
	port := d.spec.Port
	d.mu.Unlock()
	caller, err := verifyToken(token, fmt.Sprintf("%s:%d", endpoint, port), role, d.account.Session, time.Now())
	var refusal *account.APIError
	if errors.As(err, &refusal) {
		return errors.New(refusal.Message)
	}
	if err != nil {
		return err
	}
	return d.account.ConnectDatabase(caller, d.cluster, role)
}

// tellRefusal tells people why a role's last token was refused, once.
func (d *database) tellRefusal(role string, reason error) {
	d.mu.Lock()
	before := d.refused[role]
	delete(d.refused, role)
	if reason != nil {
		d.refused[role] = reason.Error()
	}
	d.mu.Unlock()
	if reason != nil && before != reason.Error() {
		d.say("iam-db-auth-error: the token of %s was refused: %v", role, reason)
	}
}

func (d *database) notAdmitted() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []string
	for _, role := range slices.Sorted(maps.Keys(d.refused)) {
		all = append(all, fmt.Sprintf("%s does not let %s in: %s", d.cluster, role, d.refused[role]))
	}
	return all
}

// askForPassword asks for it in plain text, as PostgreSQL does for PAM: that is sent inside TLS.
// https://www.postgresql.org/docs/current/protocol-flow.html
func askForPassword(client net.Conn) (string, error) {
	const authentication, cleartext, password = 'R', 3, 'p'
	if _, err := client.Write([]byte{authentication, 0, 0, 0, 8, 0, 0, 0, cleartext}); err != nil {
		return "", err
	}
	head := make([]byte, 5)
	if _, err := io.ReadFull(client, head); err != nil {
		return "", err
	}
	length := binary.BigEndian.Uint32(head[1:])
	if head[0] != password || length < 5 || length > longestPassword {
		return "", errors.New("the answer is no password")
	}
	text := make([]byte, length-4)
	_, err := io.ReadFull(client, text)
	return string(text[:len(text)-1]), err
}

// fatal ends the beginning of a session in PostgreSQL's words.
// https://www.postgresql.org/docs/current/protocol-error-fields.html
func fatal(client net.Conn, code, message string) error {
	body := fmt.Sprintf("SFATAL\x00VFATAL\x00C%s\x00M%s\x00\x00", code, message)
	head := binary.BigEndian.AppendUint32([]byte{'E'}, uint32(len(body)+4)) //nolint:gosec // a role's name is short
	_, err := client.Write(append(head, body...))
	return err
}
