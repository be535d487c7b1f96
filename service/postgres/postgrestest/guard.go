package postgrestest

import (
	"fmt"
	"io"
	"os/exec"
	"syscall"
)

// guardScript reads the id of the running postmaster, one line for each change, 0
// for none. Its input ends when we close it or die, however we die: it then ends
// the postmaster and removes the folder. Pdeathsig would know neither the folder
// nor macOS, and fires when a thread of ours ends.
const guardScript = `
pid=0
while read -r line; do pid=$line; done
if [ "$pid" != 0 ]; then
	kill -INT "$pid" 2>/dev/null
	tries=0
	while kill -0 "$pid" 2>/dev/null && [ $tries -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done
	kill -KILL "$pid" 2>/dev/null
fi
tries=0
until rm -rf "$1" 2>/dev/null && [ ! -e "$1" ] || [ $tries -ge 100 ]; do sleep 0.1; tries=$((tries + 1)); done
[ ! -e "$1" ]
`

type guard struct {
	cmd   *exec.Cmd
	input io.WriteCloser
}

func startGuard(dir string) (*guard, error) {
	cmd := exec.Command("/bin/sh", "-c", guardScript, "guard", dir)
	cmd.Dir = "/"
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

// watch says which postmaster to end. A guard that is gone has done its work.
func (g *guard) watch(pid int) { _, _ = fmt.Fprintln(g.input, pid) }

// release has the guard do its work now.
func (g *guard) release() error {
	_ = g.input.Close() // closed before when released twice
	if g.cmd.ProcessState != nil {
		return nil
	}
	if err := g.cmd.Wait(); err != nil {
		return fmt.Errorf("remove what PostgreSQL wrote: %w", err)
	}
	return nil
}
