package main

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"example.com/todo/service/postgres/postgrestest"
)

func TestBodyLimit(t *testing.T) {
	for _, tc := range []struct {
		set   string
		limit int
	}{{"", 65536}, {"2048", 2048}, {"1048576", 1048576}} {
		t.Run(tc.set, func(t *testing.T) {
			api := serve(t, env{envDatabaseURL: postgrestest.Database(t), envBodyLimit: tc.set})
			body := func(size int) string { return `{"title":"x"}` + strings.Repeat(" ", size-len(`{"title":"x"}`)) }
			if r := api.do(t, "POST", tasks, body(tc.limit), nil); r.status != 201 {
				t.Errorf("%d bytes: %d %s", tc.limit, r.status, r.body)
			}
			for _, size := range []int{tc.limit + 1, 7 << 20} {
				for name, send := range map[string]string{
					"with a length": fmt.Sprintf("Content-Length: %d\r\n\r\n%s", size, body(size)),
					"in chunks":     fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", size, body(size)),
				} {
					got := api.raw(t, "POST "+tasks+" HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"+send)
					if len(got) != 1 || got[0].status != 413 || got[0].json(t)["code"] != "body_too_large" || got[0].json(t)["detail"] != fmt.Sprintf("the body may have at most %d bytes", tc.limit) {
						t.Errorf("%d bytes %s: %+v", size, name, got)
					}
				}
			}
		})
	}
}

// A connection that is one too many is told so, and finds its place when there is one.
func TestMaxConnections(t *testing.T) {
	api := serve(t, env{envDatabaseURL: postgrestest.Database(t), envMaxConnections: "3"})
	const request = "GET /version HTTP/1.1\r\nHost: x\r\n\r\n"
	held := []net.Conn{}
	for range 3 {
		held = append(held, api.dial(t))
	}
	for _, send := range []string{request, "POST " + tasks + " HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("x", 100_000)} {
		got := api.raw(t, send)
		if len(got) != 1 || got[0].status != 503 || got[0].json(t)["code"] != "unavailable" || got[0].header.Get("Retry-After") == "" {
			t.Errorf("one too many: %+v", got)
			continue
		}
		if id := got[0].header.Get("X-Request-Id"); id == "" || len(api.log.with(t, "request_id", id)) != 1 {
			t.Errorf("request %q is not in the log", id)
		}
	}
	crowd := make([]net.Conn, 0, 300)
	for range cap(crowd) {
		crowd = append(crowd, api.dial(t))
	}
	for _, conn := range crowd {
		conn.Close()
	}
	held[0].Close()
	api.await(t, "/version", func(r response) bool { return r.status == 200 })
}

func TestPipelining(t *testing.T) {
	api := serve(t, env{envDatabaseURL: postgrestest.Database(t)})
	const many = 200
	var all strings.Builder
	for n := range many {
		body := fmt.Sprintf(`{"title":"task %d"}`, n)
		switch n % 4 {
		case 0:
			fmt.Fprintf(&all, "POST %s HTTP/1.1\r\nHost: x\r\nX-Request-Id: %d\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", tasks, n, len(body), body)
		case 1:
			fmt.Fprintf(&all, "GET %s?limit=1 HTTP/1.1\r\nHost: x\r\nX-Request-Id: %d\r\n\r\n", tasks, n)
		case 2:
			fmt.Fprintf(&all, "DELETE %s/x HTTP/1.1\r\nHost: x\r\nX-Request-Id: %d\r\n\r\n", tasks, n)
		case 3:
			fmt.Fprintf(&all, "GET /version HTTP/1.1\r\nHost: x\r\nX-Request-Id: %d\r\n\r\n", n)
		}
	}
	got := api.raw(t, strings.TrimSuffix(all.String(), "\r\n")+"Connection: close\r\n\r\n")
	if len(got) != many {
		t.Fatalf("%d answers to %d requests", len(got), many)
	}
	for n, r := range got {
		if want := []int{201, 200, 400, 200}[n%4]; r.status != want || r.header.Get("X-Request-Id") != fmt.Sprint(n) {
			t.Errorf("answer %d: %d of request %s", n, r.status, r.header.Get("X-Request-Id"))
		}
		if n%4 == 1 && !strings.Contains(r.body, fmt.Sprintf("task %d", n-1)) {
			t.Errorf("answer %d does not have what was written before: %s", n, r.body)
		}
	}
}

func TestDeepJSON(t *testing.T) {
	api := serve(t, env{envDatabaseURL: postgrestest.Database(t)})
	const depth = 30_000
	for name, body := range map[string]string{
		"arrays that open":     strings.Repeat("[", 60_000),
		"arrays":               `{"title":` + strings.Repeat("[", depth) + strings.Repeat("]", depth) + `}`,
		"objects":              strings.Repeat(`{"a":`, 10_000) + "1" + strings.Repeat("}", 10_000),
		"arrays for nobody":    `{"title":"x","more":` + strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000) + `}`,
		"more than anybody":    `{` + strings.Repeat(`"a":1,`, 10_000) + `"title":"x"}`,
		"a name without end":   `{"` + strings.Repeat("<", 60_000) + `":1}`,
		"names without end":    `{"title":"x"` + names(6_000) + `}`,
		"a number without end": `{"title":` + strings.Repeat("9", 60_000) + `}`,
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		r, err := api.try(ctx, "POST", tasks, body, nil)
		if err != nil || r.status != 400 || len(r.body) > 16<<10 {
			t.Errorf("%s: %d, %d bytes: %.300s, %v", name, r.status, len(r.body), r.body, err)
		}
	}
	if r := api.do(t, "GET", tasks, "", nil); r.body != "[]" {
		t.Errorf("written: %s", r.body)
	}
}

func names(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"%x":1`, i)
	}
	return b.String()
}

func TestMultipartIsAMediaTypeLikeOthers(t *testing.T) {
	api := serve(t, env{envDatabaseURL: postgrestest.Database(t)})
	for _, body := range []string{"rubbish", "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--b--\r\n"} {
		if r := api.do(t, "POST", tasks, body, header{"Content-Type": "multipart/form-data; boundary=b"}); r.status != 415 {
			t.Errorf("%d %s", r.status, r.body)
		}
	}
}
