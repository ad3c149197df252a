package network

import (
	"net/netip"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/link"
)

// ResolversSymbol is the kernel symbol under which ndp exports its ResolversFunc.
const ResolversSymbol = "ndp_resolvers"

// A Resolver is a recursive DNS server that a router told of (RFC 8106).
type Resolver struct {
	Addr netip.Addr
	// Device is the one the router is on, which a link-local Addr needs.
	Device *link.Device
	// Until is when its lifetime ends; clock.Never if it does not.
	Until clock.Time
}

// A ResolversFunc returns the servers of now, in the order in which they are to be
// asked. It is safe for concurrent use.
type ResolversFunc func() []Resolver
