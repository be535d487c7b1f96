package subject

import (
	"time"

	"golang.org/x/sys/unix"
)

// pause waits for so short a time that [time.Sleep] would not do: of an idle program it makes a millisecond, the unit of
// epoll_wait(2).
func pause(d time.Duration) {
	left := unix.NsecToTimespec(d.Nanoseconds())
	_ = unix.Nanosleep(&left, nil) // which a signal may cut short
}
