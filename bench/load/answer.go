package load

import (
	"bytes"
	"errors"
	"io"
	"strconv"
)

// maxAnswer bounds what is kept of an answer.
const maxAnswer = 1 << 20

// answer is what the checks need of a response. Its body is valid until the next read.
type answer struct {
	status int
	body   []byte
	last   bool // the server will close the connection
}

var (
	errNotHTTP   = errors.New("not an HTTP/1.1 response")
	errNoLength  = errors.New("a response without a length")
	errChunks    = errors.New("malformed chunks")
	errTooLarge  = errors.New("a response over 1 MiB")
	errSurplus   = errors.New("bytes after the response")
	errNoContent = errors.New("a response without a body")
)

// answerReader reads HTTP/1.1 responses (RFC 9112) that have a body, one at a time.
type answerReader struct {
	buffer []byte
	n      int // bytes of the response so far
}

// reset forgets what there is of a response.
func (r *answerReader) reset() { r.n = 0 }

// read reads one response. Nothing may follow it, since nothing else was asked for. After an error that passes, it goes
// on where it was.
func (r *answerReader) read(from io.Reader) (answer, error) {
	for {
		if r.n == len(r.buffer) {
			if r.n >= maxAnswer {
				return answer{}, errTooLarge
			}
			r.buffer = append(r.buffer, make([]byte, r.n)...)
		}
		more, err := from.Read(r.buffer[r.n:])
		r.n += more
		if more > 0 {
			a, size, err := parse(r.buffer[:r.n])
			switch {
			case err != nil:
				return answer{}, err
			case size > 0 && size < r.n:
				return answer{}, errSurplus
			case size > 0 && len(a.body) == 0:
				return answer{}, errNoContent
			case size > 0:
				r.reset()
				return a, nil
			}
		}
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return answer{}, err
		}
	}
}

// parse gives the response at the beginning of b and its size, which is 0 while it is not complete.
func parse(b []byte) (a answer, size int, err error) {
	const version = "HTTP/1.1 "
	end := bytes.Index(b, []byte("\r\n\r\n"))
	if end < 0 {
		return a, 0, nil
	}
	head, rest := b[:end+2], b[end+4:]
	line, fields, _ := bytes.Cut(head, []byte("\r\n"))
	if len(line) < len(version)+3 || string(line[:len(version)]) != version {
		return a, 0, errNotHTTP
	}
	if a.status, err = strconv.Atoi(string(line[len(version) : len(version)+3])); err != nil {
		return a, 0, errNotHTTP
	}
	length, chunked := -1, false
	for len(fields) > 0 {
		var field []byte
		field, fields, _ = bytes.Cut(fields, []byte("\r\n"))
		switch field[0] | 0x20 { // most fields are of no interest
		case 'c':
			if value, ok := valueOf(field, "content-length"); ok {
				if length, err = strconv.Atoi(string(value)); err != nil {
					return a, 0, errNoLength
				}
			} else if value, ok := valueOf(field, "connection"); ok {
				a.last = bytes.EqualFold(value, []byte("close"))
			}
		case 't':
			if value, ok := valueOf(field, "transfer-encoding"); ok {
				chunked = bytes.EqualFold(value, []byte("chunked"))
			}
		}
	}
	switch {
	case chunked:
		if a.body, size, err = dechunk(rest); size > 0 {
			size += end + 4
		}
		return a, size, err
	case length < 0:
		return a, 0, errNoLength
	case len(rest) < length:
		return a, 0, nil
	}
	a.body = rest[:length]
	return a, end + 4 + length, nil
}

func valueOf(field []byte, name string) (value []byte, ok bool) {
	if len(field) <= len(name) || field[len(name)] != ':' || !bytes.EqualFold(field[:len(name)], []byte(name)) {
		return nil, false
	}
	return bytes.TrimSpace(field[len(name)+1:]), true
}

// dechunk gives the body that b has in chunks (RFC 9112, 7.1), put together in b, and the bytes that they took, which is
// 0 while they are not complete. Trailers are refused, since nobody asked for any.
func dechunk(b []byte) (body []byte, size int, err error) {
	for _, joining := range []bool{false, true} { // nothing may move before all is there
		body, size = b[:0], 0
		for last := false; !last; {
			line := bytes.Index(b[size:], []byte("\r\n"))
			if line < 0 {
				return nil, 0, nil
			}
			length, err := strconv.ParseUint(string(b[size:size+line]), 16, 20)
			if err != nil {
				return nil, 0, errChunks
			}
			start := size + line + 2
			size = start + int(length) + 2
			if len(b) < size {
				return nil, 0, nil
			}
			if b[size-2] != '\r' || b[size-1] != '\n' {
				return nil, 0, errChunks
			}
			if joining {
				body = append(body, b[start:size-2]...)
			}
			last = length == 0
		}
	}
	return body, size, nil
}
