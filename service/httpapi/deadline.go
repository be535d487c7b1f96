package httpapi

import (
	"context"
	"sync"
	"time"
)

// deadlines gives requests their contexts. Those that begin within a step share one, which
// ends requestTimeout after the first of them began: nothing ends with a single request, and
// making and ending a context for each takes as long as reading the request.
type deadlines struct {
	parent context.Context

	mu     sync.Mutex
	shared context.Context
	until  time.Time // it is given out
}

const deadlineStep = requestTimeout / 100

func (d *deadlines) next(now time.Time) context.Context {
	d.mu.Lock()
	defer d.mu.Unlock()
	if now.Before(d.until) {
		return d.shared
	}
	shared, end := context.WithTimeout(d.parent, requestTimeout)
	context.AfterFunc(shared, end)
	d.shared, d.until = shared, now.Add(deadlineStep)
	return shared
}
