// Package fault puts faults of AWS's APIs between Pulumi's provider and a cloud, when told to, and does about them what the
// AWS SDK in the provider does. It also lets the cloud finish what it has begun when nobody waits for it any more.
package fault

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"

	"example.com/todo/rehearsal/clock"
)

// A Fault is what goes wrong with an operation, a number of times: an error instead of the answer, or an answer that is late.
type Fault struct {
	// Operation is one of an API, such as rds:CreateDBInstance, or a resource type's token for all that is done to it.
	Operation string
	// Code is AWS's error; with none the operation is done, and takes Late of AWS's time longer.
	Code  string
	Late  time.Duration
	Times int
}

// Parse reads a fault such as "rds:CreateDBInstance=throttle*3". What goes wrong is "throttle", "internal", another error's code, or
// the time by which the answer is late; how often is once by default.
func Parse(text string) (Fault, error) {
	parts := form.FindStringSubmatch(text)
	if parts == nil {
		return Fault{}, fmt.Errorf("%q is no fault: want an operation, what goes wrong with it and how often, such as rds:CreateDBInstance=throttle*3", text)
	}
	f := Fault{Operation: parts[1], Times: 1}
	if parts[3] != "" {
		var err error
		if f.Times, err = strconv.Atoi(parts[3]); err != nil {
			return Fault{}, fmt.Errorf("%q happens too often: %w", text, err)
		}
	}
	switch late, err := time.ParseDuration(parts[2]); {
	case err == nil:
		f.Late = late
	case parts[2] == "throttle":
		f.Code = "ThrottlingException"
	case parts[2] == "internal":
		f.Code = "InternalFailure"
	default:
		f.Code = parts[2]
	}
	return f, nil
}

var form = regexp.MustCompile(`^([\w:/]+:\w+)=([\w.]+)(?:\*([1-9]\d*))?$`)

// attempts is how often the provider's SDK asks, and longestBackoff how long it waits in between at most. (PRO-7)
// https://registry.terraform.io/providers/hashicorp/aws/5.100.0/docs (max_retries)
// https://github.com/hashicorp/aws-sdk-go-base/blob/main/aws_config.go (resolveRetryer)
const (
	attempts       = 25
	longestBackoff = 300 * time.Second
)

// An Injector keeps the faults to come. It is safe for concurrent use.
type Injector struct {
	clock *clock.Clock
	sdk   *retry.Standard
	work  sync.WaitGroup // what clouds do though nobody waits

	mu     sync.Mutex
	faults []*injected
}

type injected struct {
	Fault
	met chan struct{} // closed when it happens first
}

// NewInjector has no faults.
func NewInjector(c *clock.Clock) *Injector {
	return &Injector{clock: c, sdk: retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts, o.MaxBackoff, o.RateLimiter = attempts, longestBackoff, ratelimit.None
	})}
}

// Inject has a fault happen as often as it says, beside and after those that were injected before. What it answers is closed
// when it happens first.
func (i *Injector) Inject(f Fault) (met <-chan struct{}) {
	i.mu.Lock()
	defer i.mu.Unlock()
	one := &injected{Fault: f, met: make(chan struct{})}
	i.faults = append(i.faults, one)
	return one.met
}

// Pending is how many faults have not happened as often as they are to.
func (i *Injector) Pending() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.faults)
}

// Clear forgets the faults that have not happened, and answers them.
func (i *Injector) Clear() []Fault {
	i.mu.Lock()
	defer i.mu.Unlock()
	var left []Fault
	for _, f := range i.faults {
		left = append(left, f.Fault)
	}
	i.faults = nil
	return left
}

// Wait waits for what clouds do though nobody waits for it any more.
func (i *Injector) Wait() { i.work.Wait() }

// take is the next fault of an operation, or of the resource type; nil when there is none.
func (i *Injector) take(operation, token string) *Fault {
	i.mu.Lock()
	defer i.mu.Unlock()
	for n, f := range i.faults {
		if f.Operation != operation && f.Operation != token {
			continue
		}
		taken := f.Fault
		if taken.Times == f.Times {
			select {
			case <-f.met:
			default:
				close(f.met)
			}
		}
		if f.Times--; f.Times == 0 {
			i.faults = append(i.faults[:n:n], i.faults[n+1:]...)
		}
		return &taken
	}
	return nil
}

// ask is what happens until the API has taken an operation, and how much later than else it will be done. Throttling and
// errors of the server are tried again, as often and as slowly as by the SDK; all else is the provider's to know at
// once. (PRO-7, PRO-8)
func (i *Injector) ask(ctx context.Context, operation, token string) (late time.Duration, err error) {
	for attempt := 1; ; attempt++ {
		f := i.take(operation, token)
		if f == nil {
			return 0, ctx.Err()
		}
		if f.Code == "" {
			return f.Late, ctx.Err()
		}
		refusal := &refusal{operation: operation, code: f.Code}
		if !i.sdk.IsErrorRetryable(refusal) {
			return 0, refusal
		}
		if attempt == attempts {
			refusal.attempts = attempt
			return 0, refusal
		}
		delay, err := i.sdk.RetryDelay(attempt, refusal)
		if err != nil {
			return 0, err
		}
		if err := i.clock.Sleep(ctx, delay); err != nil {
			return 0, fmt.Errorf("%w: %w", refusal, err)
		}
	}
}

// A refusal is an error of an API, to the SDK.
type refusal struct {
	operation, code string
	attempts        int // when it was given up
}

func (r *refusal) Error() string {
	service, name, _ := strings.Cut(r.operation, ":")
	given := ""
	if r.attempts > 0 {
		given = fmt.Sprintf("exceeded maximum number of attempts, %d, ", r.attempts)
	}
	message := "as the rehearsal was told"
	if r.throttles() {
		message = "Rate exceeded"
	}
	return fmt.Sprintf("operation error %s: %s, %shttps response error StatusCode: %d, api error %s: %s", service, name, given, r.HTTPStatusCode(), r.code, message)
}

func (r *refusal) throttles() bool {
	_, is := retry.DefaultThrottleErrorCodes[r.code]
	return is
}

// ErrorCode and HTTPStatusCode are what the SDK looks at.
func (r *refusal) ErrorCode() string { return r.code }

// HTTPStatusCode is that of AWS's common errors.
// https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/CommonErrors.html
func (r *refusal) HTTPStatusCode() int {
	switch r.code {
	case "InternalFailure", "InternalError", "InternalServerError", "InternalServiceErrorException":
		return 500
	case "ServiceUnavailable", "ServiceUnavailableException", "Unavailable":
		return 503
	default:
		return 400
	}
}
