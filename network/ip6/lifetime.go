package ip6

import (
	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/network"
)

// watchLifetime makes the timer look at an address when a lifetime of it ends.
func (p *ip6) watchLifetime(a *network.Addr) {
	next := nextEnd(a, clock.Never)
	if at, armed := p.expiry.Deadline(); next != clock.Never && (!armed || next < at) {
		p.expiry.Reset(next)
	}
}

// nextEnd returns the earlier of at and the ends of a's lifetimes that are still to
// come about.
func nextEnd(a *network.Addr, at clock.Time) clock.Time {
	if a.ValidUntil != 0 {
		at = min(at, a.ValidUntil)
	}
	if a.PreferredUntil != 0 && a.Flags&network.Deprecated == 0 {
		at = min(at, a.PreferredUntil)
	}
	return at
}

// expire deprecates and removes addresses whose lifetimes have ended (RFC 4862
// §5.5.4).
func (p *ip6) expire(now clock.Time) {
	defer p.net.Walks.Enter().Exit()
	for _, dev := range p.net.Link.Devices() {
		for _, a := range p.net.Addrs(dev.Index()) {
			switch {
			case !a.IP().Is6():
			case a.ValidUntil != 0 && a.ValidUntil <= now:
				p.net.DelAddr(dev, a.Prefix)
			case a.PreferredUntil != 0 && a.PreferredUntil <= now && a.Flags&network.Deprecated == 0:
				p.net.UpdateAddr(dev, a.IP(), func(a *network.Addr) { a.Flags |= network.Deprecated })
			}
		}
	}
	next := clock.Never
	for _, dev := range p.net.Link.Devices() {
		for _, a := range p.net.Addrs(dev.Index()) {
			if a.IP().Is6() {
				next = nextEnd(a, next)
			}
		}
	}
	if next != clock.Never {
		p.expiry.Reset(next)
	}
}
