package postgrestest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// pollEvery is how often a starting server is asked whether it answers.
const pollEvery = 25 * time.Millisecond

// process is a postmaster; exited is closed when it is gone.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{}
}

var errPortTaken = errors.New("port is taken")

// runOnFreePort tries again on another port when someone takes the free one first.
func (s *Server) runOnFreePort(ctx context.Context) error {
	for {
		l, err := net.Listen("tcp", net.JoinHostPort(loopback, "0"))
		if err != nil {
			return fmt.Errorf("find a free port: %w", err)
		}
		s.Addr = l.Addr().String()
		if err := l.Close(); err != nil {
			return fmt.Errorf("find a free port: %w", err)
		}
		if err := s.attempt(ctx); !errors.Is(err, errPortTaken) {
			return err
		}
	}
}

// run tries until the remains of a killed server, its sessions with their hold on
// port and memory, are gone.
func (s *Server) run(ctx context.Context) error {
	for {
		err := s.attempt(ctx)
		if !errors.Is(err, errPortTaken) || ctx.Err() != nil {
			return err
		}
	}
}

// attempt starts a postmaster and waits until it answers or ends.
func (s *Server) attempt(ctx context.Context) error {
	_, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		return fmt.Errorf("start postgres: %w", err)
	}
	logFile, err := os.Create(s.path("server.log"))
	if err != nil {
		return fmt.Errorf("start postgres: %w", err)
	}
	defer logFile.Close()
	args := []string{"-D", s.path("data")}
	for _, k := range slices.Sorted(maps.Keys(s.settings(port))) {
		args = append(args, "-c", k+"="+s.settings(port)[k])
	}
	cmd := s.command("postgres", args...)
	cmd.Stdout, cmd.Stderr = logFile, logFile
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start postgres: %w", err)
	}
	p := &process{cmd: cmd, exited: make(chan struct{})}
	s.process = p
	s.guard.watch(cmd.Process.Pid)
	go func() {
		_ = cmd.Wait() // how it ended is in its log
		s.guard.watch(0)
		close(p.exited)
	}()
	if err := s.awaitAnswer(ctx, p); err != nil {
		s.process = nil
		_ = cmd.Process.Kill() // fails only when it has ended
		<-p.exited
		return err
	}
	return nil
}

func (s *Server) awaitAnswer(ctx context.Context, p *process) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		if s.exec(ctx, "SELECT 1") == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-p.exited:
			log, err := os.ReadFile(s.path("server.log"))
			if bytes.Contains(log, []byte("could not bind")) || bytes.Contains(log, []byte("still in use")) {
				err = errPortTaken
			}
			return fmt.Errorf("postgres ended while starting: %w\n%s", errors.Join(err, ctx.Err()), log)
		case <-ctx.Done():
			return fmt.Errorf("wait for postgres on %s: %w", s.Addr, ctx.Err())
		}
	}
}

func (s *Server) settings(port string) map[string]string {
	settings := map[string]string{
		"listen_addresses": loopback, "port": port, "unix_socket_directories": "",
		// Nothing here has to survive the machine's crash; all of it survives Kill.
		"fsync": "off", "full_page_writes": "off",
		"shared_buffers": "32MB", "timezone": "UTC", "log_timezone": "UTC",
	}
	if s.options.CertFile != "" {
		settings["ssl"] = "on"
		settings["ssl_cert_file"], settings["ssl_key_file"] = s.path("server.crt"), s.path("server.key")
	}
	maps.Copy(settings, s.options.Settings)
	return settings
}

func (s *Server) end(ctx context.Context, signal syscall.Signal) error {
	p := s.process
	if p == nil {
		return nil
	}
	if err := p.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal postgres: %w", err)
	}
	select {
	case <-p.exited:
		s.process = nil
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for postgres %d to end: %w", p.cmd.Process.Pid, ctx.Err())
	}
}

func (s *Server) exec(ctx context.Context, sql string) error {
	conn, err := pgx.Connect(ctx, s.DSN("postgres"))
	if err != nil {
		return fmt.Errorf("connect to %s: %w", s.Addr, err)
	}
	_, err = conn.Exec(ctx, sql)
	return errors.Join(err, conn.Close(ctx))
}

// command runs one of PostgreSQL's programs as the server's owner. It has its own
// process group, so that Ctrl-C in a terminal reaches us alone and we end it.
func (s *Server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "LC_ALL=C", "TZ=UTC")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: s.owner.credential()}
	return cmd
}
