package credentials

import (
	"fmt"
	"io"
)

// Secret is text that must not be seen. Every way of printing it, fmt's verbs,
// JSON and slog, shows [REDACTED]; only a conversion to string reveals it.
type Secret string

const redacted = "[REDACTED]"

// Format implements [fmt.Formatter], which comes before every verb and flag.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText implements [encoding.TextMarshaler], which JSON and slog use.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
