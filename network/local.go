package network

import (
	"net/netip"

	"github.com/knitnet/knit/network/route"
)

// Inbound returns what becomes of a received packet to f.Dst, an address of one host,
// by the rules: Local when it is delivered here, Broadcast, or Unicast when it is for
// somebody else, whether there is a route there or not. Out is the interface by which
// such a packet leaves, 0 if that is not known. It is for Families, on the packet path.
//
// Local is what belongs to this host, and what some table has a route of type local
// for, as `ip route add local default dev lo` makes one (Linux's TPROXY is set up so).
// Such a route lets a module speak for addresses elsewhere (see
// transport.StreamInterceptor). They do not become addresses of this host: IsLocal
// is false, no socket can be bound to them, and packets from them are no martians.
func (l *Layer) Inbound(f *Flow) (t route.Type, out int32) {
	k := f.key()
	r := l.Lookup(&k).Route
	if r == nil || r.Type != route.Local && r.Type != route.Broadcast {
		return route.Unicast, l.out(r, &k, f)
	}
	return r.Type, 0
}

// out is the interface of the next hop that f takes on r.
func (l *Layer) out(r *route.Route, k *route.Key, f *Flow) int32 {
	if r == nil || len(r.NextHops) == 0 {
		return 0
	}
	hash := uint32(0)
	if len(r.NextHops) > 1 {
		hash = l.hash(f)
	}
	if h := l.Hop(r, k, hash); h != nil {
		return h.Index
	}
	return 0
}

// TakesIn reports whether packets to ip that come by an interface, 0 for none, are
// delivered here: see Inbound.
func (l *Layer) TakesIn(ip netip.Addr, in int32) bool {
	t, _ := l.Inbound(&Flow{Dst: ip, In: in})
	return t == route.Local
}
