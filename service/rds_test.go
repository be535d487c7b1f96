package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"example.com/todo/service/postgres/postgrestest"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
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
	r.cloud = cloudWith(t, master, postgrestest.Options{User: "rdsadmin", Password: "hunter2"})
	for _, statement := range []string{
		"CREATE ROLE rds_iam",
		"CREATE ROLE " + master + " LOGIN CREATEROLE CREATEDB PASSWORD 'one'",
		"CREATE DATABASE todo OWNER " + master,
	} {
		r.run(t, statement)
	}
	if r.version(t) >= 16 { // before, whoever makes roles may also grant them
		r.run(t, "CREATE ROLE rds_superuser")
		r.run(t, "GRANT rds_iam TO rds_superuser WITH ADMIN OPTION")
		r.run(t, "GRANT rds_superuser TO "+master)
	}
	r.access(t)
	return r
}

func (r *rds) version(t *testing.T) int {
	t.Helper()
	return ask[int](t, r.superuser("postgres"), "SELECT current_setting('server_version_num')::int / 10000")
}

// access says who logs in how: as the given lines have it, and else as on RDS.
func (r *rds) access(t *testing.T, lines ...string) {
	t.Helper()
	const local = " 127.0.0.1/32 "
	if r.version(t) >= 16 {
		// Who makes a role is its member since, if only to administer it, and so the master
		// is a member of rds_iam. RDS, by whose documentation the master makes such roles,
		// takes its password all the same.
		lines = append(lines, "hostssl all "+master+local+"scram-sha-256")
	}
	lines = slices.Concat([]string{"hostssl all rdsadmin" + local + "scram-sha-256"}, lines, []string{
		"hostssl all +rds_iam" + local + r.byDirectory(t),
		"hostssl all all" + local + "scram-sha-256",
	})
	hba := ask[string](t, r.superuser("postgres"), "SHOW hba_file")
	r.run(t, "COPY (SELECT unnest(ARRAY['"+strings.Join(lines, "','")+"'])) TO '"+hba+"'")
	if problem := ask[string](t, r.superuser("postgres"), "SELECT coalesce(string_agg(error, '; '), '') FROM pg_hba_file_rules"); problem != "" {
		t.Skipf("this PostgreSQL cannot have a token checked: %s", problem)
	}
	r.run(t, "SELECT pg_reload_conf()")
}

// byDirectory is the method by which the directory is asked.
func (r *rds) byDirectory(t *testing.T) string {
	t.Helper()
	host, port, err := net.SplitHostPort(r.directory.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return "ldap ldapserver=" + host + " ldapport=" + port + ` ldapprefix="` + namePrefix + `"`
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

// changeMaster changes the master's password and proves that it has no other.
func (r *rds) changeMaster(t *testing.T, password string) {
	t.Helper()
	r.run(t, "ALTER ROLE "+master+" PASSWORD '"+password+"'")
	dsn := strings.Replace(r.superuser("todo"), "rdsadmin:hunter2@", master+":"+r.password()+"@", 1)
	var pg *pgconn.PgError
	if _, err := pgx.Connect(t.Context(), dsn); !errors.As(err, &pg) || pg.Code != "28P01" {
		t.Fatalf("the old password still works: %v", err)
	}
}

// run executes one statement as the superuser.
func (r *rds) run(t *testing.T, statement string) {
	t.Helper()
	connect(t, r.superuser("postgres")).exec(statement)
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
