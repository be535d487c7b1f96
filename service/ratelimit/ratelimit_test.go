package ratelimit_test

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.com/todo/service/ratelimit"
	"github.com/google/go-cmp/cmp"
)

var (
	start  = time.Now().Add(time.Minute) // after any limiter's own beginning
	client = netip.MustParseAddr("203.0.113.7")
)

func TestABurstThenTheRate(t *testing.T) {
	l := ratelimit.New(10, 3, 64)
	for _, step := range []struct {
		after time.Duration
		want  ratelimit.Verdict
	}{
		{0, ratelimit.Verdict{OK: true, Left: 2, Full: 100 * time.Millisecond}},
		{0, ratelimit.Verdict{OK: true, Left: 1, Full: 200 * time.Millisecond}},
		{0, ratelimit.Verdict{OK: true, Left: 0, Full: 300 * time.Millisecond}},
		{0, ratelimit.Verdict{Left: 0, Wait: 100 * time.Millisecond, Full: 300 * time.Millisecond}},
		{0, ratelimit.Verdict{Left: 0, Wait: 100 * time.Millisecond, Full: 300 * time.Millisecond}}, // a refusal costs nothing
		{99 * time.Millisecond, ratelimit.Verdict{Left: 0, Wait: time.Millisecond, Full: 201 * time.Millisecond}},
		{100 * time.Millisecond, ratelimit.Verdict{OK: true, Left: 0, Full: 300 * time.Millisecond}},
		{250 * time.Millisecond, ratelimit.Verdict{OK: true, Left: 0, Full: 250 * time.Millisecond}},
		{450 * time.Millisecond, ratelimit.Verdict{OK: true, Left: 1, Full: 150 * time.Millisecond}},
		{time.Hour, ratelimit.Verdict{OK: true, Left: 2, Full: 100 * time.Millisecond}}, // never more than the burst
	} {
		if diff := cmp.Diff(step.want, l.Take(client, start.Add(step.after))); diff != "" {
			t.Errorf("after %v (-want +got):\n%s", step.after, diff)
		}
	}
}

func TestWhoIsTheSame(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		same bool
	}{
		{"203.0.113.7", "203.0.113.7", true},
		{"203.0.113.7", "203.0.113.8", false},
		{"203.0.113.7", "::ffff:203.0.113.7", true},
		{"2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff", true}, // one /64
		{"2001:db8:0:1::1", "2001:db8:0:2::1", false},
		{"::1", "0.0.0.0", false},
		{"fe80::1%eth0", "fe80::1", true},
	} {
		l := ratelimit.New(1, 1, 1<<16)
		l.Take(netip.MustParseAddr(tc.a), start)
		if got := !l.Take(netip.MustParseAddr(tc.b), start).OK; got != tc.same {
			t.Errorf("%s and %s the same: %t", tc.a, tc.b, got)
		}
	}
}

func TestOneBucketForManyRequestsAtOnce(t *testing.T) {
	const burst = 1000
	l := ratelimit.New(1, burst, 64)
	var passed atomic.Int64
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for range burst {
				if l.Take(client, start).OK {
					passed.Add(1)
				}
			}
		})
	}
	clients.Wait()
	if passed.Load() != burst {
		t.Errorf("%d passed at once, want %d", passed.Load(), burst)
	}
}

// nth is an address that no other n has.
func nth(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}) }

func TestMoreAddressesThanItRemembers(t *testing.T) {
	const addresses = 512
	l := ratelimit.New(1, 10, addresses)
	for l.Take(client, start).OK { // has used it all
	}
	for n := range 20 * addresses {
		if !l.Take(nth(n), start).OK {
			t.Fatalf("address %d is refused its first request", n)
		}
	}
	if l.Take(client, start).OK {
		t.Error("the address that asked too much was forgotten")
	}
	if v := l.Take(client, start.Add(time.Minute)); !v.OK || v.Left != 9 {
		t.Errorf("after a minute of peace: %+v", v)
	}
}

func TestNoAllocation(t *testing.T) {
	l := ratelimit.New(50, 500, 512)
	n := 0
	if got := testing.AllocsPerRun(10_000, func() { l.Take(nth(n), start); n++ }); got != 0 {
		t.Errorf("%v allocations for a request", got)
	}
}

func BenchmarkTake(b *testing.B) {
	b.Run("one address", func(b *testing.B) {
		l := ratelimit.New(50, 500, 1<<16)
		b.ReportAllocs()
		for b.Loop() {
			l.Take(client, start)
		}
	})
	b.Run("a new address each time", func(b *testing.B) {
		l := ratelimit.New(50, 500, 1<<16)
		b.ReportAllocs()
		for n := 0; b.Loop(); n++ {
			l.Take(nth(n), start)
		}
	})
	b.Run("one address from all processors", func(b *testing.B) {
		l := ratelimit.New(50, 500, 1<<16)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				l.Take(client, start)
			}
		})
	})
}
