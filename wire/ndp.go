package wire

import "net/netip"

// Lengths of Neighbour Discovery messages without options, in bytes.
const (
	RouterSolicitLen   = 8
	RouterAdvertLen    = 16
	NeighborSolicitLen = 24
	NeighborAdvertLen  = 24
	NDPRedirectLen     = 40
)

// NDPHopLimit is the hop limit of every Neighbour Discovery message: with
// any other it has come through a router and is ignored (RFC 4861 §3.1).
const NDPHopLimit = 255

// The ParseX of this file take the whole ICMPv6 message and check what RFC
// 4861 §6.1, §7.1 and §8.1 ask of the message itself: code, length, option
// lengths, a target that is not multicast. Hop limit, checksum and the rules
// about IP addresses are the caller's, who has the IP header.

// parseNDP checks a message of a type whose options begin at n.
func parseNDP(b []byte, typ uint8, n int) bool {
	return len(b) >= n && b[0] == typ && b[1] == 0 && ndpOptionsOK(b[n:])
}

// A RouterSolicit is a checked view of a Router Solicitation (RFC 4861 §4.1).
type RouterSolicit struct{ b []byte }

// ParseRouterSolicit returns the message that fills b.
func ParseRouterSolicit(b []byte) (RouterSolicit, bool) {
	if !parseNDP(b, ICMP6RouterSolicit, RouterSolicitLen) {
		return RouterSolicit{}, false
	}
	return RouterSolicit{b}, true
}

// Options returns a walk over the options.
func (m RouterSolicit) Options() NDPOptions { return NDPOptions{m.b[RouterSolicitLen:]} }

// PutRouterSolicit writes RouterSolicitLen bytes. As with every PutX of this
// file, options follow and FinishICMP6 comes last.
func PutRouterSolicit(b []byte) { PutICMP6(b, ICMP6RouterSolicit, 0, 0) }

// Router preferences (RFC 4191 §2.1). The fourth value is reserved and
// counts as medium in an advertisement.
const (
	PreferenceMedium = 0
	PreferenceHigh   = 1
	PreferenceLow    = 3
)

// A RouterAdvert is a checked view of a Router Advertisement (RFC 4861 §4.2).
type RouterAdvert struct{ b []byte }

// RouterAdvertFields are the values of a Router Advertisement. A zero says
// that the router leaves the matter open, except for Lifetime, where it says
// that the sender is no default router.
type RouterAdvertFields struct {
	HopLimit       uint8
	Managed        bool   // addresses by DHCPv6
	OtherConfig    bool   // other information by DHCPv6
	Preference     uint8  // PreferenceMedium, High or Low
	Lifetime       uint16 // s
	ReachableTime  uint32 // ms
	RetransmitTime uint32 // ms
}

// ParseRouterAdvert returns the message that fills b.
func ParseRouterAdvert(b []byte) (RouterAdvert, bool) {
	if !parseNDP(b, ICMP6RouterAdvert, RouterAdvertLen) {
		return RouterAdvert{}, false
	}
	return RouterAdvert{b}, true
}

// Fields returns all values.
func (m RouterAdvert) Fields() RouterAdvertFields {
	return RouterAdvertFields{
		HopLimit: m.b[4], Managed: m.b[5]&0x80 != 0, OtherConfig: m.b[5]&0x40 != 0,
		Preference: preference(m.b[5]), Lifetime: be.Uint16(m.b[6:8]),
		ReachableTime: be.Uint32(m.b[8:12]), RetransmitTime: be.Uint32(m.b[12:16]),
	}
}

// preference takes the preference out of an octet of flags. "If the Reserved
// (10) value is received, the receiver MUST treat the value as if it were
// (00)" (RFC 4191 §2.2).
func preference(flags uint8) uint8 {
	if p := flags >> 3 & 3; p != 2 {
		return p
	}
	return PreferenceMedium
}

// Options returns a walk over the options.
func (m RouterAdvert) Options() NDPOptions { return NDPOptions{m.b[RouterAdvertLen:]} }

// PutRouterAdvert writes RouterAdvertLen bytes.
func PutRouterAdvert(b []byte, f RouterAdvertFields) {
	flags := f.Preference & 3 << 3
	if f.Managed {
		flags |= 0x80
	}
	if f.OtherConfig {
		flags |= 0x40
	}
	PutICMP6(b, ICMP6RouterAdvert, 0, uint32(f.HopLimit)<<24|uint32(flags)<<16|uint32(f.Lifetime))
	be.PutUint32(b[8:], f.ReachableTime)
	be.PutUint32(b[12:], f.RetransmitTime)
}

