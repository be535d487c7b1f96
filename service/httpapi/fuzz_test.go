package httpapi

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"example.com/todo/service/task"
	"github.com/valyala/fasthttp"
)

// A cursor that is taken is one that was given out, and leads where it said.
func FuzzCursor(f *testing.F) {
	given := cursorAfter(task.NewID(time.Now()))
	for _, text := range []string{given, given + "=", given[1:], given + "\n", strings.ToLower(given), "", "AQ", "%%%"} {
		f.Add(text)
	}
	for _, last := range "ABCDEFGHQRST" { // one of these texts is a cursor; the others have bits to spare
		f.Add(given[:len(given)-1] + string(last))
	}
	f.Fuzz(func(t *testing.T, text string) {
		var c cursor
		if rule := c.parse(text); rule != "" {
			if c.after != nil {
				t.Errorf("%q is refused, and leads to %v", text, c.after)
			}
			return
		}
		if again := cursorAfter(*c.after); again != text {
			t.Errorf("%q is taken for %q", text, again)
		}
	})
}

// Whatever a body is, it is refused with a problem or says the same to encoding/json.
func FuzzBody(f *testing.F) {
	for _, body := range []string{
		`{"title":"x"}`, `{"title":"x","completed":true}`, ` {"title" : "\u00e9\ud83e\udd5b" } `, `{"title":"\ud800"}`, `{"title":"\\ufffd\udc00"}`,
		`{"title":"x","title":"y"}`, `{"Title":"x"}`, `{"title":null}`, `{"title":"x"}{}`, `{"title":"x",}`, `{}`, `[]`, `null`, "{\"title\":\"\xff\"}",
		strings.Repeat(`{"title":`, 100), `{"title":"x","completed":"true"}`, `{"title":"x","completed":{"a":[1,2,3]}}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var got newTask
		if err := shapeOf(reflect.TypeFor[newTask]()).decode(body, reflect.ValueOf(&got).Elem()); err != nil {
			var ours *problem
			var invalid *task.InvalidError
			if !errors.As(err, &ours) && !errors.As(err, &invalid) {
				t.Errorf("%q: error %v is neither a problem nor invalid", body, err)
			}
			if p := problemOf(err); p.Status != 400 {
				t.Errorf("%q: status %d", body, p.Status)
			}
			return
		}
		var want newTask
		dec := json.NewDecoder(bytes.NewReader(body))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&want); err != nil || got != want || !utf8.ValidString(got.Title) {
			t.Errorf("%q: got %+v, encoding/json %+v, %v", body, got, want, err)
		}
		if strings.Contains(got.Title, "\ufffd") && !bytes.Contains(body, []byte("\ufffd")) && !bytes.Contains(bytes.ToLower(body), []byte(`\ufffd`)) {
			t.Errorf("%q: title %q is not what was sent", body, got.Title)
		}
	})
}

// Entity tags that are taken are in the header, and a task's own tag is found again.
func FuzzEntityTags(f *testing.F) {
	for _, header := range []string{`*`, `"a"`, `W/"a"`, `"a", "b"`, `"a",,W/"b" ,`, `"a" "b"`, `a`, `"`, `*, "a"`, ``, `,`, `"a,b"`, "\"\x7f\""} {
		f.Add(header)
	}
	own := task.Task{Title: "x", UpdatedAt: task.Instant(time.Now())}.Version()
	f.Fuzz(func(t *testing.T, header string) {
		var p entityTags
		if rule := p.parse(header); rule != "" {
			if p.given {
				t.Errorf("%q is refused, and taken for %+v", header, p)
			}
			return
		}
		for _, tag := range p.tags {
			if !strings.Contains(header, `"`+tag.opaque+`"`) {
				t.Errorf("%q is taken for %q", header, tag.opaque)
			}
		}
		var with entityTags
		if p.any || len(p.tags) == maxTags {
			return
		}
		if rule := with.parse(header + `, "` + string(own) + `"`); rule != "" || !with.include(own) || len(with.tags) != len(p.tags)+1 {
			t.Errorf("%q with one more: %q, %+v", header, rule, with)
		}
		if admitted := with.versions(); len(admitted) == 0 || admitted[len(admitted)-1] != own {
			t.Errorf("%q with one more admits %v", header, admitted)
		}
	})
}

