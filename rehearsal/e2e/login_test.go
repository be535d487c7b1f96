package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"example.com/todo/infra/output"
	"example.com/todo/service/check"

	"example.com/todo/rehearsal/account"
	"example.com/todo/rehearsal/host"
)

// logins are the settings of a stack whose service logs in with a password or with tokens.
func logins(with string) string {
	return "todo:maxInstances: 1\n  todo:finalSnapshot: false\n  todo:databaseLogin: " + with
}

// A login is a stack whose service logs in with tokens.
type login struct {
	life
	client   *client
	endpoint string // the database's
}

// A stack that has run with a password goes over to tokens and back, while it is used; and whatever is missing of what tokens
// take, the service says so and recovers when it is there again.
func TestLogin(t *testing.T) {
	t.Parallel()
	l := &login{life: life{root: repository(t)}}
	l.stage = open(t, l.root)
	configure(t, l.root, "life", logins("password"))
	l.stack = stackOf(t, l.stage, "life")
	must(t, l.stack.Up)
	l.client, l.endpoint = l.life.client(t), outputs(t, l.stack)[output.DatabaseEndpoint]

	t.Run("from a password to tokens no request is lost", func(t *testing.T) {
		l.change(t, "iam", "RolePolicy service-login created", "Service service-apprunner updated", "VpcEndpoint network-secrets deleted")
		if ways := append(l.all("aws:ec2/vpcEndpoint:VpcEndpoint", ""), l.all("aws:ec2/natGateway:NatGateway", "")...); len(ways) > 0 {
			t.Errorf("there are still ways to AWS's APIs: %v", ways)
		}
		l.mustBe(t, "todo")
		if err := check.Run(t.Context(), l.client.Client, l.client.url, func(rule string, err error) {
			if err != nil {
				t.Errorf("the contract's rule %q does not hold: %v", rule, err)
			}
		}); err != nil {
			t.Error(err)
		}
	})
	t.Run("whatever is missing is said, and recovered from", l.missing)
	t.Run("a secret that may not be read fails the deployment", l.unreadable)
	t.Run("a first start takes the secret", l.firstStart)
	t.Run("and back to a password no request is lost", func(t *testing.T) {
		l.change(t, "password", "VpcEndpoint network-secrets created", "Service service-apprunner updated", "RolePolicy service-login deleted")
		l.mustBe(t, "tasks")
	})
}

// change goes over to another login under load, and expects the engine to do so in an order. Then the master's password is
// rotated, and all sessions are cut, so that those from before prove nothing.
func (l *login) change(t *testing.T, with string, steps ...string) {
	t.Helper()
	made := l.client.do(t, http.MethodPost, "/api/v1/tasks", `{"title":"made before"}`)
	if made.status != http.StatusCreated {
		t.Fatalf("POST answers %d %v", made.status, made.body)
	}
	configure(t, l.root, "life", logins(with))
	var printed bytes.Buffer
	failed := underLoad(t, l.client, func(ctx context.Context) error {
		return errors.Join(l.stack.Up(ctx, &printed), l.account().RotateSecret(ctx, l.cluster(t).SecretARN))
	})
	if failed != 0 {
		t.Errorf("%d requests were answered 503", failed)
	}
	rest := printed.String()
	for _, step := range steps {
		_, after, found := strings.Cut(rest, step)
		if !found {
			t.Errorf("%q is not among %q, in this order:\n%s", step, steps, printed.String())
			break
		}
		rest = after
	}
	l.cut(t)
	await(t, "the service logs in anew", l.client.works)
	if a := l.client.do(t, http.MethodGet, made.header.Get("Location"), ""); a.status != http.StatusOK {
		t.Errorf("the task made before answers %d %v", a.status, a.body)
	}
	if changes := plan(t, l.stack).Changes(); len(changes) > 0 {
		t.Errorf("a second preview plans %v", changes)
	}
}

const (
	policyToken  = "aws:iam/rolePolicy:RolePolicy"
	serviceToken = "aws:apprunner/service:Service"
	clusterToken = "aws:rds/cluster:Cluster"
)

// missing takes away each of what logging in with tokens takes, and gives it back. (RDS-31, RDS-33)
func (l *login) missing(t *testing.T) {
	const policy = ":todo-life-service-login-"
	document := l.only(t, policyToken, policy).Inputs["policy"].StringValue()
	grant := func(document string) func(*testing.T) {
		return func(t *testing.T) { l.set(t, policyToken, policy, map[string]any{"policy": document}) }
	}
	consent := func(given bool) func(*testing.T) {
		return func(t *testing.T) {
			l.set(t, clusterToken, "", map[string]any{"iamDatabaseAuthenticationEnabled": given})
		}
	}
	execute := func(statement string) func(*testing.T) { return func(t *testing.T) { l.execute(t, statement) } }
	for name, row := range map[string]struct {
		take, give func(*testing.T)
		says       string
	}{
		"the policy":            {grant(strings.Replace(document, "/todo", "/other", 1)), grant(document), "todo-life does not let todo in: User: arn:aws:sts::123456789012:assumed-role/"},
		"the cluster's consent": {consent(false), consent(true), ""},
		"the role's grant":      {execute("REVOKE rds_iam FROM todo"), execute("GRANT rds_iam TO todo"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			row.take(t)
			l.cut(t)
			l.mustBeUnready(t, row.says)
			row.give(t)
			await(t, "the service is ready again", l.client.works)
		})
	}
}

