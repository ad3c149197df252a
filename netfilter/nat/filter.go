package nat

import (
	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/netfilter"
)

// key is how the filter of a mapping tells other ends apart (RFC 4787 §5); false: it
// does not.
func (x *mapping) key(f far) (far, bool) {
	switch x.rule.Filtering {
	case netfilter.EndpointIndependent:
		return far{}, false
	case netfilter.AddressDependent:
		f.port = 0
	}
	return f, true
}

// lets reports whether the filter lets an other end in.
func (x *mapping) lets(f far, now clock.Time) bool {
	k, some := x.key(f)
	if !some {
		return true
	}
	p := x.peers[k]
	return p.conns > 0 || p.until > now
}

// met notes a connection with an other end.
func (x *mapping) met(f far) {
	if k, some := x.key(f); some {
		p := x.peers[k]
		p.conns++
		x.set(k, p)
	}
}

// left notes that a connection with an other end is over.
func (x *mapping) left(f far, now clock.Time) {
	k, some := x.key(f)
	if !some {
		return
	}
	p := x.peers[k]
	p.conns--
	x.set(k, p)
	x.letIn(f, now)
}

// letIn lets an other end in for a while. Of more than maxPeers those without
// connections are forgotten, a few at a time, in no order.
func (x *mapping) letIn(f far, now clock.Time) {
	k, some := x.key(f)
	if !some {
		return
	}
	p := x.peers[k]
	p.until = now.Add(linger)
	x.set(k, p)
	if len(x.peers) <= maxPeers {
		return
	}
	n := 0
	for old, p := range x.peers {
		if old != k && p.conns <= 0 {
			delete(x.peers, old)
		}
		if n++; n == 8 {
			break
		}
	}
}

func (x *mapping) set(k far, p peer) {
	if x.peers == nil {
		x.peers = map[far]peer{}
	}
	x.peers[k] = p
}
