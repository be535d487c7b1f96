//go:build !linux

package subject

import "time"

func pause(d time.Duration) { time.Sleep(d) }
