package httpapi

import (
	"context"
	"math"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/gofiber/fiber/v2"
	"golang.org/x/sync/semaphore"
)

const (
	// usualMemory is assumed when GOMEMLIMIT is not set.
	usualMemory = 512 << 20
	// One part in pageDivisor of the memory is for pages. As much again is garbage at the
	// worst, and the rest is for connections, bodies and the program.
	pageDivisor = 4
	// longestTask is a title of 500 characters of four bytes and all else of a task, once as
	// it was read and once as it is sent.
	longestTask = 4 << 10
	// leastPageMemory lets one page of the most tasks be made.
	leastPageMemory = (maxLimit + 1) * longestTask
	// unreadTime is how long a client may leave a page unread while others wait for memory.
	unreadTime = time.Second
)

// pageMemory bounds the memory of pages, from before their tasks are read until the clients
// have taken them: a page is up to a megabyte, and a client may take none of it.
type pageMemory struct {
	all  int64 // bytes
	free *semaphore.Weighted
}

// newPageMemory takes its share of the memory that GOMEMLIMIT gives the process.
func newPageMemory() pageMemory {
	limit := debug.SetMemoryLimit(-1) // which only asks
	if limit == math.MaxInt64 {
		limit = usualMemory
	}
	all := max(limit/pageDivisor, leastPageMemory)
	return pageMemory{all, semaphore.NewWeighted(all)}
}

// page reserves memory for a page of at most so many tasks, calls read, and keeps the size of
// the page reserved until the connection has sent it.
func (cs *connections) page(c *fiber.Ctx, tasks int, read func() (pageText, error)) (text pageText, err error) {
	conn, served := c.Context().Conn().(*conn)
	if served { // a client that pipelines has taken the page before
		conn.releasePage()
	}
	reserved := int64(tasks) * longestTask
	if err := cs.reserve(c.UserContext(), reserved); err != nil {
		p := newProblem(http.StatusServiceUnavailable, "the memory for lists is in use; try again in a moment")
		p.cause = err
		return nil, p
	}
	defer func() {
		kept := int64(0)
		if served {
			kept = min(int64(cap(text)), reserved)
			conn.pageSince.Store(time.Now().UnixNano())
			conn.pageSize.Store(kept)
		}
		cs.pages.free.Release(reserved - kept)
	}()
	return read()
}

// reserve waits for memory while ctx lasts. What it waits for is closed: the connection whose
// client has left its page unread for longest, or else a few that do not read would take the
// lists from everybody.
func (cs *connections) reserve(ctx context.Context, size int64) error {
	for !cs.pages.free.TryAcquire(size) {
		cs.closeUnread(time.Now().Add(-unreadTime))
		attempt, cancel := context.WithTimeout(ctx, unreadTime)
		err := cs.pages.free.Acquire(attempt, size)
		cancel()
		if err == nil || ctx.Err() != nil {
			return err
		}
	}
	return nil
}

// closeUnread closes the connection that has held its page for longest, if it was written
// before that time.
func (cs *connections) closeUnread(before time.Time) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	var longest *conn
	for c := range cs.open {
		if c.pageSize.Load() > 0 && (longest == nil || c.pageSince.Load() < longest.pageSince.Load()) {
			longest = c
		}
	}
	if longest != nil && longest.pageSince.Load() < before.UnixNano() {
		_ = longest.Conn.Close() // which ends the write, and with it the connection
	}
}

// releasePage gives back the memory of the connection's last page, which was written.
func (c *conn) releasePage() {
	if size := c.pageSize.Swap(0); size > 0 {
		c.all.pages.free.Release(size)
	}
}
