package httpapi

import (
	"reflect"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"example.com/todo/service/task"
)

// appender writes itself as JSON. Tasks do so by hand, since encoding/json takes longer
// over a page of them than everything else in the request together.
type appender interface {
	appendJSON([]byte) []byte
}

// taskJSON is a task as clients see it.
type taskJSON struct {
	ID        task.ID   `json:"id" format:"uuid"`
	Title     string    `json:"title" minLength:"1" maxLength:"500" example:"buy milk"`
	Completed bool      `json:"completed"`
	CreatedAt time.Time `json:"created_at" doc:"UTC"`
	UpdatedAt time.Time `json:"updated_at" doc:"UTC; every write moves it on"`
}

func (t taskJSON) appendJSON(b []byte) []byte {
	b = append(b, `{"id":"`...)
	b, _ = t.ID.AppendText(b) // never fails
	b = append(b, `","title":`...)
	b = appendString(b, t.Title)
	if t.Completed {
		b = append(b, `,"completed":true,"created_at":"`...)
	} else {
		b = append(b, `,"completed":false,"created_at":"`...)
	}
	b = appendTime(b, t.CreatedAt)
	b = append(b, `","updated_at":"`...)
	b = appendTime(b, t.UpdatedAt)
	return append(b, `"}`...)
}

// pageText is a page of tasks, written.
type pageText []byte

// documentedAs implements [substitute].
func (pageText) documentedAs() reflect.Type { return reflect.TypeFor[[]taskJSON]() }

func appendPage(b []byte, tasks []task.Task) []byte {
	b = append(b, '[')
	for i, t := range tasks {
		if i > 0 {
			b = append(b, ',')
		}
		b = taskJSON(t).appendJSON(b)
	}
	return append(b, ']')
}

// pageWriter writes pages. Requests for one page at a time may get the very same tasks
// from the store: then only the first of them has to write them.
type pageWriter struct{ last atomic.Pointer[writtenPage] }

type writtenPage struct {
	tasks []task.Task
	text  pageText
}

func (w *pageWriter) text(tasks []task.Task) pageText {
	last := w.last.Load()
	if last != nil && len(tasks) > 0 && len(tasks) == len(last.tasks) && &tasks[0] == &last.tasks[0] {
		return last.text
	}
	text := appendPage(make(pageText, 0, len("[]")+len(tasks)*usualTask), tasks)
	w.last.Store(&writtenPage{tasks, text})
	return text
}

// usualTask is how long a task usually is, in bytes.
const usualTask = 200

// appendString writes a JSON string: RFC 8259, 7.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	done := 0 // of s
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				b = append(append(b, s[done:i]...), "\ufffd"...)
				done = i + 1
			}
			i += size
			continue
		}
		i++
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[done:i-1]...)
		done = i
		if c < ' ' {
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		} else {
			b = append(b, '\\', c)
		}
	}
	return append(append(b, s[done:]...), '"')
}

// appendTime writes a time as [time.RFC3339Nano] does, in UTC and microseconds, the
// resolution of a task.
func appendTime(b []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	if year < 0 || year > 9999 {
		return t.AppendFormat(b, time.RFC3339Nano)
	}
	hour, minute, second := t.Clock()
	b = appendPair(appendPair(b, year/100), year%100)
	b = appendPair(append(b, '-'), int(month))
	b = appendPair(append(b, '-'), day)
	b = appendPair(append(b, 'T'), hour)
	b = appendPair(append(b, ':'), minute)
	b = appendPair(append(b, ':'), second)
	if micros := t.Nanosecond() / 1000; micros > 0 {
		b = append(b, '.')
		b = appendPair(appendPair(appendPair(b, micros/10000), micros/100%100), micros%100)
		for b[len(b)-1] == '0' {
			b = b[:len(b)-1]
		}
	}
	return append(b, 'Z')
}

func appendPair(b []byte, n int) []byte { return append(b, byte('0'+n/10), byte('0'+n%10)) }
