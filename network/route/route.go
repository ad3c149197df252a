// Package route is the forwarding table of both IP versions: longest prefix
// match, several routes per prefix ordered by metric, several next hops per
// route. It knows addresses and interface indexes, no device and no protocol.
package route

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/knitnet/knit/core/clock"
)

// A Type says what happens to packets that match a route (RTN_*).
type Type uint8

// Route types.
const (
	Unicast Type = iota
	Local
	Broadcast
	Multicast
	Blackhole
	Unreachable
	Prohibit
	// Throw makes the next rule be tried.
	Throw
)

var typeNames = [...]string{"unicast", "local", "broadcast", "multicast", "blackhole", "unreachable", "prohibit", "throw"}

// String returns the name that `ip route` uses.
func (t Type) String() string { return typeNames[t] }

// ParseType is the inverse of String.
func ParseType(name string) (t Type, ok bool) {
	at := slices.Index(typeNames[:], name)
	return Type(max(at, 0)), at >= 0
}

// A Scope is the distance to a destination (RT_SCOPE_*).
type Scope uint8

// Scopes.
const (
	Universe  Scope = 0
	Site      Scope = 200
	LinkScope Scope = 253
	Host      Scope = 254
	Nowhere   Scope = 255
)

// String returns the name that `ip route` uses.
func (s Scope) String() string {
	switch s {
	case Universe:
		return "global"
	case Site:
		return "site"
	case LinkScope:
		return "link"
	case Host:
		return "host"
	case Nowhere:
		return "nowhere"
	}
	return fmt.Sprint(uint8(s))
}

// Origins of routes (RTPROT_*).
const (
	ProtoKernel uint8 = 2
	ProtoBoot   uint8 = 3
	ProtoStatic uint8 = 4
	ProtoRA     uint8 = 9
)

// A NextHop is one way out.
type NextHop struct {
	Gateway netip.Addr // zero: the destination itself is on the link
	Index   int32      // interface index
	Weight  int        // share of flows; 0 counts as 1
	// Onlink: the gateway is on the interface's link although no route says so
	// (RTNH_F_ONLINK).
	Onlink bool
	// Dead: its interface is down, so no flow goes this way (RTNH_F_DEAD).
	Dead bool
}

// A Route says where packets to Dst go. Routes in a Table are never changed.
type Route struct {
	Dst netip.Prefix
	// From is the prefix that sources must be in; zero: any (ip -6 route add ... from).
	// IPv6 routes alone can have it.
	From     netip.Prefix
	Table    uint32 // number of the table it is in; 0: main
	Type     Type
	Scope    Scope
	Proto    uint8
	Metric   uint32
	Src      netip.Addr // preferred source; zero: none
	MTU      int        // bytes; 0: the device's
	Expires  clock.Time // when the route ends; 0: never
	NextHops []NextHop  // one at least, but for Blackhole, Unreachable, Prohibit and Throw

	weights int // sum of all
}

// Hop chooses a next hop by the flow's hash, in proportion to the weights.
func (r *Route) Hop(hash uint32) *NextHop {
	if len(r.NextHops) == 1 {
		return &r.NextHops[0]
	}
	n := int(uint64(hash) * uint64(r.weights) >> 32)
	for i := range r.NextHops {
		if n -= r.NextHops[i].weight(); n < 0 {
			return &r.NextHops[i]
		}
	}
	return &r.NextHops[len(r.NextHops)-1]
}

func (h *NextHop) weight() int {
	if h.Dead {
		return 0
	}
	return max(h.Weight, 1)
}
