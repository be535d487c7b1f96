package subject_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"example.com/todo/bench/subject"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// nearly is a service that does what Conforms wants, but for one thing that a test changes.
type nearly struct {
	tasks []map[string]any // newest last
	at    time.Time

	onePage bool // it ignores cursors
	change  func(status int, answer any) (int, any)
}

func (n *nearly) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	status, answer := n.serve(w, r)
	status, answer = n.change(status, answer)
	if text, ok := answer.(string); ok {
		fmt.Fprint(w, text)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer) // a client that is gone fails its test
}

func (n *nearly) serve(w http.ResponseWriter, r *http.Request) (int, any) {
	const tasks = "/api/v1/tasks"
	n.at = n.at.Add(time.Microsecond)
	now := n.at.Format(time.RFC3339Nano)
	_, id, one := strings.Cut(r.URL.Path, tasks+"/")
	var body struct {
		Title     string
		Completed *bool
	}
	if r.Method != http.MethodGet {
		err := json.NewDecoder(r.Body).Decode(&body)
		body.Title = strings.TrimSpace(body.Title)
		if err != nil || body.Title == "" || len([]rune(body.Title)) > 500 || one && body.Completed == nil {
			return http.StatusBadRequest, nil
		}
	}
	switch {
	case r.URL.Path == "/":
		return http.StatusOK, "OK"
	case one && len(id) != 36:
		return http.StatusBadRequest, nil
	case one:
		for _, task := range n.tasks {
			if task["id"] == id && r.Method == http.MethodPut {
				task["title"], task["completed"], task["updated_at"] = body.Title, *body.Completed, now
			}
			if task["id"] == id {
				return http.StatusOK, task
			}
		}
		return http.StatusNotFound, nil
	case r.Method == http.MethodPost:
		id := fmt.Sprintf("01890a5d-ac96-774b-bcce-%012x", len(n.tasks))
		made := map[string]any{"id": id, "title": body.Title, "completed": *body.Completed, "created_at": now, "updated_at": now}
		n.tasks = append(n.tasks, made)
		w.Header().Set("Location", tasks+"/"+id)
		return http.StatusCreated, made
	}
	var limit int
	if _, err := fmt.Sscan(r.URL.Query().Get("limit"), &limit); err != nil || limit < 1 || limit > 500 {
		return http.StatusBadRequest, nil
	}
	newest := len(n.tasks)
	if cursor := r.URL.Query().Get("after"); cursor != "" && !n.onePage {
		raw, err := base64.RawURLEncoding.DecodeString(cursor)
		if err != nil || len(raw) != 17 || raw[0] != 1 {
			return http.StatusBadRequest, nil
		}
		newest = int(raw[16])
	}
	list := []any{}
	for i := range limit {
		list = append(list, n.tasks[newest-1-i])
	}
	return http.StatusOK, list
}

func TestConforms(t *testing.T) {
	of := func(field string, value any) func(int, any) (int, any) {
		return func(status int, answer any) (int, any) {
			if task, ok := answer.(map[string]any); ok {
				task[field] = value
			}
			return status, answer
		}
	}
	const onePage = "always the first page"
	for name, change := range map[string]func(int, any) (int, any){
		"":               func(status int, answer any) (int, any) { return status, answer },
		"another field":  of("user", "me"),
		"no UUIDv7":      of("id", "01890a5d-ac96-474b-bcce-b302099a8057"),
		"a local time":   of("updated_at", "2026-01-02T03:04:05+01:00"),
		"always done":    of("completed", true),
		"untrimmed":      of("title", " x "),
		onePage:          func(status int, answer any) (int, any) { return status, answer },
		"no JSON":        func(status int, answer any) (int, any) { return status, fmt.Sprint(answer) },
		"always 200":     func(_ int, answer any) (int, any) { return http.StatusOK, answer },
		"never 404":      func(status int, answer any) (int, any) { return max(status, 0) &^ 4, answer },
		"a list of none": func(status int, answer any) (int, any) { return status, first(answer, 0) },
		"a list of two":  func(status int, answer any) (int, any) { return status, first(answer, 2) },
	} {
		t.Run(name, func(t *testing.T) {
			n := &nearly{at: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), onePage: name == onePage, change: change}
			for i := range 3 {
				n.tasks = append(n.tasks, map[string]any{"id": fmt.Sprintf("01890a5d-ac96-774b-bcce-%012x", i)})
			}
			server := httptest.NewServer(n)
			defer server.Close()
			err := subject.Conforms(t.Context(), server.Listener.Addr().String())
			if (err == nil) != (name == "") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func first(answer any, n int) any {
	if list, ok := answer.([]any); ok {
		return list[:n]
	}
	return answer
}

func TestLaunchOfWhatDoesNotStart(t *testing.T) {
	s := subject.Subject{Name: "false", Binary: "/bin/false"}
	if _, err := s.Launch(t.Context(), "postgres://nowhere", subject.AllProcessors); err == nil || !strings.Contains(err.Error(), "it ended") {
		t.Errorf("got %v", err)
	}
}

// A program that is given one processor sees no more of them.
func TestLaunchOnOneProcessor(t *testing.T) {
	whole, err := os.ReadFile("/proc/thread-self/status")
	if err != nil {
		t.Skip("processors are chosen on Linux only")
	}
	file := filepath.Join(t.TempDir(), "status")
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\ncat /proc/self/status >"+file+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	allowed := func(status []byte) string {
		_, after, _ := strings.Cut(string(status), "Cpus_allowed_list:")
		line, _, _ := strings.Cut(after, "\n")
		return strings.TrimSpace(line)
	}
	for _, processors := range []int{1, subject.AllProcessors} {
		if _, err := (subject.Subject{Name: "script", Binary: script}).Launch(t.Context(), "", processors); err == nil {
			t.Fatal("it answered")
		}
		status, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, err = strconv.Atoi(allowed(status))
		if one := err == nil; processors == 1 && !one || processors != 1 && allowed(status) != allowed(whole) {
			t.Errorf("with %d processors it ran on %q of %q", processors, allowed(status), allowed(whole))
		}
	}
	if status, err := os.ReadFile("/proc/thread-self/status"); err != nil || allowed(status) != allowed(whole) {
		t.Errorf("this program was left on %q of %q, %v", allowed(status), allowed(whole), err)
	}
}
