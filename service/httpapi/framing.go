package httpapi

import (
	"bytes"
	"strings"

	"github.com/valyala/fasthttp"
)

// misframed says what makes a request one that two readers may understand differently,
// so that a proxy in front would see other requests on the connection than we do
// (RFC 9112, 11.2); it is empty for all others. fasthttp takes the last of several
// lengths, any coding for chunks, and joins what is folded; it has no option to refuse
// that, but keeps the lines as they were sent.
func misframed(h *fasthttp.RequestHeader) string {
	switch version := string(h.Protocol()); {
	case version != "HTTP/1.0" && (version != "HTTP/1.1" || !h.IsHTTP11()): // fasthttp makes 1.1 of an empty one
		return "the version must be HTTP/1.1 or HTTP/1.0"
	case !isToken(h.Method()):
		return "the method must be a token"
	case bytes.ContainsFunc(h.RequestURI(), notTag):
		return "the path must not have white space or control characters"
	}
	const malformed = "a header line must be name: value, without line breaks"
	raw := h.RawHeaders() // to the empty line
	if bytes.IndexByte(raw, 0) >= 0 {
		return malformed
	}
	var hosts, lengths, codings int
	for len(raw) > 0 {
		line, rest, _ := bytes.Cut(raw, []byte("\n"))
		line, raw = bytes.TrimSuffix(line, []byte("\r")), rest
		if len(line) == 0 {
			break
		}
		colon := bytes.IndexByte(line, ':')
		if colon < 0 || !isToken(line[:colon]) || bytes.IndexByte(line, '\r') >= 0 {
			return malformed
		}
		switch name, value := line[:colon], line[colon+1:]; {
		case is(name, "host"):
			hosts++
		case is(name, "content-length"):
			lengths++
		case is(name, "transfer-encoding"):
			codings++
			if !strings.EqualFold(trimOWS(string(value)), "chunked") {
				return "the header Transfer-Encoding must be chunked"
			}
		}
	}
	switch {
	case hosts != 1 && (hosts > 1 || h.IsHTTP11()):
		return "the header Host must be given once"
	case lengths+codings > 1:
		return "one header Content-Length or Transfer-Encoding must tell the length of the body"
	case codings > 0 && !h.IsHTTP11():
		return "HTTP/1.0 has no Transfer-Encoding"
	}
	return ""
}

func is(name []byte, lower string) bool {
	return len(name) == len(lower) && bytes.EqualFold(name, []byte(lower))
}

// isToken says whether a name is one of RFC 9110, 5.6.2.
func isToken(name []byte) bool {
	for _, b := range name {
		if !tokens[b] {
			return false
		}
	}
	return len(name) > 0
}

var tokens = func() (t [256]bool) {
	for _, b := range []byte("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") {
		t[b] = true
	}
	return t
}()
