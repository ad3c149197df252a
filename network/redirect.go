package network

import (
	"maps"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/packet"
)

const (
	// redirectLife is how long a redirect is followed after it came, 300 s as in
	// Linux (net.ipv4.route.gc_timeout): a router that is still the wrong one says
	// so again.
	redirectLife = 5 * time.Minute
	// maxRedirects bounds the table.
	maxRedirects = 1024
)

// A RedirectSender is an ErrorSender that also tells hosts of better first hops.
type RedirectSender interface {
	// SendRedirect tells the source of pkt, which came in by Meta.In and whose IP
	// header is at Meta.L3, that gateway on the same link is a better first hop
	// for its destination (RFC 1812 §5.2.7.2). It does not own pkt.
	SendRedirect(gateway netip.Addr, pkt *packet.Packet)
}

// SendRedirect is RedirectSender's, if the ICMP module is loaded and has it.
func (l *Layer) SendRedirect(v Version, gateway netip.Addr, pkt *packet.Packet) {
	if s := l.errors[v].Load(); s != nil {
		if r, ok := s.ErrorSender.(RedirectSender); ok {
			r.SendRedirect(gateway, pkt)
		}
	}
}

// redirectTable holds the better next hops that routers told of, by destination.
type redirectTable struct {
	n atomic.Int32 // entries, so that the usual table is read without a lock
	sync.Mutex
	m map[redirectKey]redirect
}

type redirectKey struct {
	dst   netip.Addr
	index int32
}

type redirect struct {
	gateway netip.Addr
	until   clock.Time
}

// LearnRedirect makes packets to dst that leave by interface index go to gateway
// on its link. Whether the redirect may be believed is the caller's to know
// (RFC 1122 §3.2.2.2, RFC 4861 §8.1).
func (l *Layer) LearnRedirect(dst, gateway netip.Addr, index int32) {
	t := &l.redirects
	now := l.Clock.Now()
	t.Lock()
	if t.m == nil {
		t.m = map[redirectKey]redirect{}
	}
	k := redirectKey{dst, index}
	if _, known := t.m[k]; !known && len(t.m) >= maxRedirects {
		evict(t.m, maxRedirects, func(_ redirectKey, r redirect) bool { return r.until <= now })
	}
	t.m[k] = redirect{gateway, now.Add(redirectLife)}
	t.n.Store(int32(len(t.m)))
	t.Unlock()
	l.changed()
	l.watchEnd(now.Add(redirectLife))
}

func (t *redirectTable) lookup(dst netip.Addr, index int32, now clock.Time) (netip.Addr, bool) {
	if t.n.Load() == 0 {
		return netip.Addr{}, false
	}
	t.Lock()
	defer t.Unlock()
	r, ok := t.m[redirectKey{dst, index}]
	return r.gateway, ok && r.until > now
}

// forgetIf drops the redirects for which gone holds, and reports whether there were
// any.
func (t *redirectTable) forgetIf(gone func(redirectKey, redirect) bool) bool {
	t.Lock()
	defer t.Unlock()
	before := len(t.m)
	maps.DeleteFunc(t.m, gone)
	t.n.Store(int32(len(t.m)))
	return len(t.m) < before
}

// next returns when the next one ends.
func (t *redirectTable) next() clock.Time {
	t.Lock()
	defer t.Unlock()
	at := clock.Never
	for _, r := range t.m {
		at = min(at, r.until)
	}
	return at
}
