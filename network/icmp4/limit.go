package icmp4

import (
	"hash/maphash"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/wire"
)

const (
	// nBuckets bounds the memory of how much was sent to whom; a power of two.
	// Hosts that share a bucket share what may be sent: strangers can make us send
	// less that way, never more.
	nBuckets = 2048
	// hostBurst is how many messages one host may get at once (Linux's
	// XRLIM_BURST_FACTOR).
	hostBurst = 6
)

// buckets are token buckets by destination.
type buckets struct {
	seed maphash.Seed
	mu   sync.Mutex
	full [nBuckets]clock.Time // when the bucket will be full again
}

func (b *buckets) init() { b.seed = maphash.MakeSeed() }

// take takes one token, which come back one per interval up to burst.
func (b *buckets) take(dst netip.Addr, now clock.Time, interval time.Duration, burst int) bool {
	ip := dst.As4()
	f := &b.full[maphash.Bytes(b.seed, ip[:])&(nBuckets-1)]
	b.mu.Lock()
	defer b.mu.Unlock()
	full := max(*f, now).Add(interval)
	if full.Sub(now) > time.Duration(burst)*interval {
		return false
	}
	*f = full
	return true
}

// limits keeps errors from being a weapon (RFC 1812 §4.3.2.8).
type limits struct {
	clock    *clock.Clock
	settings *settings
	hosts    buckets

	global struct {
		sync.Mutex
		credit int64
		last   clock.Time
	}
}

func (l *limits) init(c *clock.Clock, s *settings) {
	l.clock, l.settings = c, s
	l.hosts.init()
	l.global.credit = s.burst.Load()
}

// allow reports whether an error of a type may be sent along path, and counts one
// that may not.
func (i *icmp) allow(path *network.Path, typ, code uint8) bool {
	l := &i.limits
	switch {
	case typ < 32 && l.settings.rateMask.Load()>>typ&1 == 0,
		typ == wire.ICMP4Unreachable && code == wire.ICMP4FragNeeded, // path MTU discovery depends on it
		i.net.IsInner(path.Device):
		return true
	case !l.takeGlobal():
		i.mib.outRateLimitGlobal.Inc()
		return false
	}
	interval := time.Duration(l.settings.rateLimit.Load()) * time.Millisecond
	if interval > 0 && !l.hosts.take(path.Dst, l.clock.Now(), interval, hostBurst) {
		i.mib.outRateLimitHost.Inc()
		return false
	}
	return true
}

// takeGlobal takes one of the messages that may be sent per second in all. Now and
// then it takes more: otherwise who counts answers could find out how many were
// sent to others, and from that which ports are open.
func (l *limits) takeGlobal() bool {
	g := &l.global
	g.Lock()
	defer g.Unlock()
	burst := l.settings.burst.Load()
	now := l.clock.Now()
	elapsed := min(now.Sub(g.last), time.Hour).Microseconds() // so that the product fits
	if earned := elapsed * l.settings.perSecond.Load() / 1e6; earned > 0 {
		g.credit = min(burst, g.credit+earned)
		g.last = now
	}
	if g.credit <= 0 {
		return false
	}
	g.credit -= 1 + rand.Int64N(3)/2
	return true
}
