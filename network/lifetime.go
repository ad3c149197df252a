package network

import (
	"slices"
	"sync"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network/route"
)

// lifetimes ends addresses, routes, path MTUs and redirects whose time is over. One
// timer serves all of them.
type lifetimes struct {
	timer clock.Timer
	mu    sync.Mutex // serialises arming, so that no later end replaces an earlier one
}

// watchEnd makes the timer look when something that is in its table already ends
// at at.
func (l *Layer) watchEnd(at clock.Time) {
	if at == clock.Never {
		return
	}
	t := &l.lifetimes
	t.mu.Lock()
	defer t.mu.Unlock()
	if set, armed := t.timer.Deadline(); !armed || at < set {
		t.timer.Reset(at)
	}
}

// rearm sets the timer anew, after something with an end has gone.
func (l *Layer) rearm() {
	t := &l.lifetimes
	t.mu.Lock()
	defer t.mu.Unlock()
	next := min(l.pmtu.next(), l.redirects.next())
	for _, id := range l.Tables() {
		next = min(next, l.Table(id).NextExpiry())
	}
	for _, as := range *l.addrs.byDev.Load() {
		for _, a := range as {
			next = min(next, a.nextEnd())
		}
	}
	t.timer.Reset(next) // Never stops it
}

// nextEnd returns when the next of a's lifetimes that are still to come about ends.
func (a *Addr) nextEnd() clock.Time {
	at := clock.Never
	if a.ValidUntil != 0 {
		at = a.ValidUntil
	}
	if a.PreferredUntil != 0 && a.Flags&Deprecated == 0 {
		at = min(at, a.PreferredUntil)
	}
	return at
}

// expire is the timer: it removes what is not valid any more and deprecates what
// is not preferred any more (RFC 4862 §5.5.4; Linux does the same for IPv4).
func (l *Layer) expire(now clock.Time) {
	defer l.Walks.Enter().Exit()
	for index, as := range *l.addrs.byDev.Load() {
		dev := l.Link.Device(index)
		if dev == nil {
			continue // its addresses are about to go
		}
		for _, a := range as {
			if a.nextEnd() <= now {
				l.expireAddr(dev, a, now)
			}
		}
	}
	mtus := l.pmtu.forgetIf(func(_ pmtuKey, e pmtu) bool { return e.until <= now })
	redirects := l.redirects.forgetIf(func(_ redirectKey, r redirect) bool { return r.until <= now })
	if mtus || redirects {
		l.changed() // Paths were resolved with them
	}
	l.dropRoutes(func(r *route.Route) bool { return r.Expires != 0 && r.Expires <= now })
	l.rearm()
}

// expireAddr ends a lifetime of a, unless a has been replaced meanwhile.
func (l *Layer) expireAddr(dev *link.Device, a *Addr, now clock.Time) {
	same := func(as []*Addr) int { return slices.Index(as, a) }
	if a.ValidUntil != 0 && a.ValidUntil <= now {
		l.delAddr(dev, same)
		return
	}
	l.updateAddr(dev, same, func(a *Addr) { a.Flags |= Deprecated })
}
