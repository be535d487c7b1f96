package httpapi

import (
	"encoding/json"
	"testing"
	"time"
	"unicode/utf8"

	"example.com/todo/service/task"
	"github.com/google/go-cmp/cmp"
)

// What is written by hand says the same as what encoding/json writes.
func FuzzTaskJSON(f *testing.F) {
	now := time.Date(2026, 11, 24, 9, 5, 7, 120_000_000, time.UTC)
	for _, title := range []string{"buy milk", "", `"\/`, "\x00\x1f\x7f\u0080", "é🥛\u2028<&>", "half \xf0\x9f", "\ufffd"} {
		f.Add(title, true, now.UnixMicro(), int64(0))
	}
	f.Add("x", false, int64(-1), now.UnixMicro()+1)
	f.Add("x", false, int64(-62_135_596_800_000_000), int64(253_402_300_799_999_999))
	f.Fuzz(func(t *testing.T, title string, completed bool, created, updated int64) {
		wanted := taskJSON{task.NewID(now), title, completed, time.UnixMicro(created).UTC(), time.UnixMicro(updated).UTC()}
		for _, at := range []time.Time{wanted.CreatedAt, wanted.UpdatedAt} {
			if at.Year() < 0 || at.Year() > 9999 {
				t.Skip("encoding/json cannot write it")
			}
		}
		reference, err := json.Marshal(wanted)
		if err != nil {
			t.Fatal(err)
		}
		ours := wanted.appendJSON([]byte("before"))
		var want, got map[string]any
		if err := json.Unmarshal(reference, &want); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(ours[len("before"):], &got); err != nil || !utf8.Valid(ours) {
			t.Fatalf("%q is no JSON: %v", ours, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-encoding/json +ours):\n%s", diff)
		}
	})
}

func TestPageJSON(t *testing.T) {
	one := task.Task{ID: task.ID{1}, Title: "x", CreatedAt: time.Unix(0, 0), UpdatedAt: time.Unix(0, 1000)}
	const text = `{"id":"01000000-0000-0000-0000-000000000000","title":"x","completed":false,"created_at":"1970-01-01T00:00:00Z","updated_at":"1970-01-01T00:00:00.000001Z"}`
	var w pageWriter
	shared := []task.Task{one, one}
	for _, tc := range []struct {
		want  string
		tasks []task.Task
	}{
		{"[]", nil}, {"[" + text + "," + text + "]", shared}, {"[" + text + "," + text + "]", shared},
		{"[" + text + "]", shared[:1]}, {"[]", []task.Task{}}, {"[" + text + "]", []task.Task{one}},
	} {
		if got := string(w.text(tc.tasks)); got != tc.want {
			t.Errorf("got %s, want %s", got, tc.want)
		}
	}
}

func BenchmarkPageJSON(b *testing.B) {
	p := make([]task.Task, 50)
	for i := range p {
		p[i] = task.Task{ID: task.NewID(time.Now()), Title: "buy milk and bread on the way home", CreatedAt: task.Instant(time.Now()), UpdatedAt: task.Instant(time.Now())}
	}
	b.Run("by hand", func(b *testing.B) {
		var into []byte
		for b.Loop() {
			into = appendPage(into[:0], p)
		}
	})
	b.Run("encoding/json", func(b *testing.B) {
		same := make([]taskJSON, len(p))
		for i := range p {
			same[i] = taskJSON(p[i])
		}
		for b.Loop() {
			if _, err := json.Marshal(same); err != nil {
				b.Fatal(err)
			}
		}
	})
}
