package host

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"example.com/todo/rehearsal/account"
)

// superuser is Aurora's own; the master user is none.
// https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/Appendix.PostgreSQL.CommonDBATasks.Roles.html
const superuser = "rdsadmin"

// tokenRole is what roles are granted that log in with tokens. RDS makes it. (RDS-35)
// https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/UsingWithRDS.IAMDBAuth.DBAccounts.html
const tokenRole = "rds_iam"

// prepare makes the master user and its database, and sets what is to be set. (RDS-16)
func (d *database) prepare(ctx context.Context) error {
	user := identifier(d.spec.User)
	statements := []string{
		"CREATE ROLE rds_superuser",
		"GRANT pg_monitor, pg_signal_backend TO rds_superuser",
		"CREATE ROLE " + tokenRole,
		"CREATE ROLE " + user + " LOGIN CREATEDB CREATEROLE IN ROLE rds_superuser PASSWORD " + literal(d.spec.Password),
	}
	version, err := d.version(ctx)
	if err != nil {
		return err
	}
	if version >= separateGrants {
		statements = append(statements, "GRANT "+tokenRole+" TO "+user+" WITH ADMIN TRUE, INHERIT FALSE, SET FALSE")
	}
	if d.spec.Name != "" {
		statements = append(statements, "CREATE DATABASE "+identifier(d.spec.Name)+" OWNER "+user)
	}
	if err := d.execute(ctx, statements...); err != nil {
		return fmt.Errorf("make the master user: %w", err)
	}
	if err := d.configure(ctx); err != nil {
		return err
	}
	return d.server.Restart(ctx)
}

// configure has PostgreSQL take the description's settings, now or at its next start. (RDS-25, RDS-26)
func (d *database) configure(ctx context.Context) error {
	d.mu.Lock()
	spec := d.spec
	d.mu.Unlock()
	version, err := d.version(ctx)
	if err != nil {
		return err
	}
	var access, data string
	var loaded time.Time
	if err := d.ask(ctx, "SELECT current_setting('hba_file'), current_setting('data_directory'), pg_conf_load_time()", &access, &data, &loaded); err != nil {
		return fmt.Errorf("configure: %w", err)
	}
	bearers := filepath.Join(data, "bearers.pem")
	settings := map[string]string{"ssl_ca_file": bearers}
	maps.Copy(settings, spec.Settings)
	statements := []string{copyTo(string(d.authority.pem()), bearers), copyTo(admission(spec, version), access), "ALTER SYSTEM RESET ALL"}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		statements = append(statements, "ALTER SYSTEM SET "+identifier(name)+" = "+literal(settings[name]))
	}
	if err := d.execute(ctx, append(statements, "SELECT pg_reload_conf()")...); err != nil {
		return fmt.Errorf("configure: %w", err)
	}
	for again := loaded; !again.After(loaded); {
		if err := d.ask(ctx, "SELECT pg_conf_load_time()", &again); err != nil {
			return fmt.Errorf("configure: %w", err)
		}
	}
	return nil
}

// separateGrants is the version since which membership of a role comes with or without its privileges, and whoever makes a role
// is a member of it without them. https://www.postgresql.org/docs/release/16.0/
const separateGrants = 16

func (d *database) version(ctx context.Context) (major int, err error) {
	err = d.ask(ctx, "SELECT current_setting('server_version_num')::int / 10000", &major)
	if err != nil {
		err = fmt.Errorf("ask PostgreSQL for its version: %w", err)
	}
	return major, err
}

// admission is who gets in how, as pg_hba.conf says it. Bearers of tokens get in with a certificate that they get for them from us,
// because RDS's own way, a PAM module, would have to be installed on this machine, and not every PostgreSQL is built with LDAP.
// To pg_hba.conf the maker of a role is a member of it in every version: here the master user needs a password all the same. (RDS-31)
func admission(spec account.Database, version int) string {
	host := "hostssl"
	if spec.PlainToo {
		host = "host"
	}
	passwords := func(whose string) string { return host + " all " + whose + " 127.0.0.1/32 scram-sha-256" }
	var lines []string
	if spec.Tokens && version >= separateGrants {
		lines = append(lines, passwords(identifier(spec.User)))
	}
	if spec.Tokens {
		lines = append(lines, "hostssl all +"+tokenRole+" 127.0.0.1/32 cert", "hostnossl all +"+tokenRole+" 127.0.0.1/32 reject")
	}
	return strings.Join(append(lines, passwords("all")), "\n")
}

// copyTo has PostgreSQL, whose files are its user's, write lines of text.
func copyTo(text, file string) string {
	return "COPY (SELECT unnest(string_to_array(" + literal(text) + ", chr(10)))) TO " + literal(file)
}

// setPassword gives the master user another password. (SM-3)
func (d *database) setPassword(ctx context.Context, password string) error {
	return d.alone(ctx, func() error {
		if err := d.disturb(ctx); err != nil {
			return err
		}
		if err := d.execute(ctx, "ALTER ROLE "+identifier(d.spec.User)+" PASSWORD "+literal(password)); err != nil {
			return errors.New("the master user's password was not changed") // the statement, which the error quotes, holds it
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		d.rotated = d.clock.Now()
		d.note()
		d.say("has a new master password")
		return nil
	})
}

// execute runs statements as the superuser, each in a transaction of its own.
func (d *database) execute(ctx context.Context, statements ...string) error {
	return d.connected(ctx, func(conn *pgx.Conn) error {
		for _, statement := range statements {
			if _, err := conn.Exec(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	})
}

func (d *database) ask(ctx context.Context, question string, answers ...any) error {
	return d.connected(ctx, func(conn *pgx.Conn) error { return conn.QueryRow(ctx, question).Scan(answers...) })
}

func (d *database) connected(ctx context.Context, do func(*pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, d.server.DSN("postgres"))
	if err != nil {
		return err
	}
	return errors.Join(do(conn), conn.Close(ctx))
}

func identifier(name string) string { return pgx.Identifier{name}.Sanitize() }

func literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }
