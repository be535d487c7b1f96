// Command service is the todo REST service. The environment configures it; see
// config.go and telemetry.go for the variables.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"

	"example.com/todo/service/credentials"
	"example.com/todo/service/httpapi"
	"example.com/todo/service/postgres"
)

const (
	// stopTimeout is what the requests under way get to end. The platform kills the
	// container soon after ten seconds.
	stopTimeout = 8 * time.Second
	// closeTimeout is what the database's sessions get to end after that. Those of a
	// database that does not answer end with the process.
	closeTimeout = time.Second
)

// gcPercent is how much garbage there may be beside what is alive, which is mostly the
// buffers of connections. Requests make so little that collecting twice as often as by
// default costs next to nothing, and memory peaks a third lower.
const gcPercent = 50

// Set by the linker; see build.sh.
var version, commit string

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, os.Getenv, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run serves until ctx ends. Its error is about the configuration, the port or a
// stop that took too long, never about the database.
func run(ctx context.Context, getenv func(string) string, stdout io.Writer) (err error) {
	cfg, err := readConfig(getenv)
	if err != nil {
		return fmt.Errorf("configuration:\n%w", err)
	}
	out := &lineWriter{out: stdout}
	log := slog.New(slog.NewJSONHandler(out, &slog.HandlerOptions{Level: cfg.logLevel}))
	keys, err := withAWS(&cfg, getenv, log)
	if err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(cfg.listenHost, strconv.Itoa(int(cfg.port))))
	if err != nil {
		return fmt.Errorf("listen on %s and %s: %w", envListenHost, envPort, err)
	}
	db, err := postgres.Open(cfg.database, log)
	if err != nil {
		return errors.Join(fmt.Errorf("set up the database: %w", err), listener.Close())
	}
	defer func() { err = errors.Join(err, closeInTime(db, log)) }()

	build := running()
	telemetry := startTelemetry(cfg, build, db, log, out)
	server := httpapi.New(httpapi.Config{
		Tasks: telemetry.around(db.Tasks()), Ready: db.Ready, Keys: keys, Settings: cfg.http,
		Build: build, Log: log, LogOutput: out,
		Tracer: telemetry.tracer, Metrics: telemetry.metrics,
	})
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	db.Migrate()
	if getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent) // here, because it stops the world
	}
	log.Info("listening", "addr", listener.Addr().String(), "version", build.Version, "commit", build.Commit)

	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	log.Info("stopping")
	stopping, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	err = errors.Join(listener.Close(), server.Shutdown(stopping))
	telemetry.stop(stopping)
	return errors.Join(err, <-served)
}

// withAWS adds the database's logins unless its URL holds them, and gives the keys of the
// API, nil when that is open. It makes no call yet.
func withAWS(cfg *config, getenv func(string) string, log *slog.Logger) (httpapi.Keys, error) {
	if cfg.user == "" && cfg.secretName == "" && cfg.apiKeys == "" {
		return nil, nil
	}
	signer, err := credentials.NewSigner(cfg.region, getenv, log)
	if err != nil {
		return nil, err
	}
	if cfg.user != "" {
		port := cmp.Or(cfg.database.Port, postgres.DefaultPort)
		cfg.database.Logins = credentials.NewTokens(signer, cfg.database.Host, port, cfg.user)
	}
	if cfg.secretName == "" && cfg.apiKeys == "" {
		return nil, nil
	}
	secrets, err := credentials.NewSecretsManager(signer, getenv)
	if err != nil {
		return nil, err
	}
	if cfg.secretName != "" {
		cfg.database.Logins = credentials.NewLogins(secrets, cfg.secretName)
	}
	if cfg.apiKeys == "" {
		return nil, nil
	}
	return credentials.NewAPIKeys(secrets, cfg.apiKeys), nil
}

func closeInTime(db io.Closer, log *slog.Logger) error {
	closed := make(chan error, 1)
	go func() { closed <- db.Close() }()
	select {
	case err := <-closed:
		return err
	case <-time.After(closeTimeout):
		log.Warn("the database does not answer; its sessions end with the process")
		return nil
	}
}

// running describes this binary: what the linker was told, else what the go command
// recorded.
func running() httpapi.Build {
	build := httpapi.Build{Version: version, Commit: commit}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return build
	}
	build.Go = info.GoVersion
	if build.Version == "" {
		build.Version = "dev"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && build.Commit == "" {
			build.Commit = s.Value
		}
	}
	return build
}
