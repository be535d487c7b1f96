package host

import (
	"context"
	"fmt"
	"time"
)

// scaleInAfter is how long fewer instances must have been enough before some are stopped, in AWS's time. App Runner gives no
// number. https://docs.aws.amazon.com/apprunner/latest/dg/manage-autoscaling.html
const scaleInAfter = time.Minute

// Instances is how many instances of a service take requests.
func (h *Host) Instances(arn string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := h.services[arn]; s != nil {
		return s.front.size()
	}
	return 0
}

// scale has as many instances as the requests take, and another one for each that ends by itself, until ctx ends. (AR-21, AR-23)
func (s *service) scale(ctx context.Context) {
	for ctx.Err() == nil {
		if s.quiet(ctx) {
			s.shrink(ctx)
		} else {
			s.grow(ctx)
		}
	}
}

// quiet waits until other instances are needed, or for as long as must pass before some are stopped.
func (s *service) quiet(ctx context.Context) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	passed := make(chan struct{})
	go func() {
		defer close(passed)
		_ = s.host.Account.Clock.Sleep(ctx, scaleInAfter) // fails only when ctx is cancelled, by what is looked at below
	}()
	select {
	case <-s.front.pressed:
		cancel()
		<-passed
		return false
	case <-passed:
		return true
	}
}

func (s *service) grow(ctx context.Context) {
	s.changing.Lock()
	defer s.changing.Unlock()
	missing := s.front.missing()
	if s.current == nil || missing <= 0 {
		return
	}
	started, err := s.startAll(ctx, s.current, missing)
	if err != nil {
		if ctx.Err() == nil {
			s.host.Event(s.current.spec.ARN, fmt.Sprintf("scaling out: %v", err))
		}
		return
	}
	s.throttleAll(s.current, started)
	s.front.add(started)
	s.host.Event(s.current.spec.ARN, fmt.Sprintf("scaled out to %d instance(s)", s.front.size()))
}

// shrink stops what was not needed, when it has answered what it was asked.
func (s *service) shrink(ctx context.Context) {
	s.changing.Lock()
	defer s.changing.Unlock()
	if s.current == nil {
		return
	}
	spare := s.front.spare()
	if len(spare) == 0 {
		return
	}
	arn := s.current.spec.ARN
	s.host.Event(arn, fmt.Sprintf("scaled in to %d instance(s)", s.front.size()))
	s.lives.Go(func() {
		drain(ctx, spare)
		if err := s.stopAll(spare); err != nil {
			s.host.Event(arn, err.Error())
		}
	})
}
