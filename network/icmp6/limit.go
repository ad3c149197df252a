package icmp6

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"

	"github.com/knitnet/knit/core/clock"
)

// "In order to limit the bandwidth and forwarding costs incurred by originating
// ICMPv6 error messages, an IPv6 node MUST limit the rate of ICMPv6 error messages
// it originates" (RFC 4443 §2.4 (f)); a token bucket is what it recommends.
const (
	burstPerDestination = 6    // as Linux's XRLIM_BURST_FACTOR
	perSecond           = 1000 // of all (net.ipv4.icmp_msgs_per_sec, which counts for both)
	burst               = 50   // of all (icmp_msgs_burst)

	// limiterSlots is the number of buckets. Destinations share one by hash: the
	// memory is bounded whatever strangers send, and who shares a bucket with a
	// flood loses errors and no packets.
	limiterSlots = 1024
)

// A bucket fills with one token in each interval.
type bucket struct {
	tokens int
	at     clock.Time // when the last token came
}

// take takes a token at time now, if there is one.
func (b *bucket) take(now clock.Time, interval time.Duration, most int) bool {
	if n := int64(now.Sub(b.at) / interval); n > 0 {
		b.tokens = int(min(int64(b.tokens)+n, int64(most)))
		b.at = b.at.Add(time.Duration(n) * interval)
	}
	if b.tokens == 0 {
		return false
	}
	b.tokens--
	return true
}

// A limiter decides which errors may be sent.
type limiter struct {
	seed maphash.Seed
	mu   sync.Mutex
	all  bucket
	to   [limiterSlots]bucket
}

func newLimiter(now clock.Time) *limiter {
	l := &limiter{seed: maphash.MakeSeed(), all: bucket{burst, now}}
	for i := range l.to {
		l.to[i] = bucket{burstPerDestination, now}
	}
	return l
}

// allow reports whether an error may go to dst now. A zero interval means no limit
// per destination.
func (l *limiter) allow(dst netip.Addr, now clock.Time, interval time.Duration) bool {
	b := dst.As16()
	slot := &l.to[maphash.Bytes(l.seed, b[:])%limiterSlots]
	l.mu.Lock()
	defer l.mu.Unlock()
	if interval > 0 && !slot.take(now, interval, burstPerDestination) {
		return false
	}
	return l.all.take(now, time.Second/perSecond, burst)
}