// A key that is taken is in the header, and is the same in quotes and without.
func FuzzIdempotencyKey(f *testing.F) {
	for _, header := range []string{`"8e03978e"`, `8e03978e`, ` "a" `, `"a`, `a"`, `""`, `"a b"`, `a;b=1`, `"a\"b"`, "é"} {
		f.Add(header)
	}
	f.Fuzz(func(t *testing.T, header string) {
		var key, quoted idempotencyKey
		if key.parse(header) != "" {
			return
		}
		if rule := quoted.parse(`"` + string(key) + `"`); rule != "" || quoted != key || !strings.Contains(header, string(key)) || len(key) > maxKey {
			t.Errorf("%q is taken for %q, in quotes for %q", header, key, quoted)
		}
	})
}

// A request that is taken says the same to net/http: where it ends, above all.
func FuzzFraming(f *testing.F) {
	const post = "POST /api/v1/tasks HTTP/1.1\r\nHost: x\r\n"
	for _, request := range []string{
		post + "Content-Length: 3\r\n\r\nabc", post + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\nHost: x\n\n",
		post + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", post + "Content-Length: 3\r\nContent-Length: 4\r\n\r\n", post + "X: a\r\n b\r\n\r\n",
		post + "X: a\rContent-Length: 3\r\n\r\n", post + "Content-Length : 3\r\n\r\n", post + "Transfer-Encoding:\tchunked \r\n\r\n", post + "content-length:03\r\n\r\n",
		"GET http://y/ HTTP/1.1\r\nHost: x\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "GET /a b HTTP/1.1\r\nHost: x\r\n\r\n", post + ": a\r\n\r\n", post + "X: \x00\r\n\r\n",
	} {
		f.Add([]byte(request))
	}
	f.Fuzz(func(t *testing.T, request []byte) {
		var ours fasthttp.RequestHeader
		if ours.Read(bufio.NewReaderSize(bytes.NewReader(request), maxHeader)) != nil || misframed(&ours) != "" {
			return
		}
		theirs, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(request)))
		if err != nil && strings.HasPrefix(err.Error(), "malformed HTTP request ") {
			return // a line without a version is HTTP/1.0 to fasthttp, which does not tell
		}
		if noURL := new(url.Error); errors.As(err, &noURL) {
			return // is no path of ours either
		}
		if err != nil {
			t.Fatalf("%q: net/http says %v", request, err)
		}
		length := int64(max(ours.ContentLength(), -1))
		if ours.ContentLength() == -2 {
			length = 0
		}
		if theirs.Method != string(ours.Method()) || theirs.RequestURI != string(ours.RequestURI()) || theirs.ContentLength != length {
			t.Errorf("%q: %s %s with %d bytes, to net/http %s %s with %d", request, ours.Method(), ours.RequestURI(), length, theirs.Method, theirs.RequestURI, theirs.ContentLength)
		}
	})
}

// An object is split where encoding/json would, or refused as by it.
func FuzzSplit(f *testing.F) {
	for _, body := range []string{
		`{}`, ` { } `, `{"a":1}`, `{"a":"b\"}","c":[{"d":"]"},2]}`, `{"a":}`, `{"a"}`, `{"a":1,}`, `{,"a":1}`, `{"a":1 2}`, `{"a":[}]}`, `{"a":1}}`, `{"a":tru}`,
		`{"\u0061":1,"a":2}`, `{"a":1}x`, `{a:1}`, `{"a":"` + "\n" + `"}`, `{"a":"\"`, `{"a":{"b":{}}}`, `[1]`, ``, `{`, `{"a":-}`, "{\"a\":1}\f", `{"":""}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if !utf8.Valid(body) {
			return // which nobody asks to split
		}
		members, err := split(body, nil)
		var want map[string]json.RawMessage
		wantErr := json.Unmarshal(body, &want)
		if (err != nil) != (wantErr != nil || want == nil) {
			t.Fatalf("%q: %v, encoding/json: %v", body, err, wantErr)
		}
		got := map[string]json.RawMessage{}
		for _, m := range members {
			got[string(m.name)] = m.value
		}
		if err == nil && !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %q, encoding/json: %q", body, got, want)
		}
	})
}

func BenchmarkBody(b *testing.B) {
	body := []byte(`{"title":"buy milk and bread on the way home","completed":true}`)
	var into allTask
	shape := shapeOf(reflect.TypeFor[allTask]())
	b.ReportAllocs()
	for b.Loop() {
		if err := shape.decode(body, reflect.ValueOf(&into).Elem()); err != nil {
			b.Fatal(err)
		}
	}
}