// A NeighborSolicit is a checked view of a Neighbor Solicitation (RFC 4861
// §4.3).
type NeighborSolicit struct{ b []byte }

// ParseNeighborSolicit returns the message that fills b.
func ParseNeighborSolicit(b []byte) (NeighborSolicit, bool) {
	if !parseNDP(b, ICMP6NeighborSolicit, NeighborSolicitLen) || b[8] == 0xff {
		return NeighborSolicit{}, false
	}
	return NeighborSolicit{b}, true
}

// Target returns the address that is asked for.
func (m NeighborSolicit) Target() netip.Addr { return netip.AddrFrom16([16]byte(m.b[8:24])) }

// Options returns a walk over the options.
func (m NeighborSolicit) Options() NDPOptions { return NDPOptions{m.b[NeighborSolicitLen:]} }

// PutNeighborSolicit writes NeighborSolicitLen bytes.
func PutNeighborSolicit(b []byte, target [16]byte) {
	PutICMP6(b, ICMP6NeighborSolicit, 0, 0)
	copy(b[8:NeighborSolicitLen], target[:])
}

// A NeighborAdvert is a checked view of a Neighbor Advertisement (RFC 4861
// §4.4).
type NeighborAdvert struct{ b []byte }

// NeighborAdvertFields are the values of a Neighbor Advertisement.
type NeighborAdvertFields struct {
	Router    bool // the sender is a router
	Solicited bool // an answer
	Override  bool // replaces what the cache holds
	Target    [16]byte
}

// ParseNeighborAdvert returns the message that fills b.
func ParseNeighborAdvert(b []byte) (NeighborAdvert, bool) {
	if !parseNDP(b, ICMP6NeighborAdvert, NeighborAdvertLen) || b[8] == 0xff {
		return NeighborAdvert{}, false
	}
	return NeighborAdvert{b}, true
}

// Router reports whether the sender is a router.
func (m NeighborAdvert) Router() bool { return m.b[4]&0x80 != 0 }

// Solicited reports whether the message answers a solicitation.
func (m NeighborAdvert) Solicited() bool { return m.b[4]&0x40 != 0 }

// Override reports whether the message replaces what the cache holds.
func (m NeighborAdvert) Override() bool { return m.b[4]&0x20 != 0 }

// Target returns the address whose link-layer address is told.
func (m NeighborAdvert) Target() netip.Addr { return netip.AddrFrom16([16]byte(m.b[8:24])) }

// Fields returns all values.
func (m NeighborAdvert) Fields() NeighborAdvertFields {
	return NeighborAdvertFields{m.Router(), m.Solicited(), m.Override(), [16]byte(m.b[8:24])}
}

// Options returns a walk over the options.
func (m NeighborAdvert) Options() NDPOptions { return NDPOptions{m.b[NeighborAdvertLen:]} }

// PutNeighborAdvert writes NeighborAdvertLen bytes.
func PutNeighborAdvert(b []byte, f NeighborAdvertFields) {
	var flags uint32
	if f.Router {
		flags |= 1 << 31
	}
	if f.Solicited {
		flags |= 1 << 30
	}
	if f.Override {
		flags |= 1 << 29
	}
	PutICMP6(b, ICMP6NeighborAdvert, 0, flags)
	copy(b[8:NeighborAdvertLen], f.Target[:])
}

// An NDPRedirect is a checked view of a Redirect (RFC 4861 §4.5).
type NDPRedirect struct{ b []byte }

// ParseNDPRedirect returns the message that fills b.
func ParseNDPRedirect(b []byte) (NDPRedirect, bool) {
	if !parseNDP(b, ICMP6Redirect, NDPRedirectLen) || b[24] == 0xff {
		return NDPRedirect{}, false
	}
	return NDPRedirect{b}, true
}

// Target returns the better first hop; the same as Destination if that is a
// neighbour.
func (m NDPRedirect) Target() netip.Addr { return netip.AddrFrom16([16]byte(m.b[8:24])) }

// Destination returns the address whose packets are redirected.
func (m NDPRedirect) Destination() netip.Addr { return netip.AddrFrom16([16]byte(m.b[24:40])) }

// Options returns a walk over the options.
func (m NDPRedirect) Options() NDPOptions { return NDPOptions{m.b[NDPRedirectLen:]} }

// PutNDPRedirect writes NDPRedirectLen bytes.
func PutNDPRedirect(b []byte, target, dst [16]byte) {
	PutICMP6(b, ICMP6Redirect, 0, 0)
	copy(b[8:24], target[:])
	copy(b[24:NDPRedirectLen], dst[:])
}
