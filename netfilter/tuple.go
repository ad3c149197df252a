package netfilter

import (
	"fmt"
	"net/netip"

	"github.com/knitnet/knit/network"
)

// A Tuple is one direction of a connection: what its packets have in common.
// Tuples are compared with ==.
type Tuple struct {
	// Src and Dst are the addresses; an IPv4 address is in the first four bytes and
	// the others are zero.
	Src, Dst [16]byte
	// SrcPort and DstPort are the ports. For ICMP SrcPort is the identifier and
	// DstPort the type and the code; for GRE they are the keys of an entry that a tool
	// has made, and 0 in packets; other protocols have zeros.
	SrcPort, DstPort uint16
	// Zone is the conntrack zone.
	Zone    uint16
	Version network.Version
	Proto   uint8
}

// SrcAddr returns the source address.
func (t *Tuple) SrcAddr() netip.Addr { return addr(t.Version, &t.Src) }

// DstAddr returns the destination address.
func (t *Tuple) DstAddr() netip.Addr { return addr(t.Version, &t.Dst) }

// SetSrc sets the source address, which must be of the tuple's version.
func (t *Tuple) SetSrc(a netip.Addr) { t.Src = bytesOf(a) }

// SetDst sets the destination address, which must be of the tuple's version.
func (t *Tuple) SetDst(a netip.Addr) { t.Dst = bytesOf(a) }

func addr(v network.Version, b *[16]byte) netip.Addr {
	if v == network.V4 {
		return netip.AddrFrom4([4]byte(b[:4]))
	}
	return netip.AddrFrom16(*b)
}

func bytesOf(a netip.Addr) (b [16]byte) {
	if a.Is4() {
		v4 := a.As4()
		copy(b[:], v4[:])
		return b
	}
	return a.As16()
}

// String returns t for logs.
func (t Tuple) String() string {
	return fmt.Sprintf("proto %d %v.%d > %v.%d", t.Proto, t.SrcAddr(), t.SrcPort, t.DstAddr(), t.DstPort)
}
