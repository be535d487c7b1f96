package host

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// superuser is Aurora's own; the master user is none.
// https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/Appendix.PostgreSQL.CommonDBATasks.Roles.html
const superuser = "rdsadmin"

// prepare makes the master user and its database, and sets what is to be set.
func (d *database) prepare(ctx context.Context) error {
	user := identifier(d.spec.User)
	statements := []string{
		"CREATE ROLE rds_superuser",
		"GRANT pg_monitor, pg_signal_backend TO rds_superuser",
		"CREATE ROLE " + user + " LOGIN CREATEDB CREATEROLE IN ROLE rds_superuser PASSWORD " + literal(d.spec.Password),
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
	statements := []string{"ALTER SYSTEM RESET ALL"}
	for _, name := range slices.Sorted(maps.Keys(spec.Settings)) {
		statements = append(statements, "ALTER SYSTEM SET "+identifier(name)+" = "+literal(spec.Settings[name]))
	}
	access := "hostssl all all 127.0.0.1/32 scram-sha-256"
	if spec.PlainToo {
		access = "host" + strings.TrimPrefix(access, "hostssl")
	}
	var file string
	var loaded time.Time
	if err := d.ask(ctx, "SELECT current_setting('hba_file'), pg_conf_load_time()", &file, &loaded); err != nil {
		return fmt.Errorf("configure: %w", err)
	}
	statements = append(statements, "COPY (SELECT "+literal(access)+") TO "+literal(file), "SELECT pg_reload_conf()")
	if err := d.execute(ctx, statements...); err != nil {
		return fmt.Errorf("configure: %w", err)
	}
	for again := loaded; !again.After(loaded); {
		if err := d.ask(ctx, "SELECT pg_conf_load_time()", &again); err != nil {
			return fmt.Errorf("configure: %w", err)
		}
	}
	return nil
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
