// Package ratelimit bounds how often each client address may ask, in memory that does
// not grow with the number of addresses.
package ratelimit

import (
	"encoding/binary"
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

// Limiter keeps a token bucket for each address: a burst at once, then so many a
// second. It may be used by many goroutines.
//
// A bucket is one instant, as in the generic cell rate algorithm (ITU-T I.371, annex A):
// the time at which it will be full again. One that lies in the past is as good as
// none, so that nothing ever has to be swept.
type Limiter struct {
	interval time.Duration // earns one request
	depth    time.Duration // earns the whole burst
	epoch    time.Time
	seed     maphash.Seed
	sets     func() []set
}

// An address is looked for in the one set that its hash names. When all slots of a set
// are taken, the address that has used the least of its burst makes room, which is one
// whose bucket is full again if there is any. So a new address is always served, and
// one that asks too much is remembered whatever the others do: to be forgotten, it
// would take more addresses than a limit for each of them holds back anyway.
type set struct {
	mu    sync.Mutex
	slots [ways]slot
}

type slot struct {
	key  uint64        // of the address
	full time.Duration // after the epoch: when its bucket is full again
}

const ways = 8

// Verdict says whether a request may pass, and how the address stands after it.
type Verdict struct {
	OK   bool
	Left int           // requests that may follow at once
	Wait time.Duration // until the next may pass; 0 when OK
	Full time.Duration // until the whole burst is there again
}

// New makes a limiter of rate requests a second after a burst, both at least 1, which
// tells about that many addresses apart, at 16 bytes for each.
func New(rate, burst, addresses int) *Limiter {
	interval := time.Second / time.Duration(rate)
	sets := max(1, addresses/ways)
	return &Limiter{
		interval: interval,
		depth:    interval * time.Duration(burst),
		epoch:    time.Now(),
		seed:     maphash.MakeSeed(), // nobody can choose addresses that meet in one set
		// Made for the first request, so that the start of the program has no garbage to collect.
		sets: sync.OnceValue(func() []set { return make([]set, sets) }),
	}
}

// Take counts a request of the client at that time, unless it refuses it.
func (l *Limiter) Take(client netip.Addr, at time.Time) Verdict {
	key, now := keyOf(client), at.Sub(l.epoch)
	sets := l.sets()
	s := &sets[maphash.Comparable(l.seed, key)%uint64(len(sets))]
	s.mu.Lock()
	defer s.mu.Unlock()
	bucket := s.find(key)
	full := max(bucket.full, now)
	v := Verdict{OK: full+l.interval-now <= l.depth}
	if v.OK {
		full += l.interval
		bucket.full = full
	} else {
		v.Wait = full + l.interval - now - l.depth
	}
	v.Full = full - now
	v.Left = int((l.depth - v.Full) / l.interval)
	return v
}

// find gives the address its slot, if need be that of another.
func (s *set) find(key uint64) *slot {
	least := &s.slots[0]
	for i := range s.slots {
		candidate := &s.slots[i]
		if candidate.key == key {
			return candidate
		}
		if candidate.full < least.full {
			least = candidate
		}
	}
	*least = slot{key: key}
	return least
}

// keyOf is the address of IPv4, and the first half of IPv6's: a subscriber has at least
// a /64 and may take any address in it for each request (RFC 6177, section 2).
func keyOf(a netip.Addr) uint64 {
	if a = a.Unmap(); a.Is4() {
		b := a.As4()
		const mapped = 0xffff << 32 // belongs to nobody as the first half of IPv6's
		return mapped | uint64(binary.BigEndian.Uint32(b[:]))
	}
	b := a.As16()
	return binary.BigEndian.Uint64(b[:8])
}
