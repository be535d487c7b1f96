package task

import (
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrNotFound says that no task has the given id.
	ErrNotFound = errors.New("task not found")
	// ErrChanged says that the task has none of the versions that a write was for.
	ErrChanged = errors.New("task has changed")
	// ErrOtherRequest says that the key of a [Once] was used for another request.
	ErrOtherRequest = errors.New("idempotency key was used for another request")
)

// InvalidError says which fields break which rules. Its text is for clients.
type InvalidError struct{ Problems []Problem }

// Problem is one broken rule, such as "title" "must not be empty".
type Problem struct{ Field, Rule string }

// Invalid is an [*InvalidError] about one field.
func Invalid(field, rule string) *InvalidError {
	return &InvalidError{Problems: []Problem{{Field: field, Rule: rule}}}
}

func (e *InvalidError) Error() string {
	parts := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		parts[i] = p.Field + " " + p.Rule
	}
	return strings.Join(parts, "; ")
}

// UnavailableError says that the store cannot answer now and may in a moment.
// Nothing is known to be written. Reason is for clients, Err for the log.
type UnavailableError struct {
	Reason string
	Err    error
}

func (e *UnavailableError) Error() string { return fmt.Sprintf("%s: %v", e.Reason, e.Err) }

func (e *UnavailableError) Unwrap() error { return e.Err }
