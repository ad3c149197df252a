package network

import (
	"net/netip"
	"sync"
	"time"

	"github.com/knitnet/knit/core/clock"
)

const (
	// pmtuLife is how long a learnt path MTU is believed: 10 minutes (RFC 8201
	// §4: at least 5; Linux: net.ipv4.route.mtu_expires).
	pmtuLife = 10 * time.Minute
	// maxPMTU bounds the table: strangers can fill it with forged errors.
	maxPMTU = 4096
)

// pmtuTable holds learnt path MTUs by destination.
type pmtuTable struct {
	sync.RWMutex
	m map[netip.Addr]pmtu
}

type pmtu struct {
	mtu   int
	until clock.Time
}

func (t *pmtuTable) lookup(dst netip.Addr, now clock.Time) (int, bool) {
	t.RLock()
	defer t.RUnlock()
	e, ok := t.m[dst]
	if !ok || e.until <= now {
		return 0, false
	}
	return e.mtu, true
}

// LearnMTU notes the path MTU to dst in bytes, unless it is no smaller than what
// is known. Values below the family's minimum count as that.
func (l *Layer) LearnMTU(dst netip.Addr, mtu int) {
	f := l.Family(VersionOf(dst))
	if f == nil {
		return
	}
	mtu = max(mtu, f.MinMTU())
	now := l.Clock.Now()
	if old, ok := l.pmtu.lookup(dst, now); ok && old <= mtu {
		return
	}
	l.pmtu.store(dst, pmtu{mtu, now.Add(pmtuLife)}, now)
	l.changed()
}

func (t *pmtuTable) store(dst netip.Addr, e pmtu, now clock.Time) {
	t.Lock()
	defer t.Unlock()
	if t.m == nil {
		t.m = map[netip.Addr]pmtu{}
	}
	if _, known := t.m[dst]; !known && len(t.m) >= maxPMTU {
		t.evict(now)
	}
	t.m[dst] = e
}

// evict makes room: the expired ones, or else an arbitrary one.
func (t *pmtuTable) evict(now clock.Time) {
	for a, e := range t.m {
		if e.until <= now {
			delete(t.m, a)
		}
	}
	for a := range t.m {
		if len(t.m) < maxPMTU {
			return
		}
		delete(t.m, a)
	}
}

// PathMTUs calls f for every learnt path MTU that still counts.
func (l *Layer) PathMTUs(f func(dst netip.Addr, mtu int, expires time.Duration)) {
	now := l.Clock.Now()
	l.pmtu.RLock()
	defer l.pmtu.RUnlock()
	for a, e := range l.pmtu.m {
		if e.until > now {
			f(a, e.mtu, e.until.Sub(now))
		}
	}
}
