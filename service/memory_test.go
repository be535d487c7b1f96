package main

import (
	"bufio"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	"example.com/todo/service/postgres/postgrestest"
	"github.com/jackc/pgx/v5"
)

// Clients that ask for the longest pages and do not read them must not fill the memory of the
// smallest instance, of which the runtime is told four fifths.
func TestPagesThatNobodyReadsAreBounded(t *testing.T) {
	t.Parallel()
	const (
		clients = 400
		most    = 256 << 20 // bytes, half of the smallest instance
	)
	dsn := postgrestest.Database(t)
	api, cmd := launch(t, env{envDatabaseURL: dsn, "GOMEMLIMIT": "410MiB"})
	path := api.create(t, "short", false)
	db := connect(t, dsn)
	db.exec(`INSERT INTO tasks SELECT gen_random_uuid(), repeat('𐍈', 496) || n, false, now(), now() FROM generate_series(1, 1000) AS n`)
	rows, err := db.conn.Query(t.Context(), "SELECT id::text FROM tasks ORDER BY id DESC LIMIT $1", clients)
	if err != nil {
		t.Fatal(err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	conns := make([]net.Conn, clients)
	for n, id := range ids { // a page each, so that none is shared
		cursor, err := hex.DecodeString("01" + strings.ReplaceAll(id, "-", ""))
		if err != nil {
			t.Fatal(err)
		}
		conns[n] = api.dial(t)
		defer conns[n].Close()
		if err := conns[n].(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fprintf(conns[n], "GET %s?limit=500&after=%s HTTP/1.1\r\nHost: x\r\n\r\n", tasks, base64.RawURLEncoding.EncodeToString(cursor)); err != nil {
			t.Fatal(err)
		}
	}
	pages := func() int { return strings.Count(api.log.String(), `"method":"GET","route":"`+tasks+`",`) }
	if !comesTrue(t, patience, func() bool { return pages() == clients }) {
		t.Fatalf("%d of %d clients were answered", pages(), clients)
	}
	if peak := peakMemory(t, cmd.Process.Pid); peak > most {
		t.Errorf("the service took %d MiB, want %d at most", peak>>20, most>>20)
	} else {
		t.Logf("the service took %d MiB", peak>>20)
	}
	if r := api.ask(t, "GET", path, ""); r.status != http.StatusOK {
		t.Errorf("a task beside them: %d %s", r.status, r.body)
	}
	served := 0
	for _, conn := range conns {
		r, err := http.ReadResponse(bufio.NewReader(conn), nil)
		switch {
		case err != nil: // it was given up for not reading
		case r.StatusCode == http.StatusOK:
			served++
		case r.StatusCode != http.StatusServiceUnavailable || r.Header.Get("Retry-After") == "":
			t.Errorf("%d %v", r.StatusCode, r.Header)
		}
		conn.Close()
	}
	if served == 0 {
		t.Error("nobody got a page")
	}
	// All of it is free again.
	for _, r := range api.crowd(t, 40, tasks+"?limit=500") {
		if r.status != http.StatusOK || len(r.body) < 500*2000 {
			t.Errorf("afterwards: %d, %d bytes", r.status, len(r.body))
		}
	}
}

func peakMemory(t *testing.T, pid int) int64 {
	t.Helper()
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		t.Skip("only Linux says how much memory a process took at most")
	}
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	line, _, _ := strings.Cut(after, "\n")
	kilobytes, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(line), " kB"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kilobytes << 10
}
