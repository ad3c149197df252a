package network

import (
	"net/netip"

	"github.com/knitnet/knit/network/route"
)

// TakesIn reports whether packets to ip are delivered here: it belongs to this
// host, or the main table has a route of type local for it, as `ip route add local
// default dev lo` makes one (Linux's TPROXY is set up so). Families ask it about
// received unicast packets; it is for the packet path.
//
// Such a route lets a module speak for addresses elsewhere (see
// transport.StreamInterceptor). They do not become addresses of this host: IsLocal
// is false, no socket can be bound to them, and packets from them are no martians.
func (l *Layer) TakesIn(ip netip.Addr) bool {
	if r := l.Local.Lookup(ip); r != nil {
		return r.Type == route.Local
	}
	if !l.Main.HasLocal() {
		return false
	}
	r := l.Main.Lookup(ip)
	return r != nil && r.Type == route.Local
}
