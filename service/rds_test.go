package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"example.com/todo/service/postgres/postgrestest"
	"github.com/jackc/pgx/v5"
)

const (
	master  = "tasks"
	iamUser = "todo"
)

// rds is a database as RDS makes it: the master is no superuser, and whoever is a member
// of rds_iam logs in with a token, and with nothing else.
type rds struct {
	*cloud
	directory *directory
}

func startRDS(t *testing.T) *rds {
	t.Helper()
	r := &rds{directory: startDirectory(t, "k")}
	r.cloud = cloudWith(t, postgrestest.Options{User: "rdsadmin", Password: "hunter2"})
	r.secret = map[string]any{"username": master, "password": "one"}
	_, port, err := net.SplitHostPort(r.directory.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	access := []string{
		"hostssl all rdsadmin 127.0.0.1/32 scram-sha-256",
		"hostssl all +rds_iam 127.0.0.1/32 ldap ldapserver=127.0.0.1 ldapport=" + port + ` ldapprefix="` + namePrefix + `"`,
		"hostssl all all 127.0.0.1/32 scram-sha-256",
	}
	if ask[int](t, r.superuser("postgres"), "SELECT current_setting('server_version_num')::int") >= 160000 {
		// Who makes a role is its member since, if only to administer it, and so is the
		// master one of rds_iam. RDS, whose documentation has it make such roles, still
		// takes its password.
		access = append([]string{"hostssl all " + master + " 127.0.0.1/32 scram-sha-256"}, access...)
	}
	hba := ask[string](t, r.superuser("postgres"), "SHOW hba_file")
	for _, statement := range []string{
		"CREATE ROLE rds_iam",
		"CREATE ROLE " + master + " LOGIN CREATEROLE CREATEDB PASSWORD 'one'",
		"GRANT rds_iam TO " + master + " WITH ADMIN OPTION",
		"REVOKE rds_iam FROM " + master,
		"CREATE DATABASE todo OWNER " + master,
		"COPY (SELECT unnest(ARRAY['" + strings.Join(access, "','") + "'])) TO '" + hba + "'",
		"SELECT pg_reload_conf()",
	} {
		r.run(t, r.superuser("postgres"), statement)
	}
	if problem := ask[string](t, r.superuser("postgres"), "SELECT coalesce(string_agg(error, '; '), '') FROM pg_hba_file_rules"); problem != "" {
		t.Skipf("this PostgreSQL cannot have a token checked: %s", problem)
	}
	return r
}

// superuser is the DSN of the one above the master.
func (r *rds) superuser(database string) string { return r.database.DSN(database) }

// iam is the environment of a service that logs in with tokens.
func (r *rds) iam(t *testing.T) env {
	t.Helper()
	e := r.env()
	delete(e, envSecretName)
	secret, err := json.Marshal(r.secret)
	if err != nil {
		t.Fatal(err)
	}
	e[envDatabaseUser], e[envAdminSecret] = iamUser, string(secret)
	return e
}

// run executes one statement.
func (r *rds) run(t *testing.T, dsn, statement string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	_, err = conn.Exec(t.Context(), statement)
	if err := errors.Join(err, conn.Close(context.Background())); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// ask gives the one value of a query.
func ask[T any](t *testing.T, dsn, query string) T {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	var answer T
	if err := conn.QueryRow(t.Context(), query).Scan(&answer); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return answer
}

// owned says whose the tables, indexes and sequences of the service are, and where.
func (r *rds) owned(t *testing.T) string {
	t.Helper()
	return ask[string](t, r.superuser("todo"), fmt.Sprintf(`
SELECT coalesce(string_agg(DISTINCT pg_get_userbyid(relowner) || ' in ' || nspname, ', '), 'nothing')
FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname IN ('public', '%s', '%s')`, master, iamUser))
}
