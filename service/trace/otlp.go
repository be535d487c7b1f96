package trace

import (
	"encoding/binary"
	"iter"
	"slices"
	"strings"
)

// The messages of OTLP that an export takes, and their fields' numbers:
// https://github.com/open-telemetry/opentelemetry-proto/tree/v1.10.0/opentelemetry/proto
const (
	requestResourceSpans = 1 // ExportTraceServiceRequest

	resourceSpansResource   = 1
	resourceSpansScopeSpans = 2

	resourceAttributes = 1

	scopeSpansScope = 1
	scopeSpansSpans = 2

	scopeName = 1

	spanTraceID      = 1
	spanSpanID       = 2
	spanParentSpanID = 4
	spanName         = 5
	spanKind         = 6
	spanStartTime    = 7
	spanEndTime      = 8
	spanAttributes   = 9
	spanStatus       = 15
	spanFlags        = 16

	statusCode      = 3
	statusCodeError = 2 // a value of it

	keyValueKey   = 1
	keyValueValue = 2

	anyValueString = 1
	anyValueInt    = 3
)

// The bits of Span.flags.
const (
	flagSampled        = 0x001
	flagHasIsRemote    = 0x100
	flagParentIsRemote = 0x200
)

const (
	scope = "example.com/todo/service"
	// maxText bounds what a client's path or host takes in a span, in bytes.
	maxText = 256
)

// appendRequest appends an ExportTraceServiceRequest.
func appendRequest(b []byte, resource []Attribute, spans []*Span) []byte {
	return appendMessage(b, requestResourceSpans, func(b []byte) []byte {
		b = appendMessage(b, resourceSpansResource, func(b []byte) []byte {
			return appendAttributes(b, resourceAttributes, resource)
		})
		return appendMessage(b, resourceSpansScopeSpans, func(b []byte) []byte {
			b = appendMessage(b, scopeSpansScope, func(b []byte) []byte { return appendText(b, scopeName, scope) })
			for _, s := range spans {
				b = appendMessage(b, scopeSpansSpans, s.append)
			}
			return b
		})
	})
}

func (s *Span) append(b []byte) []byte {
	b = appendBytes(b, spanTraceID, s.traceID[:])
	b = appendBytes(b, spanSpanID, s.spanID[:])
	if s.parent != ([8]byte{}) {
		b = appendBytes(b, spanParentSpanID, s.parent[:])
	}
	b = appendText(b, spanName, s.name)
	b = appendNumber(b, spanKind, uint64(s.kind))
	b = appendFixed64(b, spanStartTime, uint64(s.start.UnixNano()))
	b = appendFixed64(b, spanEndTime, uint64(s.end.UnixNano()))
	b = appendAttributes(b, spanAttributes, s.attributes)
	if s.errorType != "" {
		b = appendAttributes(b, spanAttributes, []Attribute{String("error.type", s.errorType)})
		b = appendMessage(b, spanStatus, func(b []byte) []byte { return appendNumber(b, statusCode, statusCodeError) })
	}
	flags := uint32(flagSampled | flagHasIsRemote)
	if s.remote {
		flags |= flagParentIsRemote
	}
	return appendFixed32(b, spanFlags, flags)
}

func appendAttributes(b []byte, field int, attributes []Attribute) []byte {
	for _, a := range attributes {
		b = appendMessage(b, field, func(b []byte) []byte {
			b = appendText(b, keyValueKey, a.key)
			return appendMessage(b, keyValueValue, func(b []byte) []byte {
				if a.numeric {
					return appendNumber(b, anyValueInt, uint64(a.number))
				}
				return appendText(b, anyValueString, a.text)
			})
		})
	}
	return b
}

// The wire types of protobuf: https://protobuf.dev/programming-guides/encoding/#structure
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
	wireFixed32 = 5
)

func appendTag(b []byte, field, wire int) []byte {
	return binary.AppendUvarint(b, uint64(field<<3|wire))
}

func appendNumber(b []byte, field int, v uint64) []byte {
	return binary.AppendUvarint(appendTag(b, field, wireVarint), v)
}

func appendFixed64(b []byte, field int, v uint64) []byte {
	return binary.LittleEndian.AppendUint64(appendTag(b, field, wireFixed64), v)
}

func appendFixed32(b []byte, field int, v uint32) []byte {
	return binary.LittleEndian.AppendUint32(appendTag(b, field, wireFixed32), v)
}

func appendBytes(b []byte, field int, v []byte) []byte {
	b = binary.AppendUvarint(appendTag(b, field, wireBytes), uint64(len(v)))
	return append(b, v...)
}

// appendText has what protobuf takes for a string: other bytes would have a collector
// refuse the whole batch.
func appendText(b []byte, field int, v string) []byte {
	return appendBytes(b, field, []byte(strings.ToValidUTF8(v[:min(len(v), maxText)], "\uFFFD")))
}

// appendMessage appends what body appends, behind its length.
func appendMessage(b []byte, field int, body func([]byte) []byte) []byte {
	b = appendTag(b, field, wireBytes)
	start := len(b)
	b = body(b)
	var length [binary.MaxVarintLen64]byte
	n := binary.PutUvarint(length[:], uint64(len(b)-start))
	return slices.Insert(b, start, length[:n]...)
}

// rejected reads from an ExportTraceServiceResponse how many spans the collector
// refused, and why: partial_success = 1 of rejected_spans = 1 and error_message = 2.
func rejected(response []byte) (n int, reason string) {
	for field, v := range fields(response) {
		if field != 1 {
			continue
		}
		for field, v := range fields(v.bytes) {
			switch field {
			case 1:
				n = int(v.number)
			case 2:
				reason = string(v.bytes)
			}
		}
	}
	return n, reason
}

// value is of one field: bytes, or else a number.
type value struct {
	number uint64
	bytes  []byte
}

// fields gives the fields of a message up to where it is malformed.
func fields(b []byte) iter.Seq2[int, value] {
	return func(yield func(int, value) bool) {
		for len(b) > 0 {
			tag, n := binary.Uvarint(b)
			if n <= 0 {
				return
			}
			b = b[n:]
			var v value
			switch tag & 7 {
			case wireVarint, wireBytes:
				if v.number, n = binary.Uvarint(b); n <= 0 {
					return
				}
				b = b[n:]
				if tag&7 == wireBytes {
					if v.number > uint64(len(b)) {
						return
					}
					v.bytes, b = b[:v.number], b[v.number:]
				}
			default:
				return
			}
			if !yield(int(tag>>3), v) {
				return
			}
		}
	}
}
