// Command fasthttppgx is the second service to measure against, the practical limit of one statement per request:
// the routes of the benchmark on fasthttp and pgx without an ORM. Statements are prepared once per connection (pgx's
// default), pgx scans its binary format, titles are not copied, JSON is appended by hand to buffers that stay. It has no
// access log, no request ids, no deadlines, no metrics.
//
// DATABASE_URL, DATABASE_MAX_CONNS and PORT configure it.
package main

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/valyala/fasthttp"
)

const (
	tasksPath = "/api/v1/tasks"

	columns   = "id, title, completed, created_at, updated_at"
	listSQL   = "SELECT " + columns + " FROM tasks ORDER BY id DESC LIMIT $1"
	pageSQL   = "SELECT " + columns + " FROM tasks WHERE id < $2 ORDER BY id DESC LIMIT $1"
	getSQL    = "SELECT " + columns + " FROM tasks WHERE id = $1"
	createSQL = "INSERT INTO tasks (" + columns + ") VALUES ($1, $2, $3, $4, $4)"
	updateSQL = "UPDATE tasks SET title = $2, completed = $3, updated_at = $4 WHERE id = $1 RETURNING " + columns
)

func main() {
	config, err := pgxpool.ParseConfig(os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	bound, err := strconv.ParseInt(os.Getenv("DATABASE_MAX_CONNS"), 10, 32)
	if err != nil {
		log.Fatal(err)
	}
	config.MaxConns = int32(bound)
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		log.Fatal(err)
	}
	uuid.EnableRandPool()
	s := &fasthttp.Server{Handler: api{pool}.handle, NoDefaultServerHeader: true}
	log.Fatal(s.ListenAndServe(net.JoinHostPort("127.0.0.1", os.Getenv("PORT"))))
}

// buffers are for answers under construction.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

type api struct{ pool *pgxpool.Pool }

// handle routes by hand.
func (a api) handle(c *fasthttp.RequestCtx) {
	path := string(c.Path())
	id, one := strings.CutPrefix(path, tasksPath+"/")
	switch {
	case path == "/" && c.IsGet():
		c.SetBodyString("OK")
	case path == tasksPath && c.IsGet():
		a.list(c)
	case path == tasksPath && c.IsPost():
		a.create(c)
	case one && c.IsGet():
		a.get(c, id)
	case one && c.IsPut():
		a.update(c, id)
	default:
		refuse(c, fasthttp.StatusNotFound, "no such page")
	}
}

func (a api) list(c *fasthttp.RequestCtx) {
	limit := 100
	if given := c.QueryArgs().Peek("limit"); given != nil {
		var err error
		if limit, err = strconv.Atoi(string(given)); err != nil || limit < 1 || limit > 500 {
			refuse(c, fasthttp.StatusBadRequest, "limit must be from 1 to 500")
			return
		}
	}
	sql, args := listSQL, []any{limit}
	if cursor := c.QueryArgs().Peek("after"); cursor != nil {
		id, ok := checkedCursor(c, cursor)
		if !ok {
			return
		}
		sql, args = pageSQL, append(args, id)
	}
	rows, err := a.pool.Query(context.Background(), sql, args...)
	if err != nil {
		fail(c, err)
		return
	}
	defer rows.Close()
	buffer := buffers.Get().(*[]byte)
	defer buffers.Put(buffer)
	answer := append((*buffer)[:0], '[')
	for first := true; rows.Next(); first = false {
		if !first {
			answer = append(answer, ',')
		}
		if answer, err = appendTask(answer, rows); err != nil {
			fail(c, err)
			return
		}
	}
	if err := rows.Err(); err != nil {
		fail(c, err)
		return
	}
	*buffer = append(answer, ']')
	send(c, fasthttp.StatusOK, *buffer)
}

func (a api) create(c *fasthttp.RequestCtx) {
	var body struct {
		Title     string `json:"title"`
		Completed bool   `json:"completed"`
	}
	if err := json.Unmarshal(c.PostBody(), &body); err != nil {
		refuse(c, fasthttp.StatusBadRequest, err.Error())
		return
	}
	title, ok := checkedTitle(c, body.Title)
	if !ok {
		return
	}
	id, err := uuid.NewV7()
	if err != nil {
		fail(c, err)
		return
	}
	now := instant()
	if _, err := a.pool.Exec(context.Background(), createSQL, pgtype.UUID{Bytes: id, Valid: true}, title, body.Completed, now); err != nil {
		fail(c, err)
		return
	}
	c.Response.Header.Set("Location", tasksPath+"/"+id.String())
	buffer := buffers.Get().(*[]byte)
	defer buffers.Put(buffer)
	*buffer = appendJSON((*buffer)[:0], id, []byte(title), body.Completed, now, now)
	send(c, fasthttp.StatusCreated, *buffer)
}

func (a api) get(c *fasthttp.RequestCtx, given string) {
	if id, ok := checkedID(c, given); ok {
		a.one(c, getSQL, id)
	}
}

func (a api) update(c *fasthttp.RequestCtx, given string) {
	id, ok := checkedID(c, given)
	if !ok {
		return
	}
	var body struct {
		Title     string `json:"title"`
		Completed *bool  `json:"completed"`
	}
	if err := json.Unmarshal(c.PostBody(), &body); err != nil {
		refuse(c, fasthttp.StatusBadRequest, err.Error())
		return
	}
	title, ok := checkedTitle(c, body.Title)
	if !ok {
		return
	}
	if body.Completed == nil {
		refuse(c, fasthttp.StatusBadRequest, "completed is required")
		return
	}
	a.one(c, updateSQL, id, title, *body.Completed, instant())
}

