package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"example.com/todo/service/postgres/postgrestest"
)

// dial opens a connection that is given up after the test's patience.
func (i instance) dial(t *testing.T) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(i.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// raw sends bytes, and reads every answer until the service closes the connection.
func (i instance) raw(t *testing.T, request string) []response {
	t.Helper()
	conn := i.dial(t)
	defer conn.Close()
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	return answers(t, conn)
}

func answers(t *testing.T, conn net.Conn) (all []response) {
	t.Helper()
	for r := bufio.NewReader(conn); ; {
		if _, err := r.Peek(1); errors.Is(err, io.EOF) {
			return all
		}
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatalf("after %d answers: %v", len(all), err)
		}
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, response{res.StatusCode, res.Header, string(body)})
	}
}

// What a proxy in front may read as other requests than the service does is refused,
// and nothing behind it on the same connection is served: RFC 9112, 11.2.
func TestRequestsThatCanBeReadInTwoWays(t *testing.T) {
	api := serve(t, env{envDatabaseURL: postgrestest.Database(t)})
	const (
		post    = "POST " + tasks + " HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
		body    = `{"title":"smuggled"}`
		chunked = "14\r\n" + body + "\r\n0\r\n\r\n"
		behind  = "GET /version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	)
	for name, request := range map[string]string{
		"a length and chunks":        post + "Content-Length: 20\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked,
		"chunks and a length":        post + "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n" + chunked,
		"two lengths":                post + "Content-Length: 20\r\nContent-Length: 4\r\n\r\n" + body,
		"the same length twice":      post + "Content-Length: 20\r\nContent-Length: 20\r\n\r\n" + body,
		"a list of lengths":          post + "Content-Length: 20, 20\r\n\r\n" + body,
		"a signed length":            post + "Content-Length: +20\r\n\r\n" + body,
		"a hexadecimal length":       post + "Content-Length: 0x14\r\n\r\n" + body,
		"an endless length":          post + "Content-Length: 99999999999999999999\r\n\r\n" + body,
		"another coding":             post + "Transfer-Encoding: gzip\r\n\r\n" + chunked,
		"two codings":                post + "Transfer-Encoding: gzip, chunked\r\n\r\n" + chunked,
		"two lines of codings":       post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked,
		"no coding":                  post + "Transfer-Encoding: identity\r\nContent-Length: 20\r\n\r\n" + body,
		"chunks in HTTP/1.0":         strings.Replace(post, "HTTP/1.1", "HTTP/1.0", 1) + "Transfer-Encoding: chunked\r\n\r\n" + chunked,
		"a name with a tab":          post + "Transfer-Encoding\x0b: chunked\r\nContent-Length: 20\r\n\r\n" + body,
		"a space before the colon":   post + "Content-Length : 20\r\n\r\n" + body,
		"a folded line":              post + "X-A: b\r\n Content-Length: 4\r\nContent-Length: 20\r\n\r\n" + body,
		"a line without a name":      post + ": b\r\nContent-Length: 20\r\n\r\n" + body,
		"a carriage return in it":    post + "X-A: b\rContent-Length: 4\r\nContent-Length: 20\r\n\r\n" + body,
		"a NUL in it":                post + "X-A: b\x00\r\nContent-Length: 20\r\n\r\n" + body,
		"a chunk of no size":         post + "Transfer-Encoding: chunked\r\n\r\nx\r\n" + body + "\r\n0\r\n\r\n",
		"a chunk of another size":    post + "Transfer-Encoding: chunked\r\n\r\n13\r\n" + body + "\r\n0\r\n\r\n",
		"a chunk of an endless size": post + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n" + body + "\r\n0\r\n\r\n",
		"no host":                    "GET /version HTTP/1.1\r\n\r\n",
		"two hosts":                  "GET /version HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
		"a space in the path":        "GET /version /x HTTP/1.1\r\nHost: x\r\n\r\n",
		"a control in the path":      "GET /version\x01 HTTP/1.1\r\nHost: x\r\n\r\n",
		"another version":            "GET /version HTTP/1.2\r\nHost: x\r\n\r\n",
		"HTTP/2":                     "PRI * HTTP/2.0\r\nHost: x\r\n\r\nSM\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			got := api.raw(t, request+behind)
			if len(got) != 1 || got[0].status != 400 || got[0].header.Get("Content-Type") != "application/problem+json" {
				t.Fatalf("%d answers: %+v", len(got), got)
			}
			var p struct{ Code string }
			if err := json.Unmarshal([]byte(got[0].body), &p); err != nil || p.Code != "bad_request" {
				t.Errorf("%s: %v", got[0].body, err)
			}
		})
	}
	for name, request := range map[string]string{
		"a length":            post + "Content-Length: 20\r\n\r\n" + body,
		"chunks":              post + "Transfer-Encoding: chunked\r\n\r\n" + chunked,
		"chunks in capitals":  post + "TRANSFER-ENCODING: Chunked\r\n\r\n" + chunked,
		"chunks and trailers": post + "Transfer-Encoding: chunked\r\n\r\n" + strings.TrimSuffix(chunked, "\r\n") + "X-Sum: 1\r\n\r\n",
		"HTTP/1.0":            strings.Replace(post, "HTTP/1.1", "HTTP/1.0", 1) + "Content-Length: 20\r\nConnection: keep-alive\r\n\r\n" + body,
		"a tab in a header":   post + "X-A:\tb\tc\t\r\nContent-Length: 20\r\n\r\n" + body,
		"bytes of a header":   post + "X-A: \xc3\xa9\xff\r\nContent-Length: 20\r\n\r\n" + body,
	} {
		t.Run(name, func(t *testing.T) {
			if got := api.raw(t, request+behind); len(got) != 2 || got[0].status != 201 || got[1].status != 200 {
				t.Errorf("%d answers: %+v", len(got), got)
			}
		})
	}
	if r := api.do(t, "GET", tasks, "", nil); strings.Count(r.body, "smuggled") != 7 {
		t.Errorf("written: %s", r.body)
	}
}
