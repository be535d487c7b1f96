//go:build !linux

package subject

import (
	"errors"
	"os/exec"
)

// startOn starts a command, which only on Linux can be confined to some processors.
func startOn(cmd *exec.Cmd, processors int) error {
	if processors != AllProcessors {
		return errors.New("only Linux confines a program to some processors")
	}
	return cmd.Start()
}
