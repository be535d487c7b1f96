package task

// Once names a request to make a task, so that repeating it makes no other. The zero
// value names none.
type Once struct {
	Key         string
	Fingerprint [32]byte // of what is asked for; the same key is for the same only
}
