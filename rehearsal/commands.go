package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"example.com/todo/rehearsal/account"
	"example.com/todo/rehearsal/fault"
)

// A command is what may be typed while a stack stands.
type command struct {
	name, does string
	do         func(context.Context, *session, account.Cluster) error
}

// commands do to the stack's database what AWS does, or a person in its console.
var commands = []command{
	{"pause", "lets the database fall asleep, as soon as the service has let go of its connections", func(ctx context.Context, s *session, db account.Cluster) error {
		if _, err := fmt.Fprintln(s.out, "waiting until no connection is open; the service keeps idle ones for up to 45 seconds"); err != nil {
			return err
		}
		return s.stage.Host.Pause(ctx, db.ID)
	}},
	{"wake", "wakes it, as the next request would", func(ctx context.Context, s *session, db account.Cluster) error {
		return s.stage.Host.Wake(ctx, db.ID)
	}},
	{"restart", "restarts the writer: its connections are cut", func(ctx context.Context, s *session, db account.Cluster) error {
		return s.stage.Host.Account.RebootDBInstance(ctx, db.Writer)
	}},
	{"failover", "makes a reader the writer, where there is one (in prod)", func(ctx context.Context, s *session, db account.Cluster) error {
		return s.stage.Host.Account.FailoverDBCluster(ctx, db.ID)
	}},
	{"rotate", "rotates the database's password, as AWS does every seven days", func(ctx context.Context, s *session, db account.Cluster) error {
		return s.stage.Host.Account.RotateSecret(ctx, db.SecretARN)
	}},
}

// patience bounds a command.
const patience = 2 * time.Minute

// obey does what was typed, and says so; what fails is the reader's to see and no reason to end.
func (s *session) obey(line string) {
	name := strings.TrimSpace(line)
	if text, is := strings.CutPrefix(name, "fault "); is {
		s.fail(strings.TrimSpace(text))
		return
	}
	i := slices.IndexFunc(commands, func(c command) bool { return c.name == name })
	if i < 0 {
		s.help()
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, patience)
	defer cancel()
	db, err := s.database()
	if err == nil {
		err = commands[i].do(ctx, s, db)
	}
	if s.ctx.Err() != nil {
		return
	}
	if err != nil {
		fmt.Fprintf(s.out, "%s: %v\n", name, err)
		return
	}
	fmt.Fprintf(s.out, "%s: done\n", name)
}

// fail has AWS do something wrong from now on.
func (s *session) fail(text string) {
	f, err := fault.Parse(text)
	if err != nil {
		fmt.Fprintf(s.out, "fault: %v\n", err)
		return
	}
	s.stage.Faults.Inject(f)
	fmt.Fprintf(s.out, "fault: %s will go wrong %d times\n", f.Operation, f.Times)
}

func (s *session) help() {
	fmt.Fprintf(s.out, "  %-10s %s\n", "Enter", "deploys again what has changed")
	for _, c := range commands {
		fmt.Fprintf(s.out, "  %-10s %s\n", c.name, c.does)
	}
	fmt.Fprintf(s.out, "  %-10s %s\n", "fault", "has one of AWS's APIs fail in the next deployments, as in: fault rds:CreateDBInstance=throttle*3")
	fmt.Fprintf(s.out, "  %-10s %s\n", "Ctrl-C", "takes everything down")
}

// database is the stack's.
func (s *session) database() (account.Cluster, error) {
	clusters := s.stage.Host.Account.Clusters()
	if len(clusters) == 0 {
		return account.Cluster{}, fmt.Errorf("stack %s has no database", s.stack.Name)
	}
	return clusters[0], nil
}
