package subject

import (
	"fmt"
	"math/bits"
	"os"
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"
)

// startOn starts a command on the last processors that this program may use; the first ones often serve interrupts.
func startOn(cmd *exec.Cmd, processors int) error {
	if processors == AllProcessors {
		return cmd.Start()
	}
	started := make(chan error)
	go func() {
		// A program inherits the processors of the thread that starts it. This thread ends with the goroutine, which
		// returns without unlocking it.
		runtime.LockOSThread()
		err := confine(processors)
		if err == nil {
			err = cmd.Start()
		}
		started <- err
	}()
	return <-started
}

// confine leaves only so many processors to this thread.
func confine(processors int) error {
	var all, some unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return os.NewSyscallError("sched_getaffinity", err)
	}
	if processors > all.Count() {
		return fmt.Errorf("run on %d processors: there are %d", processors, all.Count())
	}
	for cpu := len(all)*bits.UintSize - 1; some.Count() < processors; cpu-- {
		if all.IsSet(cpu) {
			some.Set(cpu)
		}
	}
	return os.NewSyscallError("sched_setaffinity", unix.SchedSetaffinity(0, &some))
}
