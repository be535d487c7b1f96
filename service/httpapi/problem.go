package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"

	"example.com/todo/service/task"
	"example.com/todo/service/trace"
	"github.com/gofiber/fiber/v2"
)

const (
	typeProblem = "application/problem+json"
	// retryAfter, in seconds, is about what a sleeping database still needs when a
	// request has waited for it in vain.
	retryAfter = 5
)

// problem is RFC 9457's answer to every error. Type stays about:blank: Code tells
// problems apart, and never changes.
type problem struct {
	Type      string         `json:"type" doc:"Always about:blank; code tells problems apart"`
	Title     string         `json:"title" doc:"The status in words"`
	Status    int            `json:"status"`
	Detail    string         `json:"detail" doc:"What is wrong, for people"`
	Code      string         `json:"code" doc:"What is wrong, for programs; never changes" example:"invalid"`
	RequestID string         `json:"request_id" doc:"As in the header X-Request-Id"`
	Errors    []fieldProblem `json:"errors,omitempty" doc:"The parameters or fields that are wrong, twenty at most"`

	cause      error  // for the log; nil when the client alone is to blame
	retryAfter int64  // seconds; 0 when it is of no use to try again
	challenge  string // how to authenticate, when that is what is wrong
}

type fieldProblem struct {
	Field string `json:"field" example:"title"`
	Rule  string `json:"rule" example:"must not be empty"`
}

// Error lets a handler return a problem.
func (p *problem) Error() string { return p.Code + ": " + p.Detail }

var codes = map[int]string{
	http.StatusBadRequest:                  "bad_request",
	http.StatusUnauthorized:                "unauthorized",
	http.StatusNotFound:                    "not_found",
	http.StatusMethodNotAllowed:            "method_not_allowed",
	http.StatusNotAcceptable:               "not_acceptable",
	http.StatusRequestTimeout:              "request_timeout",
	http.StatusPreconditionFailed:          "precondition_failed",
	http.StatusRequestEntityTooLarge:       "body_too_large",
	http.StatusUnsupportedMediaType:        "unsupported_media_type",
	http.StatusTooManyRequests:             "rate_limited",
	http.StatusRequestHeaderFieldsTooLarge: "headers_too_large",
	http.StatusInternalServerError:         "internal",
	http.StatusServiceUnavailable:          "unavailable",
}

func newProblem(status int, detail string) *problem {
	code := codes[status]
	if code == "" {
		code = "http_" + strconv.Itoa(status)
	}
	p := &problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail, Code: code}
	if status == http.StatusServiceUnavailable {
		p.retryAfter = retryAfter
	}
	return p
}

// problemOf is the one place where errors become statuses.
func problemOf(err error) *problem {
	var (
		ours        *problem
		invalid     *task.InvalidError
		unavailable *task.UnavailableError
		framework   *fiber.Error
	)
	switch {
	case errors.As(err, &ours):
		return ours
	case errors.As(err, &invalid):
		p := newProblem(http.StatusBadRequest, invalid.Error())
		p.Code = "invalid"
		for _, f := range invalid.Problems {
			p.Errors = append(p.Errors, fieldProblem(f))
		}
		return p
	case errors.Is(err, task.ErrNotFound):
		p := newProblem(http.StatusNotFound, task.ErrNotFound.Error())
		p.Code = "task_not_found"
		return p
	case errors.Is(err, task.ErrChanged):
		return newProblem(http.StatusPreconditionFailed, "the task has none of the versions in the header If-Match")
	case errors.Is(err, task.ErrOtherRequest):
		p := newProblem(http.StatusUnprocessableEntity, "the Idempotency-Key was used with another body")
		p.Code = "idempotency_key_reused"
		return p
	case errors.As(err, &unavailable):
		p := newProblem(http.StatusServiceUnavailable, unavailable.Reason)
		p.cause = err
		return p
	case errors.As(err, &framework) && framework.Code < http.StatusInternalServerError:
		return newProblem(framework.Code, frameworkDetail(framework.Code))
	}
	p := newProblem(http.StatusInternalServerError, "the request failed for a reason that was logged under its request_id")
	p.cause = err
	return p
}

// frameworkDetail replaces Fiber's own texts, which quote the request.
func frameworkDetail(status int) string {
	switch status {
	case http.StatusNotFound:
		return "there is nothing at this path"
	case http.StatusMethodNotAllowed:
		return "the header Allow lists the methods of this path"
	}
	return "the request could not be read"
}

// answer writes the problem, and logs its cause once.
func (s *Server) answer(c *fiber.Ctx, err error) {
	p := *problemOf(err)
	p.RequestID = requestID(c)
	if p.cause != nil {
		level := slog.LevelError
		if p.Status == http.StatusServiceUnavailable {
			level = slog.LevelWarn
		}
		attrs := []slog.Attr{
			slog.String("error", p.cause.Error()), slog.String("code", p.Code), slog.String("request_id", p.RequestID),
		}
		if id := trace.ID(c.UserContext()); id != "" {
			attrs = append(attrs, slog.String("trace_id", id))
		}
		s.cfg.Log.LogAttrs(context.Background(), level, "request failed", attrs...)
	}
	if p.retryAfter > 0 {
		c.Set(fiber.HeaderRetryAfter, strconv.FormatInt(p.retryAfter, 10))
	}
	if p.challenge != "" {
		c.Set(fiber.HeaderWWWAuthenticate, p.challenge)
	}
	body, marshalErr := json.Marshal(p)
	if marshalErr != nil { // strings and numbers always marshal
		panic(marshalErr)
	}
	c.Status(p.Status).Response().SetBody(body)
	c.Set(fiber.HeaderContentType, typeProblem)
}
