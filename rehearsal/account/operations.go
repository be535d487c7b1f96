package account

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"time"
)

// An Operation is what App Runner did to a service. (AR-28)
type Operation struct {
	ID, Type, Status string
	Started, Ended   time.Time
}

// An Event is a line that App Runner writes to a service's own log. (LOG-3)
type Event struct {
	At           time.Time
	Stream, Text string
}

// history is what App Runner remembers of its services, by their ARNs.
type history struct {
	operations map[string][]Operation
	events     map[string][]Event
}

func (a *Account) deploy(ctx context.Context, c *call) (host string, err error) {
	end := a.operation(c)
	defer func() { end(err) }()
	return a.runtime.Deploy(ctx, a.revision(c))
}

// operation begins an operation on a service; what is returned ends it.
func (a *Account) operation(c *call) (end func(error)) {
	kind := "CREATE_SERVICE"
	if c.old != nil {
		kind = "UPDATE_SERVICE"
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	o := Operation{ID: fingerprint(rand.Text()), Type: kind, Status: "IN_PROGRESS", Started: time.Now()}
	arn, health := c.ID, "TCP"
	if c.str("healthCheckConfiguration", "protocol") == "HTTP" {
		health = fmt.Sprintf("`HTTP` [Path: '%s']", c.str("healthCheckConfiguration", "path"))
	}
	say := func(format string, args ...any) {
		a.history.events[arn] = append(a.history.events[arn], Event{time.Now(), "deployment/" + o.ID, "[AppRunner] " + fmt.Sprintf(format, args...)})
	}
	a.history.operations[arn] = append(a.history.operations[arn], o)
	at := len(a.history.operations[arn]) - 1
	say("Deployment with ID : %s started. Triggering event : SERVICE_%s", o.ID, strings.TrimSuffix(kind, "_SERVICE"))
	say("Performing health check on protocol %s, [Port: '%s'].", health, c.str("sourceConfiguration", "imageRepository", "imageConfiguration", "port"))
	return func(err error) {
		a.mu.Lock()
		defer a.mu.Unlock()
		o.Ended, o.Status = time.Now(), "SUCCEEDED"
		if err != nil {
			o.Status = "FAILED"
			if kind == "UPDATE_SERVICE" && c.str("status") != "CREATE_FAILED" {
				o.Status = "ROLLBACK_SUCCEEDED"
			}
			say("%s", reason(err))
			say("Deployment with ID : %s failed.", o.ID)
		}
		a.history.operations[arn][at] = o
	}
}

// reason is what App Runner tells of a failure: less than there is to tell. https://github.com/aws/apprunner-roadmap/issues/46
func reason(err error) string {
	text := err.Error()
	if strings.Contains(text, "the program ended") {
		return "Your application stopped or failed to start. See logs for more information.  Container exit code: 1"
	}
	first, _, _ := strings.Cut(text, ": ")
	return first
}

// Operations are what App Runner did to a service, the newest first. (AR-28)
func (a *Account) Operations(serviceARN string) []Operation {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := slices.Clone(a.history.operations[serviceARN])
	slices.Reverse(all)
	return all
}

// Events are what App Runner wrote to a service's own log. (LOG-3)
func (a *Account) Events(serviceARN string) []Event {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.history.events[serviceARN])
}

// DeployerARN is who deploys here.
const DeployerARN = "arn:aws:iam::" + ID + ":user/rehearsal"

// Deployer gives out keys of whoever deploys, which are worth something in this account alone. (RUN-11)
func (a *Account) Deployer() Credentials {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := Credentials{AccessKeyID: "ASIA" + rand.Text()[:16], SecretAccessKey: rand.Text() + rand.Text(), SessionToken: rand.Text(), RoleARN: DeployerARN}
	a.sessions[c.AccessKeyID] = c
	return c
}
