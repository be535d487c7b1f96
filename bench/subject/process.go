package subject

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	startTimeout = 30 * time.Second
	stopTimeout  = 15 * time.Second
	// askEvery is the pause between two questions to a starting program whether it answers. With what the system adds to
	// it, start times are right to a tenth of a millisecond.
	askEvery = 50 * time.Microsecond
)

// Process is a running subject. Stop it.
type Process struct {
	Addr  string
	Start time.Duration // from exec to the first 200 on GET /

	cmd    *exec.Cmd
	stderr bytes.Buffer
	exited chan struct{}
}

// AllProcessors is as many as the machine has.
const AllProcessors = 0

// Launch runs the subject on a database and a number of processors. With fewer than all it is confined to them by
// sched_setaffinity(2), by which Go sets GOMAXPROCS as well: it has the whole of each, but the load and the database may use
// them too. Its standard output is formatted and discarded by the system, as that of every subject is; its standard error is
// in the error when it does not start.
func (s Subject) Launch(ctx context.Context, database string, processors int) (*Process, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", s.Name, err)
	}
	p := &Process{Addr: addr, cmd: exec.Command(s.Binary), exited: make(chan struct{})}
	p.cmd.Env = append([]string{"DATABASE_URL=" + database, "PORT=" + port, "TZ=UTC"}, s.env...)
	p.cmd.Stderr = &p.stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // so that Ctrl-C reaches us, and we end it
	begun := time.Now()
	if err := startOn(p.cmd, processors); err != nil {
		return nil, fmt.Errorf("start %s: %w", s.Name, err)
	}
	go func() {
		_ = p.cmd.Wait() // how it ended matters only while it starts
		close(p.exited)
	}()
	if err := p.await(ctx); err != nil {
		p.Stop()
		return nil, fmt.Errorf("start %s: %w %s", s.Name, err, p.stderr.Bytes())
	}
	p.Start = time.Since(begun)
	return p, nil
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return l.Addr().String(), l.Close()
}

func (p *Process) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for !healthy(p.Addr) {
		select {
		case <-p.exited:
			return errors.New("it ended")
		case <-ctx.Done():
			return ctx.Err()
		default:
			pause(askEvery)
		}
	}
	return nil
}

// pause waits for so short a time that [time.Sleep] would not do: of an idle program it makes a millisecond, the unit of
// epoll_wait(2).
func pause(d time.Duration) {
	left := unix.NsecToTimeval(d.Nanoseconds())
	_, _ = unix.Select(0, nil, nil, nil, &left) // which a signal may cut short
}

// healthy asks with as little ado as possible, since its own time is measured too.
func healthy(addr string) bool {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return false
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: "+addr+"\r\nConnection: close\r\n\r\n"); err != nil {
		return false
	}
	status, err := bufio.NewReader(conn).ReadString('\n')
	return err == nil && strings.HasPrefix(status, "HTTP/1.1 200 ")
}

// Stop ends the process as a platform does, and kills it when that takes too long.
func (p *Process) Stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // fails only when it has ended
	late := time.AfterFunc(stopTimeout, func() { _ = p.cmd.Process.Kill() })
	defer late.Stop()
	<-p.exited
}

// EndProfile has a service of [BuildProfiled] write its profile, which takes a moment.
func (p *Process) EndProfile() error {
	if err := p.cmd.Process.Signal(syscall.SIGUSR1); err != nil {
		return fmt.Errorf("end the profile: %w", err)
	}
	return nil
}

// userHz is the unit of CPU times in /proc on every Linux that Go runs on (proc(5)).
const userHz = 100

// CPU is what the process has used so far, of all its threads, user and system.
func (p *Process) CPU() (time.Duration, error) {
	stat, err := os.ReadFile(p.proc("stat"))
	if err != nil {
		return 0, fmt.Errorf("read the CPU time: %w", err)
	}
	// The second field is the name in parentheses, which may have anything in it; utime and stime are the 14th and 15th.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("read the CPU time: %q", stat)
	}
	user, userErr := strconv.ParseInt(fields[11], 10, 64)
	system, systemErr := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * (time.Second / userHz), errors.Join(userErr, systemErr)
}

// PeakMemory is the most memory that was resident at once so far, in bytes.
func (p *Process) PeakMemory() (int64, error) {
	status, err := os.ReadFile(p.proc("status"))
	if err != nil {
		return 0, fmt.Errorf("read the peak memory: %w", err)
	}
	_, after, found := strings.Cut(string(status), "VmHWM:")
	line, _, _ := strings.Cut(after, "\n")
	kilobytes, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(line), " kB"), 10, 64)
	if err != nil || !found {
		return 0, fmt.Errorf("read the peak memory: %w", err)
	}
	return kilobytes << 10, nil
}

func (p *Process) proc(file string) string {
	return "/proc/" + strconv.Itoa(p.cmd.Process.Pid) + "/" + file
}
