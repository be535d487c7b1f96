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

// FieldTitle is the title as clients know it.
const FieldTitle = "title"

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
	title, err := checkedTitle(d.Title)
	return Draft{Title: title, Completed: d.Completed}, err
}

// Patch is what a client changes of a task; nil leaves a field as it is.
type Patch struct {
	Title     *string
	Completed *bool
}

// Checked gives the patch with its title trimmed, or an [*InvalidError].
func (p Patch) Checked() (Patch, error) {
	if p.Title == nil {
		return p, nil
	}
	title, err := checkedTitle(*p.Title)
	return Patch{Title: &title, Completed: p.Completed}, err
}

func checkedTitle(title string) (string, error) {
	if !utf8.ValidString(title) {
		return "", Invalid(FieldTitle, "must be valid UTF-8")
	}
	title = strings.TrimSpace(title)
	switch {
	case title == "":
		return "", Invalid(FieldTitle, "must not be empty")
	case utf8.RuneCountInString(title) > MaxTitle:
		return "", Invalid(FieldTitle, "must have at most 500 characters")
	case strings.ContainsFunc(title, unicode.IsControl):
		return "", Invalid(FieldTitle, "must not contain control characters")
	}
	return title, nil
}

// Instant is t as a task keeps it: UTC, microseconds.
func Instant(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }
