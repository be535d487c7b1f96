// Package task is the domain: what a task is, which rules it keeps and which
// errors its users branch on. It knows neither HTTP nor SQL.
package task

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// MaxTitle is the longest title, in characters (Unicode code points).
const MaxTitle = 500

// Field names as clients and databases know them.
const (
	FieldTitle     = "title"
	FieldCompleted = "completed"
)

// Task is one thing to do. Times are UTC with the microsecond resolution that
// PostgreSQL keeps, so a task reads back exactly as it was returned when written.
type Task struct {
	ID        ID
	Title     string
	Completed bool
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Draft is what a client decides about a task.
type Draft struct {
	Title     string
	Completed bool
}

// Filter says which tasks of a list are wanted, newest first. Since it continues
// behind an id rather than at a number of rows, pages neither repeat nor skip a task
// when others are made and deleted between them.
type Filter struct {
	Limit     int   // at most so many
	After     *ID   // only those older than this one, which need not exist any more
	Completed *bool // only those, or only the others
}

// New makes a task from a draft at the given time. The error is an [*InvalidError].
func New(d Draft, now time.Time) (Task, error) {
	d, err := d.Checked()
	if err != nil {
		return Task{}, err
	}
	now = Instant(now)
	return Task{ID: NewID(now), Title: d.Title, Completed: d.Completed, CreatedAt: now, UpdatedAt: now}, nil
}

// Checked gives the draft with its title trimmed of surrounding white space, or
// an [*InvalidError].
func (d Draft) Checked() (Draft, error) {
	if !utf8.ValidString(d.Title) {
		return Draft{}, Invalid(FieldTitle, "must be valid UTF-8")
	}
	d.Title = strings.TrimSpace(d.Title)
	switch {
	case d.Title == "":
		return Draft{}, Invalid(FieldTitle, "must not be empty")
	case utf8.RuneCountInString(d.Title) > MaxTitle:
		return Draft{}, Invalid(FieldTitle, "must have at most 500 characters")
	case strings.ContainsFunc(d.Title, unicode.IsControl):
		return Draft{}, Invalid(FieldTitle, "must not contain control characters")
	}
	return d, nil
}

// Instant is t as a task keeps it: UTC, microseconds.
func Instant(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }
