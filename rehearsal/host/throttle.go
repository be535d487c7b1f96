package host

import (
	"context"
	"sync"
	"syscall"
	"time"

	"example.com/todo/rehearsal/account"
)

// A throttle gives an instance the processor only while there is something to answer. App Runner charges an instance without
// requests for its memory alone, and throttles its processor; how much is left to it AWS does not say, so here it is nothing at
// all: the process is stopped, and what it does by itself, such as closing idle connections, waits for the next request. (AR-33)
// https://aws.amazon.com/apprunner/pricing/
// https://github.com/aws/apprunner-roadmap/issues/105
// https://github.com/aws/apprunner-roadmap/issues/220
type throttle struct {
	signal func(syscall.Signal)

	mu   sync.Mutex
	on   bool
	busy int // what there is to answer
}

// begin is for an instance that has started.
func (t *throttle) begin() { t.change(func() { t.on = true }) }

// end is for one that is to end, for which it needs the processor.
func (t *throttle) end() { t.change(func() { t.on = false }) }

// work and rest are around each answer.
func (t *throttle) work() { t.change(func() { t.busy++ }) }
func (t *throttle) rest() { t.change(func() { t.busy-- }) }

func (t *throttle) change(change func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.on && t.busy == 0
	change()
	switch stopped := t.on && t.busy == 0; {
	case stopped && !before:
		t.signal(syscall.SIGSTOP)
	case before && !stopped:
		t.signal(syscall.SIGCONT)
	}
}

// throttleAll has instances that take requests rest between them. AWS does not say whether an instance at rest gets the processor
// for its health checks. If it does, all timers that are due go off at the next check, and idle connections are closed. So the
// worst reading is that it does not, which holds unless HealthChecks is set.
// https://docs.aws.amazon.com/apprunner/latest/dg/manage-configure-healthcheck.html
func (s *service) throttleAll(r *revision, instances []*instance) {
	if !s.host.Throttled {
		return
	}
	for _, i := range instances {
		i.throttle.begin()
		if s.host.HealthChecks {
			r.instances.Go(func() { s.checkHealth(i, r.spec.Health) })
		}
	}
}

// checkHealth asks at App Runner's pace until the instance ends. What it answers is of no consequence here.
func (s *service) checkHealth(i *instance, check account.HealthCheck) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		<-i.exited
		cancel()
	}()
	interval := time.Duration(max(check.Interval, 1)) * time.Second
	for s.host.Account.Clock.Sleep(ctx, interval) == nil {
		i.throttle.work()
		_ = i.check(ctx, check)
		i.throttle.rest()
	}
}
