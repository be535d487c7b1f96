package load

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"
	"time"
)

func TestAnswersInPieces(t *testing.T) {
	for _, tc := range []struct {
		name, raw, body string
		last            bool
	}{
		{"length", "HTTP/1.1 201 Created\r\nX: y\r\ncontent-length:  5 \r\n\r\nhello", "hello", false},
		{"close", "HTTP/1.1 201 Created\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi", "hi", true},
		{"chunks", "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\nA\r\nlo, world!\r\n0\r\n\r\n", "hello, world!", false},
	} {
		for name, pieces := range map[string]func(io.Reader) io.Reader{
			"at once": func(r io.Reader) io.Reader { return r }, "by byte": iotest.OneByteReader, "halved": iotest.HalfReader,
		} {
			r := answerReader{buffer: make([]byte, 8)} // which has to grow
			a, err := r.read(pieces(bytes.NewReader([]byte(tc.raw))))
			if err != nil || a.status != 201 || string(a.body) != tc.body || a.last != tc.last {
				t.Errorf("%s %s: %d %q %v %v", tc.name, name, a.status, a.body, a.last, err)
			}
		}
	}
}

func TestAnswersThatAreNone(t *testing.T) {
	for raw, want := range map[string]error{
		"":                         io.ErrUnexpectedEOF,
		"HTTP/1.1 200 OK\r\n":      io.ErrUnexpectedEOF,
		"SSH-2.0-OpenSSH\r\n\r\n":  errNotHTTP,
		"HTTP/1.1 2x0 OK\r\n\r\n":  errNotHTTP,
		"HTTP/1.1 200 OK\r\n\r\nx": errNoLength,
		"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nx":                        errNoLength,
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nx":                       errNoLength,
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nx":                        io.ErrUnexpectedEOF,
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxy":                       errSurplus,
		"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n":                         errNoContent,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n":      io.ErrUnexpectedEOF,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxyz\r\n":    errChunks,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\nx":   errChunks,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n\r": errChunks,
	} {
		r := answerReader{buffer: make([]byte, 16)}
		if a, err := r.read(bytes.NewReader([]byte(raw))); !errors.Is(err, want) {
			t.Errorf("%q gave %+v, %v, not %v", raw, a, err, want)
		}
	}
	endless := io.MultiReader(bytes.NewReader([]byte("HTTP/1.1 200 OK\r\n")), bytes.NewReader(make([]byte, 2*maxAnswer)))
	r := answerReader{buffer: make([]byte, 16)}
	if _, err := r.read(endless); !errors.Is(err, errTooLarge) {
		t.Errorf("an endless head gave %v", err)
	}
}

func TestPercentiles(t *testing.T) {
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(i + 1)
	}
	for _, tc := range []struct {
		sorted []time.Duration
		p      int
		want   time.Duration
	}{
		{nil, 50, 0}, {hundred[:1], 50, 1}, {hundred[:1], 99, 1}, {hundred[:2], 50, 1}, {hundred[:3], 50, 2},
		{hundred, 50, 50}, {hundred, 99, 99}, {hundred, 100, 100}, {hundred[:10], 99, 10},
	} {
		if got := percentile(tc.sorted, tc.p); got != tc.want {
			t.Errorf("p%d of %d values is %d, not %d", tc.p, len(tc.sorted), got, tc.want)
		}
	}
}
