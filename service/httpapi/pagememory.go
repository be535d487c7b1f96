package httpapi

import (
	"math"
	"net/http"
	"runtime/debug"

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

// hold reserves memory for a page of at most so many tasks, calls read, and keeps the size of
// the page reserved until the connection has sent it. Requests are admitted in the order in
// which they came, so that long pages are not overtaken for ever.
func (m pageMemory) hold(c *fiber.Ctx, tasks int, read func() (pageText, error)) (text pageText, err error) {
	conn, served := c.Context().Conn().(*conn)
	if served { // a client that pipelines has taken the page before
		conn.releasePage()
	}
	reserved := int64(tasks) * longestTask
	if err := m.free.Acquire(c.UserContext(), reserved); err != nil {
		p := newProblem(http.StatusServiceUnavailable, "the memory for lists is in use; try again in a moment")
		p.cause = err
		return nil, p
	}
	defer func() {
		kept := int64(0)
		if served {
			kept = min(int64(cap(text)), reserved)
			conn.page.Store(kept)
		}
		m.free.Release(reserved - kept)
	}()
	return read()
}

// releasePage gives back the memory of the connection's last page, which was written.
func (c *conn) releasePage() {
	if size := c.page.Swap(0); size > 0 {
		c.all.pages.free.Release(size)
	}
}
