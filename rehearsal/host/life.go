package host

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// How long things take, in AWS's time.
const (
	// wakeTime is how long a paused database takes to answer, deepWakeTime when it has been paused for longer than deepAfter.
	// https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2-auto-pause.html (RDS-21)
	wakeTime, deepWakeTime = 15 * time.Second, 30 * time.Second
	deepAfter              = 24 * time.Hour
	// stayAwake is how long a database does not pause after a change has woken it; from the same page. (RDS-20)
	stayAwake = 20 * time.Minute
	// restartTime and failOverTime are how long nothing answers.
	// https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/Concepts.AuroraHighAvailability.html (RDS-22, RDS-23)
	restartTime, failOverTime = 20 * time.Second, 30 * time.Second
	// addressTime is how long the name of the cluster's endpoint leads where it did before a failover.
	// https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/AuroraPostgreSQL.BestPractices.FastFailover.html (RDS-24)
	addressTime = 5 * time.Second
	// rotateAfter is how old a managed password gets.
	// https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/rds-secrets-manager.html (SM-3)
	rotateAfter = 7 * 24 * time.Hour
)

// A state is what becomes of those who connect.
type state int

const (
	away   state = iota // they are refused
	paused              // they wait, and wake the database
	awake
)

// live does what comes by itself, a pause, the end of one and a new password, until ctx ends.
func (d *database) live(ctx context.Context) {
	for ctx.Err() == nil {
		act, due, steady := d.next()
		if act == nil {
			<-steady.Done()
			continue
		}
		if d.clock.Until(steady, due) != nil {
			continue
		}
		if err := act(ctx); err != nil && ctx.Err() == nil {
			d.say("%v", err)
		}
	}
}

// next is what comes by itself, if anything, and when, for as long as steady lasts.
func (d *database) next() (act func(context.Context) error, due time.Time, steady context.Context) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.state == paused && d.open > 0 {
		return d.wake, time.Time{}, d.steady
	}
	if d.state != away {
		act, due = d.rotate, d.rotated.Add(rotateAfter)
	}
	if d.sleepy() {
		at := d.quiet.Add(d.spec.SleepAfter)
		if at.Before(d.upUntil) {
			at = d.upUntil
		}
		if at.Before(due) {
			act, due = d.pause, at
		}
	}
	return act, due, d.steady
}

// note ends what was steady. The lock is held.
func (d *database) note() {
	d.unsettle()
	d.steady, d.unsettle = context.WithCancel(d.life)
}

// sleepy says whether the database may pause as things are: open connections keep it awake, idle ones too. (RDS-20)
func (d *database) sleepy() bool {
	return d.state == awake && d.open == 0 && d.spec.SleepAfter > 0
}

// enter waits until a connection may go on to PostgreSQL, or says that it may not. A database that is paused wakes for
// it. (RDS-21)
func (d *database) enter() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open++
	d.note()
	for d.state == paused {
		turned := d.turned
		d.mu.Unlock()
		<-turned
		d.mu.Lock()
	}
	return d.state == awake
}

// leave is the end of a connection that came to enter, let in or not.
func (d *database) leave() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open--
	d.quiet = d.clock.Now()
	d.note()
}

// turn changes what becomes of those who connect. The lock is held.
func (d *database) turn(to state) {
	d.state, d.since = to, d.clock.Now()
	d.quiet = d.since
	close(d.turned)
	d.turned = make(chan struct{})
	d.note()
}

func (d *database) turnTo(to state) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.turn(to)
}

// alone has one change made at a time.
func (d *database) alone(ctx context.Context, change func() error) error {
	select {
	case d.changing <- struct{}{}:
		defer func() { <-d.changing }()
		return change()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// pause stops PostgreSQL, unless somebody has connected meanwhile. (RDS-20)
func (d *database) pause(ctx context.Context) error {
	return d.alone(ctx, func() error {
		if !d.fallAsleep() {
			return nil
		}
		if err := d.server.Stop(ctx); err != nil {
			return fmt.Errorf("pause: %w", err)
		}
		d.say("paused; PostgreSQL is stopped, and the next connection wakes it")
		return nil
	})
}

// mayPause says how the database is and, if it ever pauses, when that may have changed.
func (d *database) mayPause() (now state, unsteady <-chan struct{}, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.spec.SleepAfter == 0 {
		err = errors.New("its minimum capacity is above 0: it never pauses")
	}
	return d.state, d.steady.Done(), err
}

func (d *database) fallAsleep() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.sleepy() {
		return false
	}
	d.turn(paused)
	return true
}

func (d *database) wake(ctx context.Context) error {
	return d.alone(ctx, func() error { return d.awaken(ctx) })
}

// awaken starts a paused PostgreSQL again, as long as that takes AWS, and lets in who has waited. (RDS-21)
func (d *database) awaken(ctx context.Context) error {
	now, since := d.lookAt()
	if now != paused {
		return nil
	}
	took := wakeTime
	if d.clock.Now().Sub(since) > deepAfter {
		took = deepWakeTime
	}
	if err := d.clock.Sleep(ctx, took); err != nil {
		return err
	}
	if err := d.server.Restart(ctx); err != nil {
		return fmt.Errorf("wake up: %w", err)
	}
	d.turnTo(awake)
	d.say("awake again, after AWS's %s", took)
	return nil
}

func (d *database) lookAt() (state, time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.state, d.since
}

// disturb awakens the database for a change, after which it stays awake for a while. (RDS-20)
func (d *database) disturb(ctx context.Context) error {
	if now, _ := d.lookAt(); now != paused {
		return nil
	}
	if err := d.awaken(ctx); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.upUntil = d.clock.Now().Add(stayAwake)
	return nil
}

// restart cuts all connections and refuses new ones for the time that it takes. Data stays. (RDS-22)
func (d *database) restart(ctx context.Context, took time.Duration) error {
	d.turnTo(away)
	if err := d.server.Stop(ctx); err != nil {
		return err
	}
	if err := d.clock.Sleep(ctx, took); err != nil {
		return err
	}
	return d.server.Restart(ctx)
}

// rotate gives the master user another password. (SM-3)
func (d *database) rotate(ctx context.Context) error {
	d.mu.Lock()
	d.rotated = d.clock.Now() // also when it fails, so that it is not tried all the time
	arn := d.spec.SecretARN
	d.mu.Unlock()
	if err := d.account.RotateSecret(ctx, arn); err != nil {
		return fmt.Errorf("rotate secret %s: %w", arn, err)
	}
	return nil
}
