package wire

import "net/netip"

// Lengths of IPv6 in bytes.
const (
	IPv6Len        = 40
	IPv6MaxPayload = 65535 // without a jumbogram
	IPv6MinMTU     = 1280  // RFC 8200 §5
	IPv6MinReasm   = 1500  // every node must take this much (RFC 8200 §5)
)

// An IPv6 is a checked view of an IPv6 header (RFC 8200 §3).
type IPv6 struct{ b []byte }

// IPv6Fields are the values of an IPv6 header.
type IPv6Fields struct {
	TrafficClass uint8
	NextHeader   uint8
	HopLimit     uint8
	PayloadLen   uint16 // what follows the fixed header, in bytes
	FlowLabel    uint32 // 20 bits
	Src, Dst     [16]byte
}

// ParseIPv6 returns the header in front of b. As with ParseIPv4 the payload
// need not be in b.
func ParseIPv6(b []byte) (IPv6, bool) {
	if len(b) < IPv6Len || b[0]>>4 != 6 {
		return IPv6{}, false
	}
	return IPv6{b}, true
}

// TrafficClass returns DSCP and ECN (RFC 8200 §7).
func (h IPv6) TrafficClass() uint8 { return uint8(be.Uint16(h.b[0:2]) >> 4) }

// FlowLabel returns the flow label, 20 bits (RFC 6437).
func (h IPv6) FlowLabel() uint32 { return be.Uint32(h.b[0:4]) & 0xfffff }

// PayloadLen returns the length of what follows the fixed header in bytes,
// extension headers included; zero may announce a jumbogram (RFC 2675 §3).
func (h IPv6) PayloadLen() int { return int(be.Uint16(h.b[4:6])) }

// TotalLen returns PayloadLen plus the fixed header, in bytes.
func (h IPv6) TotalLen() int { return IPv6Len + int(be.Uint16(h.b[4:6])) }

// NextHeader returns the type of what follows the fixed header.
func (h IPv6) NextHeader() uint8 { return h.b[6] }

// HopLimit returns the remaining hops.
func (h IPv6) HopLimit() uint8 { return h.b[7] }

// Src returns the source address, without a zone.
func (h IPv6) Src() netip.Addr { return netip.AddrFrom16([16]byte(h.b[8:24])) }

// Dst returns the destination address, without a zone.
func (h IPv6) Dst() netip.Addr { return netip.AddrFrom16([16]byte(h.b[24:40])) }

// Src16 returns the source address as bytes.
func (h IPv6) Src16() [16]byte { return [16]byte(h.b[8:24]) }

// Dst16 returns the destination address as bytes.
func (h IPv6) Dst16() [16]byte { return [16]byte(h.b[24:40]) }

// Payload returns what follows the fixed header in the parsed slice, up to
// PayloadLen. It is shorter than the packet says if the slice was.
func (h IPv6) Payload() []byte { return h.b[IPv6Len:min(h.TotalLen(), len(h.b))] }

// PseudoSum returns the pseudo header's sum for an upper layer proto of
// length bytes. With a routing header that is not used up the destination is
// another one (RFC 8200 §8.1), and the caller uses PseudoIPv6.
func (h IPv6) PseudoSum(proto uint8, length int) PartialSum {
	return PseudoIPv6(h.Src16(), h.Dst16(), proto, length)
}

// Fields returns all values.
func (h IPv6) Fields() IPv6Fields {
	return IPv6Fields{
		TrafficClass: h.TrafficClass(), FlowLabel: h.FlowLabel(),
		PayloadLen: uint16(h.PayloadLen()), NextHeader: h.NextHeader(), HopLimit: h.HopLimit(),
		Src: h.Src16(), Dst: h.Dst16(),
	}
}

// SetTrafficClass changes the traffic class.
func (h IPv6) SetTrafficClass(tc uint8) {
	be.PutUint16(h.b[0:2], be.Uint16(h.b[0:2])&0xf00f|uint16(tc)<<4)
}

// SetHopLimit changes the remaining hops.
func (h IPv6) SetHopLimit(n uint8) { h.b[7] = n }

// SetPayloadLen changes the length of what follows the fixed header.
func (h IPv6) SetPayloadLen(n int) { be.PutUint16(h.b[4:6], uint16(n)) }

// SetNextHeader changes the type of what follows the fixed header.
func (h IPv6) SetNextHeader(v uint8) { h.b[6] = v }

// SetSrc16 changes the source address. Checksums of upper layers cover it and
// are the caller's.
func (h IPv6) SetSrc16(ip [16]byte) { *(*[16]byte)(h.b[8:24]) = ip }

// SetDst16 changes the destination address, like SetSrc16.
func (h IPv6) SetDst16(ip [16]byte) { *(*[16]byte)(h.b[24:40]) = ip }

// PutIPv6 writes a header of IPv6Len bytes.
func PutIPv6(b []byte, f *IPv6Fields) {
	p := (*[IPv6Len]byte)(b)
	be.PutUint64(p[0:8], 6<<60|uint64(f.TrafficClass)<<52|uint64(f.FlowLabel&0xfffff)<<32|
		uint64(f.PayloadLen)<<16|uint64(f.NextHeader)<<8|uint64(f.HopLimit))
	*(*[16]byte)(p[8:24]) = f.Src
	*(*[16]byte)(p[24:40]) = f.Dst
}

// SolicitedNode returns the solicited-node multicast address of ip, an IPv6
// address (RFC 4291 §2.7.1).
func SolicitedNode(ip netip.Addr) netip.Addr {
	a := ip.As16()
	return netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 11: 0x01, 12: 0xff, 13: a[13], 14: a[14], 15: a[15]})
}