// one answers with the row that a statement gives.
func (a api) one(c *fasthttp.RequestCtx, sql string, args ...any) {
	rows, err := a.pool.Query(context.Background(), sql, args...)
	if err != nil {
		fail(c, err)
		return
	}
	defer rows.Close()
	if !rows.Next() {
		err := rows.Err()
		if err == nil {
			err = pgx.ErrNoRows
		}
		fail(c, err)
		return
	}
	buffer := buffers.Get().(*[]byte)
	defer buffers.Put(buffer)
	*buffer, err = appendTask((*buffer)[:0], rows)
	rows.Close() // gives the connection back before the answer is sent
	if err := errors.Join(err, rows.Err()); err != nil {
		fail(c, err)
		return
	}
	send(c, fasthttp.StatusOK, *buffer)
}

// appendTask appends the row as JSON. The title is not copied: it is valid until the next row.
func appendTask(dst []byte, rows pgx.Rows) ([]byte, error) {
	var (
		id               pgtype.UUID
		title            pgtype.DriverBytes
		completed        bool
		created, updated time.Time
	)
	if err := rows.Scan(&id, &title, &completed, &created, &updated); err != nil {
		return dst, err
	}
	return appendJSON(dst, id.Bytes, title, completed, created.UTC(), updated.UTC()), nil
}

func appendJSON(dst []byte, id uuid.UUID, title []byte, completed bool, created, updated time.Time) []byte {
	var hexadecimal [36]byte
	hex.Encode(hexadecimal[:8], id[:4])
	hex.Encode(hexadecimal[9:13], id[4:6])
	hex.Encode(hexadecimal[14:18], id[6:8])
	hex.Encode(hexadecimal[19:23], id[8:10])
	hex.Encode(hexadecimal[24:], id[10:])
	hexadecimal[8], hexadecimal[13], hexadecimal[18], hexadecimal[23] = '-', '-', '-', '-'
	dst = append(dst, `{"id":"`...)
	dst = append(dst, hexadecimal[:]...)
	dst = append(dst, `","title":`...)
	dst = appendString(dst, title)
	dst = append(dst, `,"completed":`...)
	dst = strconv.AppendBool(dst, completed)
	dst = append(dst, `,"created_at":"`...)
	dst = created.AppendFormat(dst, time.RFC3339Nano)
	dst = append(dst, `","updated_at":"`...)
	dst = updated.AppendFormat(dst, time.RFC3339Nano)
	return append(dst, `"}`...)
}

// appendString leaves to encoding/json what needs an escape.
func appendString(dst, s []byte) []byte {
	for _, b := range s {
		if b < ' ' || b == '"' || b == '\\' {
			quoted, _ := json.Marshal(string(s)) // a string can always be marshalled
			return append(dst, quoted...)
		}
	}
	dst = append(dst, '"')
	dst = append(dst, s...)
	return append(dst, '"')
}

func checkedID(c *fasthttp.RequestCtx, given string) (id pgtype.UUID, ok bool) {
	parsed, err := uuid.Parse(given)
	if err != nil {
		refuse(c, fasthttp.StatusBadRequest, "id must be a UUID")
	}
	return pgtype.UUID{Bytes: parsed, Valid: true}, err == nil
}

// checkedCursor is the task that a cursor names, as the service writes cursors: a version and the id.
func checkedCursor(c *fasthttp.RequestCtx, given []byte) (id pgtype.UUID, ok bool) {
	var raw [17]byte
	if len(given) == base64.RawURLEncoding.EncodedLen(len(raw)) {
		_, err := base64.RawURLEncoding.Decode(raw[:], given)
		ok = err == nil && raw[0] == 1
	}
	if !ok {
		refuse(c, fasthttp.StatusBadRequest, "after must be a cursor")
	}
	return pgtype.UUID{Bytes: [16]byte(raw[1:]), Valid: true}, ok
}

func checkedTitle(c *fasthttp.RequestCtx, given string) (title string, ok bool) {
	title = strings.TrimSpace(given)
	if n := utf8.RuneCountInString(title); n < 1 || n > 500 {
		refuse(c, fasthttp.StatusBadRequest, "title must have 1 to 500 characters")
		return "", false
	}
	return title, true
}

func instant() time.Time { return time.Now().UTC().Truncate(time.Microsecond) } // what PostgreSQL keeps

func send(c *fasthttp.RequestCtx, status int, body []byte) {
	c.SetStatusCode(status)
	c.SetContentType("application/json")
	c.SetBody(body)
}

func fail(c *fasthttp.RequestCtx, err error) {
	if errors.Is(err, pgx.ErrNoRows) {
		refuse(c, fasthttp.StatusNotFound, "no such task")
		return
	}
	log.Print(err)
	refuse(c, fasthttp.StatusInternalServerError, "internal error")
}

func refuse(c *fasthttp.RequestCtx, status int, why string) {
	body, _ := json.Marshal(map[string]string{"error": why}) // a string can always be marshalled
	send(c, status, body)
}
