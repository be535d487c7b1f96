//go:build !linux

package distance

import (
	"errors"
	"time"
)

// Proxy needs Linux.
type Proxy struct{ Addr string }

// Start always fails.
func Start(string, time.Duration) (*Proxy, error) {
	return nil, errors.New("the proxy waits by ppoll, which only Linux has")
}

// Close does nothing.
func (*Proxy) Close() error { return nil }
