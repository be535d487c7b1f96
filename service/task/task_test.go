package task_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/todo/service/task"
)

func TestDraftChecked(t *testing.T) {
	for _, tc := range []struct {
		name, title, want, rule string
	}{
		{name: "plain", title: "buy milk", want: "buy milk"},
		{name: "trimmed, also of Unicode's spaces", title: " \t\u00a0buy milk\u2003\n", want: "buy milk"},
		{name: "one character", title: "x", want: "x"},
		{name: "500 characters, not bytes", title: strings.Repeat("é", 500), want: strings.Repeat("é", 500)},
		{name: "501 after trimming is too long", title: " " + strings.Repeat("é", 501), rule: "must have at most 500 characters"},
		{name: "500 before padding", title: " " + strings.Repeat("e", 500) + " ", want: strings.Repeat("e", 500)},
		{name: "empty", title: "", rule: "must not be empty"},
		{name: "blank", title: " \r\n ", rule: "must not be empty"},
		{name: "NUL", title: "a\x00b", rule: "must not contain control characters"},
		{name: "new line inside", title: "a\nb", rule: "must not contain control characters"},
		{name: "C1 control", title: "a\u0085b", rule: "must not contain control characters"},
		{name: "not UTF-8", title: "a\xffb", rule: "must be valid UTF-8"},
		{name: "emoji", title: "🥛", want: "🥛"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := task.Draft{Title: tc.title, Completed: true}.Checked()
			var invalid *task.InvalidError
			if tc.rule != "" {
				if !errors.As(err, &invalid) || !slices.Equal(invalid.Problems, []task.Problem{{Field: "title", Rule: tc.rule}}) {
					t.Fatalf("got error %v, want title %s", err, tc.rule)
				}
				return
			}
			if want := (task.Draft{Title: tc.want, Completed: true}); err != nil || got != want {
				t.Fatalf("got %+v, %v, want %+v", got, err, want)
			}
		})
	}
}

func TestNewKeepsWhatPostgreSQLKeeps(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 123456789, time.FixedZone("east", 3600))
	got, err := task.New(task.Draft{Title: " x "}, now)
	if err != nil {
		t.Fatal(err)
	}
	want := time.Date(2026, 3, 4, 4, 6, 7, 123456000, time.UTC)
	if got.CreatedAt != want || got.UpdatedAt != want || got.Title != "x" || got.Completed {
		t.Errorf("got %+v, want times %v", got, want)
	}
	if _, err := task.New(task.Draft{}, now); err == nil {
		t.Error("a draft without a title became a task")
	}
}

func TestIDRoundTrip(t *testing.T) {
	id := task.NewID(time.Now())
	for _, s := range []string{id.String(), strings.ToUpper(id.String())} {
		if got, err := task.ParseID(s); err != nil || got != id {
			t.Errorf("ParseID(%q) = %v, %v, want %v", s, got, err, id)
		}
	}
	for _, s := range []string{
		"", "x", strings.ReplaceAll(id.String(), "-", ""), "{" + id.String() + "}", id.String() + " ",
		"zz890a5d-ac96-774b-bcce-b302099a8057", "01890a5dac-96-774b-bcce-b302099a8057",
	} {
		if got, err := task.ParseID(s); err == nil {
			t.Errorf("ParseID(%q) = %v, want an error", s, got)
		}
	}
}

func TestIDIsVersion7(t *testing.T) {
	at := time.Now().Add(time.Hour) // ahead of every other id of this process
	id := task.NewID(at)
	s := id.String()
	if s[14] != '7' || !strings.ContainsRune("89ab", rune(s[19])) {
		t.Errorf("%s is not a version 7 UUID of RFC 9562's variant", s)
	}
	var millis int64
	for _, b := range id[:6] {
		millis = millis<<8 | int64(b)
	}
	if millis != at.UnixMilli() {
		t.Errorf("%s carries %d ms, want %d", s, millis, at.UnixMilli())
	}
}

func TestIDsAscend(t *testing.T) {
	now := time.Now()
	previous := task.NewID(now)
	for i := range 10_000 { // more than the 4096 ticks of a millisecond, and a clock that goes back
		id := task.NewID(now.Add(-time.Duration(i%2) * time.Second))
		if bytes.Compare(previous[:], id[:]) >= 0 {
			t.Fatalf("%v came after %v", id, previous)
		}
		previous = id
	}
}

func TestIDsOfManyGoroutinesAreDistinctAndAscend(t *testing.T) {
	const workers, each = 8, 2000
	made := make([][]task.ID, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for range each {
				made[w] = append(made[w], task.NewID(time.Now()))
			}
		})
	}
	wg.Wait()
	seen := map[[8]byte]bool{}
	for _, ids := range made {
		if !slices.IsSortedFunc(ids, func(a, b task.ID) int { return bytes.Compare(a[:], b[:]) }) {
			t.Error("one goroutine's ids do not ascend")
		}
		for _, id := range ids {
			seen[[8]byte(id[:8])] = true
		}
	}
	if len(seen) != workers*each {
		t.Errorf("%d distinct timestamps for %d ids", len(seen), workers*each)
	}
}
