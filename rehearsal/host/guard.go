package host

import (
	"fmt"
	"io"
	"os/exec"
	"sync"
	"syscall"
)

// guardScript is told of instances, "+pid" when one starts and "-pid" when one has ended. Its input ends when
// we close it or die, however we die: it then ends the instances that are left and removes the folder.
const guardScript = `
pids=" "
while read -r line; do
	pid=${line#?}
	case $line in
	+*) pids="$pids$pid " ;;
	-*) kept=" "; for p in $pids; do [ "$p" = "$pid" ] || kept="$kept$p "; done; pids=$kept ;;
	esac
done
for p in $pids; do kill -KILL "$p" 2>/dev/null; done
rm -rf "$1"
`

type guard struct {
	mu    sync.Mutex
	cmd   *exec.Cmd
	input io.WriteCloser
}

func startGuard(dir string) (*guard, error) {
	cmd := exec.Command("/bin/sh", "-c", guardScript, "guard", dir)
	cmd.Dir = "/"
	// A group of its own, so that Ctrl-C in a terminal does not end the guard before us.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	input, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start the guard of %s: %w", dir, err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the guard of %s: %w", dir, err)
	}
	return &guard{cmd: cmd, input: input}, nil
}

// started and ended keep the list; a guard that is gone has done its work.
func (g *guard) started(pid int) { _, _ = fmt.Fprintf(g.input, "+%d\n", pid) }
func (g *guard) ended(pid int)   { _, _ = fmt.Fprintf(g.input, "-%d\n", pid) }

// release has the guard do its work now.
func (g *guard) release() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	_ = g.input.Close() // closed before when released twice
	if g.cmd.ProcessState != nil {
		return nil
	}
	if err := g.cmd.Wait(); err != nil {
		return fmt.Errorf("remove what the rehearsal wrote: %w", err)
	}
	return nil
}
