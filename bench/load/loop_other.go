//go:build !linux

package load

import (
	"errors"
	"time"
)

type loop struct{}

func newLoop(string, []*worker) (*loop, error) {
	return nil, errors.New("the load is driven by epoll, and the subjects are measured by /proc, which only Linux has")
}

func (*loop) open() error { return nil }

func (*loop) run(_, _, _ time.Time, _, _ func()) error { return nil }

func (*loop) close() {}
