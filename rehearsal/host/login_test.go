package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"example.com/todo/rehearsal/account"
)

// A bearer makes tokens as AWS's SDK for Go does, for a role of the database.
// https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/UsingWithRDS.IAMDBAuth.Connecting.Go.html
type bearer struct {
	from                            aws.Credentials
	service, region, endpoint, role string
	action, expires                 string
	at                              time.Time
}

func (b bearer) token(t *testing.T) string {
	t.Helper()
	query := url.Values{"Action": {b.action}, "DBUser": {b.role}, "X-Amz-Expires": {b.expires}}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+b.endpoint+"/?"+query.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	signed, _, err := v4.NewSigner().PresignHTTP(t.Context(), b.from, request, digest(nil), b.service, b.region, b.at)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(signed, "https://")
}

// tokens is a cloud whose cluster takes tokens, with a role todo in the database and one in IAM that may log in as it.
type tokens struct {
	*cloud
	*testing.T
	cluster made
	master  *pgx.Conn
	right   bearer
}

func newTokens(t *testing.T) *tokens {
	t.Helper()
	c := newCloud(t)
	cluster, err := c.cluster()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.change(clusterToken, cluster, c.props, props{"iamDatabaseAuthenticationEnabled": true}); err != nil {
		t.Fatal(err)
	}
	b := &tokens{cloud: c, T: t, cluster: cluster}
	b.master, err = c.connect(cluster, cluster.output("endpoint"), func(*pgx.ConnConfig) {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.master.Close(context.Background()) }) // cut, maybe
	b.execute(
		"CREATE ROLE todo LOGIN PASSWORD 'known'", "GRANT rds_iam TO todo",
		"CREATE ROLE plain LOGIN PASSWORD 'known'", `CREATE ROLE "Todo" LOGIN IN ROLE rds_iam`)
	own := b.credentials("own", "rds-db:connect", b.user("todo"))
	b.right = bearer{
		from: own, service: "rds-db", region: region, endpoint: cluster.output("endpoint") + ":5432", role: "todo",
		action: "connect", expires: "900", at: time.Now(),
	}
	return b
}

// user is a role of the database as policies name it.
func (b *tokens) user(role string) string {
	return fmt.Sprintf("arn:aws:rds-db:%s:%s:dbuser:%s/%s", region, account.ID, b.cluster.output("clusterResourceId"), role)
}