// unreadable takes away that App Runner may read the secret: what runs goes on, and nothing new starts. (AR-30, AR-31)
func (l *login) unreadable(t *testing.T) {
	const policy = ":todo-life-service-instance-"
	document := l.only(t, policyToken, policy).Inputs["policy"].StringValue()
	l.set(t, policyToken, policy, map[string]any{"policy": strings.Replace(document, "rds!cluster", "rds!other", 1)})
	if status := l.deploy(t, "runtimeEnvironmentVariables.LOG_LEVEL", "debug"); status != "ROLLBACK_SUCCEEDED" {
		t.Errorf("a deployment without the permission ends as %s", status)
	}
	if !l.client.works() {
		t.Error("what ran before does not work any more")
	}
	l.set(t, policyToken, policy, map[string]any{"policy": document})
}

// firstStart has a database that knows no role yet, and nobody makes it without the secret.
func (l *login) firstStart(t *testing.T) {
	for _, statement := range []string{"REVOKE ALL ON DATABASE tasks FROM todo", "DROP SCHEMA tasks CASCADE", "DROP ROLE todo, todo_owner"} {
		l.execute(t, statement)
	}
	const secrets = "runtimeEnvironmentSecrets"
	if status := l.deploy(t, secrets, nil); status != "SUCCEEDED" {
		t.Errorf("a deployment without the secret ends as %s", status)
	}
	l.mustBeUnready(t, "")
	if status := l.deploy(t, secrets, map[string]any{"DATABASE_ADMIN_SECRET": l.cluster(t).SecretARN}); status != "SUCCEEDED" {
		t.Errorf("a deployment with the secret ends as %s", status)
	}
	await(t, "the role is made and the service works", l.client.works)
}

// deploy changes some of the service's environment in the console, and answers how that ended.
func (l *login) deploy(t *testing.T, path string, value any) (status string) {
	t.Helper()
	l.set(t, serviceToken, "", map[string]any{"sourceConfiguration.imageRepository.imageConfiguration." + path: value})
	return l.account().Operations(l.only(t, serviceToken, "").ID)[0].Status
}

// mustBeUnready waits until the service cannot log in, of which its health check says nothing. (NET-1)
func (l *login) mustBeUnready(t *testing.T, says string) {
	t.Helper()
	var unready error
	await(t, "the service is not ready any more", func() bool {
		unready = l.stage.Ready(t.Context(), l.client.url)
		return unready != nil && strings.Contains(unready.Error(), "refused the service's credentials")
	})
	if !strings.Contains(unready.Error(), says) {
		t.Errorf("it says %v, want %q", unready, says)
	}
	if health := l.client.do(t, http.MethodGet, "/", ""); health.status != http.StatusOK {
		t.Errorf("the health check answers %d", health.status)
	}
}

// all are the resources of a type whose ids hold a text.
func (l *login) all(token, text string) (all []account.Resource) {
	for _, r := range l.account().Resources() {
		if r.Token == token && strings.Contains(r.ID, text) {
			all = append(all, r)
		}
	}
	return all
}

func (l *login) only(t *testing.T, token, text string) account.Resource {
	t.Helper()
	found := l.all(token, text)
	if len(found) != 1 {
		t.Fatalf("there are %d of %s with %q, want one", len(found), token, text)
	}
	return found[0]
}

func (l *login) set(t *testing.T, token, text string, changes map[string]any) {
	t.Helper()
	if err := l.account().Modify(t.Context(), token, l.only(t, token, text).ID, changes); err != nil {
		t.Fatal(err)
	}
}

func (l *login) proxy(t *testing.T) *host.Proxy {
	t.Helper()
	proxy, err := l.stage.Host.Database(l.cluster(t).ID)
	if err != nil {
		t.Fatal(err)
	}
	return proxy
}

// cut ends all sessions of the database.
func (l *login) cut(t *testing.T) {
	t.Helper()
	l.proxy(t).Refuse()
	l.proxy(t).Pass()
}

// mustBe expects the service's sessions to be of one role.
func (l *login) mustBe(t *testing.T, want string) {
	t.Helper()
	var who string
	l.asMaster(t, func(conn *pgx.Conn) error {
		return conn.QueryRow(t.Context(), `SELECT coalesce(string_agg(DISTINCT usename, ', '), 'nobody') FROM pg_stat_activity
			WHERE datname = current_database() AND pid <> pg_backend_pid()`).Scan(&who)
	})
	if who != want {
		t.Errorf("the service's sessions are of %s, want %s", who, want)
	}
}

func (l *login) execute(t *testing.T, statement string) {
	t.Helper()
	l.asMaster(t, func(conn *pgx.Conn) error {
		_, err := conn.Exec(t.Context(), statement)
		return err
	})
}

// asMaster does something as the master user, as people do who may read the secret and have a way.
func (l *login) asMaster(t *testing.T, do func(*pgx.Conn) error) {
	t.Helper()
	caller := account.Caller{RoleARN: l.only(t, "aws:iam/role:Role", "todo-life-service-instance-").State["arn"].StringValue(), Region: "eu-west-1"}
	value, err := l.account().GetSecretValue(caller, l.cluster(t).SecretARN, "", "")
	if err != nil {
		t.Fatal(err)
	}
	config, err := pgx.ParseConfig("sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	secret := struct{ Username, Password *string }{&config.User, &config.Password}
	if err := json.Unmarshal([]byte(value.Value), &secret); err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(l.stage.Host.RootCertificates())
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	config.Host, config.Database = l.endpoint, "tasks"
	config.TLSConfig = &tls.Config{ServerName: l.endpoint, RootCAs: roots, MinVersion: tls.VersionTLS12}
	config.LookupFunc = func(context.Context, string) ([]string, error) { return []string{"127.0.0.1"}, nil }
	config.DialFunc = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp4", l.proxy(t).Addr)
	}
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err == nil {
		err = errors.Join(do(conn), conn.Close(context.Background()))
	}
	if err != nil {
		t.Fatal(err)
	}
}
