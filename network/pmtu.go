package network

import (
	"maps"
	"net/netip"
	"sync"
	"time"

	"github.com/knitnet/knit/core/clock"
)

const (
	// pmtuLife is how long a learnt path MTU is believed: 10 minutes (RFC 8201
	// §4: at least 5; Linux: net.ipv4.route.mtu_expires).
	pmtuLife = 10 * time.Minute
	// maxPMTU bounds the table: there are as many as hosts that are talked to.
	maxPMTU = 4096
)

// pmtuTable holds learnt path MTUs by destination.
type pmtuTable struct {
	sync.RWMutex
	m map[pmtuKey]pmtu
}

// A pmtuKey is a destination in a VRF, 0 for none.
type pmtuKey struct {
	dst netip.Addr
	vrf int32
}

type pmtu struct {
	mtu int
	// locked: packets of this size are still too big, so they must be fragmented
	// on their way (Linux locks the metric).
	locked bool
	until  clock.Time
}

func (t *pmtuTable) lookup(k pmtuKey, now clock.Time) (pmtu, bool) {
	t.RLock()
	defer t.RUnlock()
	e, ok := t.m[k]
	return e, ok && e.until > now
}

// LearnMTU notes the path MTU to dst in bytes, told by who came by interface in and
// good for its VRF, unless it is no smaller than what
// is known, or no packet as large was sent there: anybody can forge the message
// that tells of it (RFC 5927 §7.2). Values below the family's minimum count as
// that.
func (l *Layer) LearnMTU(dst netip.Addr, in int32, mtu int) {
	f := l.Family(VersionOf(dst))
	if f == nil || mtu >= l.sizes.largest(dst) {
		return
	}
	now, k := l.Clock.Now(), pmtuKey{dst, l.VRF(in)}
	e := pmtu{max(mtu, f.MinMTU()), mtu < f.MinMTU() && dst.Is4(), now.Add(pmtuLife)}
	if old, ok := l.pmtu.lookup(k, now); ok && (old.mtu < e.mtu || old.mtu == e.mtu && (old.locked || !e.locked)) {
		return
	}
	l.pmtu.store(k, e, now)
	l.changed()
	l.watchEnd(e.until)
}

func (t *pmtuTable) store(k pmtuKey, e pmtu, now clock.Time) {
	t.Lock()
	defer t.Unlock()
	if t.m == nil {
		t.m = map[pmtuKey]pmtu{}
	}
	if _, known := t.m[k]; !known && len(t.m) >= maxPMTU {
		evict(t.m, maxPMTU, func(_ pmtuKey, e pmtu) bool { return e.until <= now })
	}
	t.m[k] = e
}

// evict makes room for one more entry among at most most: it removes the expired
// ones, or else an arbitrary one.
func evict[K comparable, V any](m map[K]V, most int, expired func(K, V) bool) {
	maps.DeleteFunc(m, expired)
	for k := range m {
		if len(m) < most {
			return
		}
		delete(m, k)
	}
}

// forgetIf drops the path MTUs for which gone holds, and reports whether there were
// any.
func (t *pmtuTable) forgetIf(gone func(pmtuKey, pmtu) bool) bool {
	t.Lock()
	defer t.Unlock()
	before := len(t.m)
	maps.DeleteFunc(t.m, gone)
	return len(t.m) < before
}

// next returns when the next one ends.
func (t *pmtuTable) next() clock.Time {
	t.RLock()
	defer t.RUnlock()
	at := clock.Never
	for _, e := range t.m {
		at = min(at, e.until)
	}
	return at
}

// PathMTUs calls f for every learnt path MTU that still counts.
func (l *Layer) PathMTUs(f func(dst netip.Addr, mtu int, expires time.Duration)) {
	now := l.Clock.Now()
	l.pmtu.RLock()
	defer l.pmtu.RUnlock()
	for k, e := range l.pmtu.m {
		if e.until > now {
			f(k.dst, e.mtu, e.until.Sub(now))
		}
	}
}
