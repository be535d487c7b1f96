//go:build profile

package main

import (
	"fmt"
	"os"
	"os/signal"
	"runtime/pprof"
	"syscall"
)

const envCPUProfile = "CPU_PROFILE"

// Built with -tags profile, the service profiles itself from its start to SIGUSR1, and
// then leaves the profile in the file that CPU_PROFILE names, whole or not at all.
// Nothing of this is in the binary that is deployed.
func init() {
	file := os.Getenv(envCPUProfile)
	partial, err := os.Create(file + ".partial")
	if err == nil {
		err = pprof.StartCPUProfile(partial)
	}
	abortOn(err)
	enough := make(chan os.Signal, 1)
	signal.Notify(enough, syscall.SIGUSR1)
	go func() {
		<-enough
		pprof.StopCPUProfile()
		abortOn(partial.Close())
		abortOn(os.Rename(partial.Name(), file))
	}()
}

func abortOn(err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "profile to %s: %v\n", envCPUProfile, err)
		os.Exit(1)
	}
}
