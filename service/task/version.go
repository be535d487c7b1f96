package task

import (
	"crypto/md5"
	"encoding/hex"
	"strconv"
)

// Version identifies one state of one task; to anybody else it is opaque. It is the time of
// the last write, which every write moves on by a microsecond at least, and beside it a
// digest of what clients may write, for writers that leave the time alone, such as somebody
// with psql. A database can compute it too.
type Version string

// digestSize is how many bytes of the MD5 a version has. They guard against accidents, not
// against attacks.
const digestSize = 8

// Version returns the version of the task as it is now.
func (t Task) Version() Version {
	digest := md5.Sum(append(strconv.AppendBool(make([]byte, 0, 64), t.Completed), t.Title...))
	text := strconv.AppendInt(make([]byte, 0, 32), t.UpdatedAt.UnixMicro(), 16)
	return Version(hex.AppendEncode(append(text, '-'), digest[:digestSize]))
}
