package load

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"
)

// What a process of its own says of its progress, a line each, before its result.
const (
	saidBegin = "begin"
	saidEnd   = "end"
)

// memoryLimit is where the collector starts, which costs more than the memory does.
const memoryLimit = 1 << 30

// Measured is a result with what making the load took.
type Measured struct {
	Result
	CPU time.Duration `json:"load_cpu_ns"` // of the load's process within the measured time
}

// RunProcess runs the load in a process of its own, so that its memory and its scheduler are nobody else's. The command
// must call [Serve] and nothing else.
func RunProcess(ctx context.Context, command []string, cfg Config, begin, end func()) (Measured, error) {
	input, err := json.Marshal(cfg)
	if err != nil {
		return Measured{}, fmt.Errorf("start the load: %w", err)
	}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	var said bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(input), &said
	output, err := cmd.StdoutPipe()
	if err != nil {
		return Measured{}, fmt.Errorf("start the load: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return Measured{}, fmt.Errorf("start the load: %w", err)
	}
	var result []byte
	lines := bufio.NewScanner(output)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		switch lines.Text() {
		case saidBegin:
			begin()
		case saidEnd:
			end()
		default:
			result = bytes.Clone(lines.Bytes())
		}
	}
	if err := errors.Join(lines.Err(), cmd.Wait()); err != nil {
		return Measured{}, fmt.Errorf("the load: %w %s", err, said.Bytes())
	}
	var m Measured
	if err := json.Unmarshal(result, &m); err != nil {
		return Measured{}, fmt.Errorf("read the load's result: %w", err)
	}
	return m, nil
}

// Serve is the other side of [RunProcess].
func Serve(in io.Reader, out io.Writer) error {
	var cfg Config
	if err := json.NewDecoder(in).Decode(&cfg); err != nil {
		return fmt.Errorf("read what to do: %w", err)
	}
	// The loop needs one of them. With none to spare, the runtime's monitor would take it away whenever a call to the system
	// lasts, and never come to rest: a tenth of the load, and more with one connection.
	runtime.GOMAXPROCS(2)
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(memoryLimit)
	var m Measured
	begin := func() {
		fmt.Fprintln(out, saidBegin)
		m.CPU = -CPU()
	}
	end := func() {
		fmt.Fprintln(out, saidEnd)
		m.CPU += CPU()
	}
	var err error
	if m.Result, err = Run(cfg, begin, end); err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(m)
}

// CPU is the CPU time of this process so far.
func CPU() time.Duration {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage) // cannot fail (getrusage(2))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