// credentials are those of a new role that may do one thing.
func (b *tokens) credentials(name, action, resource string) aws.Credentials {
	b.Helper()
	arn := b.mustRole(b.T, name, tasksPrincipal, "")
	_, err := b.make("aws:iam/rolePolicy:RolePolicy", name, props{"role": arn[strings.LastIndex(arn, "/")+1:], "policy": `{"Version":"2012-10-17",
		"Statement":[{"Effect":"Allow","Action":"` + action + `","Resource":"` + resource + `"}]}`})
	if err != nil {
		b.Fatal(err)
	}
	issued, err := b.credentialsOf(b.T, arn).Retrieve(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return issued
}

func (b *tokens) execute(statements ...string) {
	b.Helper()
	for _, statement := range statements {
		if _, err := b.master.Exec(b.Context(), statement); err != nil {
			b.Fatalf("%s: %v", statement, err)
		}
	}
}

// login logs in and answers what the session is.
func (b *tokens) login(endpoint, role, password string) (who string, err error) {
	conn, err := b.connect(b.cluster, endpoint, func(config *pgx.ConnConfig) { config.User, config.Password = role, password })
	if err != nil {
		return "", err
	}
	err = conn.QueryRow(b.Context(), `SELECT session_user || ' read only: ' || current_setting('default_transaction_read_only') || ', tls: ' ||
		(SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid())`).Scan(&who)
	return who, errors.Join(err, conn.Close(b.Context()))
}

func (b *tokens) mustRefuse(what string, err error, code, text string) {
	b.Helper()
	var refusal *pgconn.PgError
	if !errors.As(err, &refusal) || refusal.Severity != "FATAL" || refusal.Code != code || !strings.Contains(refusal.Message, text) {
		b.Errorf("%s: got %v, want %s %s", what, err, code, text)
	}
}

const pam, password = "PAM authentication failed for user", "password authentication failed for user"

// RDS-31, RDS-32, RDS-33, RDS-34, RDS-35
func TestTokens(t *testing.T) {
	b := newTokens(t)
	endpoint := b.cluster.output("endpoint")

	if who, err := b.login(endpoint, "todo", b.right.token(t)); err != nil || who != "todo read only: off, tls: true" {
		t.Errorf("with a token: %q, %v", who, err)
	}
	if who, err := b.login(endpoint, "plain", "known"); err != nil || who != "plain read only: off, tls: true" {
		t.Errorf("with a password: %q, %v", who, err)
	}

	none := b.credentials("none", "rds-db:connect", b.user("other"))
	byName := b.credentials("name", "rds-db:connect", strings.Replace(b.user("todo"), b.cluster.output("clusterResourceId"), b.cluster.id, 1))
	foreign := aws.Credentials{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}
	guessed := b.right.from
	guessed.SecretAccessKey = "guess"
	for name, change := range map[string]func(*bearer){
		"another endpoint":          func(r *bearer) { r.endpoint = "other.example.com:5432" },
		"another port":              func(r *bearer) { r.endpoint = endpoint + ":5433" },
		"no port":                   func(r *bearer) { r.endpoint = endpoint },
		"another role":              func(r *bearer) { r.role = "Todo" },
		"another action":            func(r *bearer) { r.action = "describe" },
		"another service":           func(r *bearer) { r.service = "rds" },
		"another region":            func(r *bearer) { r.region = "eu-west-2" },
		"more than 15 minutes":      func(r *bearer) { r.expires = "901" },
		"no time at all":            func(r *bearer) { r.expires = "0" },
		"after its 15 minutes":      func(r *bearer) { r.at = r.at.Add(-16 * time.Minute) },
		"after its one":             func(r *bearer) { r.at, r.expires = r.at.Add(-2*time.Minute), "60" },
		"before its time":           func(r *bearer) { r.at = r.at.Add(10 * time.Minute) },
		"another's secret key":      func(r *bearer) { r.from = guessed },
		"another account's keys":    func(r *bearer) { r.from = foreign },
		"a policy for another role": func(r *bearer) { r.from = none },
		"a policy for another name": func(r *bearer) { r.from = byName },
	} {
		wrong := b.right
		change(&wrong)
		_, err := b.login(endpoint, "todo", wrong.token(t))
		b.mustRefuse(name, err, "28000", pam+` "todo"`)
	}
	for name, text := range map[string]string{
		"a password": "known", "nothing": "", "a changed token": strings.Replace(b.right.token(t), "Expires=900", "Expires=800", 1),
		"a token with a scheme": "https://" + b.right.token(t),
	} {
		_, err := b.login(endpoint, "todo", text)
		b.mustRefuse(name, err, "28000", pam+` "todo"`)
	}
	if said := strings.Join(b.host.Unreached(), "\n"); !strings.Contains(said, "todo-test does not let todo in: ") {
		t.Errorf("the host says %q", said)
	}
	if _, err := b.login(endpoint, "todo", b.right.token(t)); err != nil {
		t.Error(err)
	}
	if said := b.host.Unreached(); len(said) > 0 {
		t.Errorf("the host still says %q", said)
	}

	// PostgreSQL's names have their case, and policies too.
	upper := b.right
	upper.role = "Todo"
	_, err := b.login(endpoint, "Todo", upper.token(t))
	b.mustRefuse("a role that differs in its case", err, "28000", pam+` "Todo"`)
	_, err = b.login(endpoint, "plain", b.right.token(t))
	b.mustRefuse("a token of a role without rds_iam", err, "28P01", password)
	_, err = b.login(endpoint, "nobody", b.right.token(t))
	b.mustRefuse("a role that does not exist", err, "28P01", password)
}

// RDS-31
func TestWhoInheritsTheTokensRoleNeedsOne(t *testing.T) {
	b := newTokens(t)
	endpoint := b.cluster.output("endpoint")
	secret, err := b.secret(b.cluster, account.StageCurrent)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.login(endpoint, secret.Username, secret.Password); err != nil {
		t.Errorf("the master, who made the role: %v", err)
	}
	b.execute("GRANT todo TO tasks")
	_, err = b.login(endpoint, secret.Username, secret.Password)
	b.mustRefuse("the master as a member of the role", err, "28000", pam+` "tasks"`)
	b.execute("REVOKE todo FROM tasks")
	if _, err := b.login(endpoint, secret.Username, secret.Password); err != nil {
		t.Errorf("the master after that: %v", err)
	}

	// PostgreSQL itself lets nobody in whom the endpoint has not asked for a token.
	b.host.mu.Lock()
	server := b.host.databases[b.cluster.id].server.Addr
	b.host.mu.Unlock()
	_, err = b.connect(b.cluster, endpoint, func(config *pgx.ConnConfig) {
		config.User, config.Password = "todo", "known"
		config.DialFunc = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp4", server)
		}
	})
	b.mustRefuse("past the endpoint", err, "28000", "certificate")
}

// RDS-31, RDS-32
func TestTokensNeedTLSAndTheClustersConsent(t *testing.T) {
	b := newTokens(t)
	endpoint := b.cluster.output("endpoint")
	group, err := b.make("aws:rds/clusterParameterGroup:ClusterParameterGroup", "plain", props{
		"family": "aurora-postgresql17", "parameters": []any{props{"name": "rds.force_ssl", "value": "0"}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.change(clusterToken, b.cluster, b.props, props{"dbClusterParameterGroupName": group.id}); err != nil {
		t.Fatal(err)
	}
	plainly := func(role, password string) error {
		conn, err := b.connect(b.cluster, endpoint, func(config *pgx.ConnConfig) {
			config.User, config.Password, config.TLSConfig = role, password, nil
		})
		if err == nil {
			err = conn.Close(t.Context())
		}
		return err
	}
	if err := plainly("plain", "known"); err != nil {
		t.Errorf("a password without TLS, where that may be: %v", err)
	}
	b.mustRefuse("a token without TLS", plainly("todo", b.right.token(t)), "28000", "no encryption")

	if err := b.change(clusterToken, b.cluster, b.props, props{"iamDatabaseAuthenticationEnabled": false}); err != nil {
		t.Fatal(err)
	}
	_, err = b.login(endpoint, "todo", b.right.token(t))
	b.mustRefuse("a token where the cluster takes none", err, "28P01", password)
	if _, err := b.login(endpoint, "todo", "known"); err != nil {
		t.Errorf("a password where the cluster takes no tokens: %v", err)
	}
}

// RDS-24, RDS-31
func TestReadersTakeTokensOfTheirOwn(t *testing.T) {
	b := newTokens(t)
	if _, err := b.instance("todo-test-2"); err != nil {
		t.Fatal(err)
	}
	reader := b.cluster.output("readerEndpoint")
	_, err := b.login(reader, "todo", b.right.token(t))
	b.mustRefuse("a token for the writer", err, "28000", pam)
	b.right.endpoint = reader + ":5432"
	if who, err := b.login(reader, "todo", b.right.token(t)); err != nil || who != "todo read only: on, tls: true" {
		t.Errorf("got %q, %v", who, err)
	}
}
