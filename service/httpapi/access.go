package httpapi

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/utils"
	"github.com/valyala/fasthttp"
)

// Keys decides about API keys.
type Keys interface {
	// Check says whether the key opens the API. Its error says that this cannot be told
	// now, and the client is asked to come again.
	Check(ctx context.Context, key string) (ok bool, err error)
}

const (
	guardedPrefix = "/api/"

	// burstSeconds of its rate is what a client address may send at once: a page that
	// loads, or a script that begins.
	burstSeconds = 10
	// rememberedClients is what the limiter tells apart, at 16 bytes each.
	rememberedClients = 1 << 16

	headerRateLimit       = "RateLimit"
	headerRateLimitPolicy = "RateLimit-Policy"

	challenge      = `Bearer realm="todo"` // RFC 6750, section 3
	challengeAgain = challenge + `, error="invalid_token"`
)

func guarded(path string) bool { return strings.HasPrefix(path, guardedPrefix) }

// admit lets to the API whoever does not ask too often and has a key, if one is needed.
// OPTIONS is open: a browser sends its preflight without a key (Fetch, 3.2.2), and the
// answer is nothing but a few headers.
func (s *Server) admit(c *fiber.Ctx) error {
	if !guarded(c.Path()) || c.Method() == http.MethodOptions {
		return c.Next()
	}
	if s.limiter != nil {
		if err := s.limit(c); err != nil {
			return err
		}
	}
	if s.cfg.Keys != nil {
		if err := s.authenticate(c); err != nil {
			return err
		}
	}
	return c.Next()
}

// limit counts the request, and tells the client in every answer how it stands:
// draft-ietf-httpapi-ratelimit-headers-10.
func (s *Server) limit(c *fiber.Ctx) error {
	v := s.limiter.Take(s.clientOf(c.Context()), time.Now())
	line := append(make([]byte, 0, 48), `"default";r=`...)
	line = strconv.AppendInt(line, int64(v.Left), 10)
	line = append(line, ";t="...)
	line = strconv.AppendInt(line, seconds(v.Full), 10)
	set(c, headerRateLimit, line)
	set(c, headerRateLimitPolicy, s.ratePolicy)
	if v.OK {
		return nil
	}
	p := newProblem(http.StatusTooManyRequests, "there are too many requests from this address")
	p.retryAfter = seconds(v.Wait)
	return p
}

// seconds rounds up, so that who waits them has waited enough.
func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

// clientOf is the address that the outermost of our own proxies has seen: each appends
// the one that it serves to X-Forwarded-For, and what a client writes there comes first.
// Without proxies, or without a sound header, it is the peer.
func (s *Server) clientOf(c *fasthttp.RequestCtx) netip.Addr {
	if address, ok := forwardedFor(&c.Request.Header, s.cfg.Settings.TrustedProxies); ok {
		return address
	}
	if peer, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		return peer.AddrPort().Addr()
	}
	return netip.Addr{}
}

// forwardedFor is the nth address from the right.
func forwardedFor(h *fasthttp.RequestHeader, n int) (netip.Addr, bool) {
	if n == 0 {
		return netip.Addr{}, false
	}
	lines := h.PeekAll(fiber.HeaderXForwardedFor)
	for i := len(lines) - 1; i >= 0; i-- {
		for rest, more := lines[i], true; more; n-- {
			var last []byte
			comma := bytes.LastIndexByte(rest, ',')
			last, more = rest[comma+1:], comma >= 0
			rest = rest[:max(comma, 0)]
			if n == 1 {
				address, err := netip.ParseAddr(utils.UnsafeString(bytes.TrimSpace(last))) // keeps nothing of it
				return address, err == nil
			}
		}
	}
	return netip.Addr{}, false
}

func (s *Server) authenticate(c *fiber.Ctx) error {
	key := bearer(c.Request().Header.PeekAll(fiber.HeaderAuthorization))
	if key == "" {
		return unauthorized(challenge, "the header Authorization must be Bearer and an API key")
	}
	ok, err := s.cfg.Keys.Check(c.UserContext(), key)
	if err != nil {
		p := newProblem(http.StatusServiceUnavailable, "API keys cannot be checked now")
		p.cause = err
		return p
	}
	if !ok {
		return unauthorized(challengeAgain, "the API key in the header Authorization is not valid")
	}
	return nil
}

func unauthorized(challenge, detail string) *problem {
	p := newProblem(http.StatusUnauthorized, detail)
	p.challenge = challenge
	return p
}

// bearer is the token in the one line of Authorization, empty when there is none.
func bearer(lines [][]byte) string {
	const scheme = "bearer "
	if len(lines) != 1 || len(lines[0]) < len(scheme) || !strings.EqualFold(string(lines[0][:len(scheme)]), scheme) {
		return ""
	}
	return trimOWS(string(lines[0][len(scheme):]))
}
