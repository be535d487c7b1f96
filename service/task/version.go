package task

import (
	"crypto/md5"
	"encoding/hex"
	"strconv"
	"strings"
	"time"
)

// Version tells the states of one task apart: every write moves its time on by a
// microsecond at least. Content is beside it for writers that do not, such as an
// older release that serves during a deployment.
type Version struct {
	UpdatedAt time.Time
	Content   string // see contentSize
}

// contentSize is how many hexadecimal digits of the MD5 of completed, as true or
// false, and title make Version.Content. It guards against accidents, not attacks,
// and a database can compute it.
const contentSize = 16

// Version of the task as it is now.
func (t Task) Version() Version {
	content := t.content()
	return Version{UpdatedAt: t.UpdatedAt, Content: string(content[:])}
}

// AppendVersion appends what the String of its Version is.
func (t Task) AppendVersion(b []byte) []byte {
	content := t.content()
	b = strconv.AppendInt(b, t.UpdatedAt.UnixMicro(), 16)
	return append(append(b, '-'), content[:]...)
}

func (t Task) content() (digits [contentSize]byte) {
	text := append(strconv.AppendBool(make([]byte, 0, 64), t.Completed), t.Title...)
	sum := md5.Sum(text)
	hex.Encode(digits[:], sum[:contentSize/2])
	return digits
}

// String is the text that [ParseVersion] reads.
func (v Version) String() string {
	return strconv.FormatInt(v.UpdatedAt.UnixMicro(), 16) + "-" + v.Content
}

// ParseVersion reads a version, or says that no task ever had it.
func ParseVersion(s string) (v Version, ok bool) {
	micros, content, _ := strings.Cut(s, "-")
	n, err := strconv.ParseInt(micros, 16, 64)
	if err != nil {
		return Version{}, false
	}
	if _, err := hex.DecodeString(content); err != nil {
		return Version{}, false
	}
	v = Version{UpdatedAt: time.UnixMicro(n).UTC(), Content: content}
	// The largest numbers are times that PostgreSQL cannot hold.
	return v, v.String() == s && len(content) == contentSize && v.UpdatedAt.Year() >= 1 && v.UpdatedAt.Year() <= 9999
}
