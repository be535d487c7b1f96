package trace

import (
	"context"
	"strings"
)

// The headers in which a caller names its trace.
const (
	HeaderTraceParent = "Traceparent"
	HeaderAmazon      = "X-Amzn-Trace-Id"
)

// Extract gives a context whose trace is the caller's, as its headers say: W3C's
// traceparent, else Amazon's X-Amzn-Trace-Id. What is malformed counts as absent.
// Neither tracestate nor baggage is kept, since there is nobody to pass them on to.
func Extract(ctx context.Context, traceparent, amazon string) context.Context {
	if traceparent == "" && amazon == "" {
		return ctx
	}
	p, ok := parseTraceParent(traceparent)
	if !ok {
		p, ok = parseAmazon(amazon)
	}
	if !ok {
		return ctx
	}
	return context.WithValue(ctx, contextKey{}, &Span{place: p})
}

// parseTraceParent reads 00-<trace id>-<span id>-<flags>, and of a later version the
// part that is the same: https://www.w3.org/TR/trace-context/#traceparent-header
func parseTraceParent(s string) (p place, ok bool) {
	const length = 55
	if len(s) < length || s[2] != '-' || s[35] != '-' || s[52] != '-' {
		return place{}, false
	}
	var version, flags [1]byte
	if !unhex(version[:], s[:2]) || !unhex(flags[:], s[53:55]) || !unhex(p.traceID[:], s[3:35]) || !unhex(p.spanID[:], s[36:52]) {
		return place{}, false
	}
	later := len(s) > length
	switch {
	case version[0] == 0xff, version[0] == 0 && later, later && s[length] != '-', p.traceID == [16]byte{}, p.spanID == [8]byte{}:
		return place{}, false
	}
	p.sampled = leave
	if flags[0]&1 != 0 {
		p.sampled = keep
	}
	return p, true
}

// parseAmazon reads Root=1-<8 hex>-<24 hex>;Parent=<16 hex>;Sampled=<0 or 1>, of which
// a load balancer sends Root alone:
// https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader
func parseAmazon(s string) (p place, ok bool) {
	for field := range strings.SplitSeq(s, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		switch name {
		case "Root":
			if len(value) != 35 || value[:2] != "1-" || value[10] != '-' ||
				!unhex(p.traceID[:4], value[2:10]) || !unhex(p.traceID[4:], value[11:]) {
				return place{}, false
			}
		case "Parent":
			if !unhex(p.spanID[:], value) {
				return place{}, false
			}
		case "Sampled":
			switch value {
			case "0":
				p.sampled = leave
			case "1":
				p.sampled = keep
			}
		}
	}
	return p, p.traceID != [16]byte{}
}

// unhex fills dst from lower-case hexadecimal, the only case that W3C allows.
func unhex(dst []byte, s string) bool {
	if len(s) != 2*len(dst) {
		return false
	}
	for i := range dst {
		high, low := digit(s[2*i]), digit(s[2*i+1])
		if high > 15 || low > 15 {
			return false
		}
		dst[i] = high<<4 | low
	}
	return true
}

func digit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	}
	return 255
}
