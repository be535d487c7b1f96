package task

import (
	"crypto/rand"
	"database/sql/driver"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"sync/atomic"
	"time"
)

// ID is a version 7 UUID (RFC 9562): it sorts by the time it was made, so the
// primary key is also the order of a list.
type ID [16]byte

// lastTick is the newest timestamp given out by this process, in units of
// 1/4096 ms. It is process-wide because the order of ids is.
var lastTick atomic.Int64

// NewID makes an ID for the given time. Ids made one after another by one process
// ascend, also within a millisecond and when the clock steps back: the 12 bits
// after the milliseconds carry the fraction of the millisecond (RFC 9562, 6.2,
// method 3), and a tick that is not new is moved just past the last one.
func NewID(now time.Time) ID {
	const perMilli, nanosPerMilli = 4096, int64(time.Millisecond)
	tick := now.UnixMilli()*perMilli + int64(now.Nanosecond())%nanosPerMilli*perMilli/nanosPerMilli
	for {
		last := lastTick.Load()
		if tick <= last {
			tick = last + 1
		}
		if lastTick.CompareAndSwap(last, tick) {
			break
		}
	}
	var id ID
	rand.Read(id[8:]) // never fails: crypto/rand ends the program rather than return an error
	binary.BigEndian.PutUint64(id[:8], uint64(tick/perMilli)<<16|0x7000|uint64(tick%perMilli))
	id[8] = id[8]&0x3f | 0x80
	return id
}

// ParseID reads the canonical form, 36 characters with hyphens, in either case.
// Any UUID is accepted, whatever its version. The error is an [*InvalidError].
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return ID{}, malformedID()
	}
	digits := append(make([]byte, 0, 2*len(id)), s[:8]...)
	for _, part := range [...]string{s[9:13], s[14:18], s[19:23], s[24:]} {
		digits = append(digits, part...)
	}
	if _, err := hex.Decode(id[:], digits); err != nil {
		return ID{}, malformedID()
	}
	return id, nil
}

func malformedID() error {
	return Invalid("id", "must be a UUID such as 01890a5d-ac96-774b-bcce-b302099a8057")
}

// String is the canonical form in lower case.
func (id ID) String() string {
	text := id.text()
	return string(text[:])
}

// AppendText implements [encoding.TextAppender] with the canonical form, and never fails.
func (id ID) AppendText(b []byte) ([]byte, error) {
	text := id.text()
	return append(b, text[:]...), nil
}

// MarshalText implements [encoding.TextMarshaler] with the canonical form, and never fails.
func (id ID) MarshalText() ([]byte, error) { return id.AppendText(nil) }

func (id ID) text() (b [36]byte) {
	hex.Encode(b[:8], id[:4])
	hex.Encode(b[9:13], id[4:6])
	hex.Encode(b[14:18], id[6:8])
	hex.Encode(b[19:23], id[8:10])
	hex.Encode(b[24:], id[10:])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	return b
}

// UnmarshalText implements [encoding.TextUnmarshaler] for the canonical form.
func (id *ID) UnmarshalText(text []byte) (err error) {
	*id, err = ParseID(string(text))
	return err
}

// Scan implements [database/sql.Scanner] for the canonical form.
func (id *ID) Scan(value any) (err error) {
	text, ok := value.(string)
	if !ok {
		return fmt.Errorf("read a task's id: %T is not its text", value)
	}
	*id, err = ParseID(text)
	return err
}

// Value implements [driver.Valuer] with the canonical form.
func (id ID) Value() (driver.Value, error) { return id.String(), nil }
