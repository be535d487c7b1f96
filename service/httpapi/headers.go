package httpapi

import (
	"bytes"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

// AnyOrigin in Settings.Origins stands for every web page.
const AnyOrigin = "*"

const (
	// apiPolicy is for answers that no browser has to show.
	apiPolicy = "default-src 'none'; frame-ancestors 'none'"
	// secureFor is how long a browser that came by TLS uses nothing else: a year.
	secureFor = 365 * 24 * time.Hour
	// preflightFor is how long a browser need not ask again; Chromium keeps it no longer.
	preflightFor = 2 * time.Hour
)

// What pages of other origins may send, and may read beside what they always may.
var (
	corsSent = strings.Join([]string{
		fiber.HeaderAuthorization, fiber.HeaderContentType, fiber.HeaderIfMatch, fiber.HeaderIfNoneMatch, "Idempotency-Key", fiber.HeaderXRequestID, "traceparent",
	}, ", ")
	corsRead = strings.Join([]string{
		fiber.HeaderAllow, fiber.HeaderETag, fiber.HeaderLink, fiber.HeaderLocation, headerRateLimit, headerRateLimitPolicy, fiber.HeaderRetryAfter,
		fiber.HeaderWWWAuthenticate, fiber.HeaderXRequestID,
	}, ", ")
)

// fixedHeaders are what every answer begins with, whatever the request.
func fixedHeaders(settings Settings) *fasthttp.ResponseHeader {
	fixed := new(fasthttp.ResponseHeader)
	fixed.Set(fiber.HeaderCacheControl, "no-store")
	if settings.SecurityHeaders {
		fixed.Set(fiber.HeaderXContentTypeOptions, "nosniff")
		fixed.Set(fiber.HeaderContentSecurityPolicy, apiPolicy)
		fixed.Set(fiber.HeaderReferrerPolicy, "no-referrer")
		// Pages of other origins read the API by CORS, and do not embed it as an image.
		fixed.Set(fiber.HeaderCrossOriginResourcePolicy, "same-origin")
	}
	switch {
	case slices.Contains(settings.Origins, AnyOrigin):
		fixed.Set(fiber.HeaderAccessControlAllowOrigin, AnyOrigin)
		fixed.Set(fiber.HeaderAccessControlExposeHeaders, corsRead)
	case len(settings.Origins) > 0: // also when the origin is none of them: Fetch, 3.2.5
		fixed.Set(fiber.HeaderVary, fiber.HeaderOrigin)
	}
	return fixed
}

// set is Fiber's, but for a name that is written as it is sent, which saves most of its time.
func set(c *fiber.Ctx, name string, value []byte) {
	c.Response().Header.SetCanonical([]byte(name), value)
}

// setHeaders sets what every answer has, whatever it is, and drops all others.
func (s *Server) setHeaders(c *fiber.Ctx) {
	h := &c.Response().Header
	s.fixed.CopyTo(h)
	if s.fromListedOrigin(c) {
		h.SetBytesV(fiber.HeaderAccessControlAllowOrigin, c.Request().Header.Peek(fiber.HeaderOrigin))
		h.Set(fiber.HeaderAccessControlExposeHeaders, corsRead)
	}
	if s.cfg.Settings.SecurityHeaders && s.cameByTLS(c) {
		h.Set(fiber.HeaderStrictTransportSecurity, strictTransport)
	}
}

var strictTransport = "max-age=" + strconv.FormatInt(seconds(secureFor), 10)

// fromListedOrigin says whether a page of one of the origins sends the request.
func (s *Server) fromListedOrigin(c *fiber.Ctx) bool {
	origin := c.Request().Header.Peek(fiber.HeaderOrigin)
	return len(origin) > 0 && slices.Contains(s.cfg.Settings.Origins, string(origin))
}

// cameByTLS says whether the client used TLS, as only our own proxy can tell. Without
// it, Strict-Transport-Security must not be sent: RFC 6797, 7.2.
func (s *Server) cameByTLS(c *fiber.Ctx) bool {
	if s.cfg.Settings.TrustedProxies == 0 {
		return false
	}
	return bytes.EqualFold(c.Request().Header.Peek(fiber.HeaderXForwardedProto), []byte("https"))
}

// preflight answers what a browser asks before a page of another origin uses a method
// of this path: Fetch, 3.2.2.
func (s *Server) preflight(c *fiber.Ctx, methods string) {
	c.Status(http.StatusNoContent)
	h := &c.Response().Header
	if len(h.Peek(fiber.HeaderAccessControlAllowOrigin)) == 0 || len(c.Request().Header.Peek(fiber.HeaderAccessControlRequestMethod)) == 0 {
		return
	}
	h.Set(fiber.HeaderAccessControlAllowMethods, methods)
	h.Set(fiber.HeaderAccessControlAllowHeaders, corsSent)
	h.Set(fiber.HeaderAccessControlMaxAge, preflightMaxAge)
}

var preflightMaxAge = strconv.FormatInt(seconds(preflightFor), 10)
