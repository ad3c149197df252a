package xlat

import (
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/wire"
)

// A New4 is what an IPv6 packet gets when it becomes an IPv4 packet.
type New4 struct {
	Src, Dst         [4]byte
	SrcPort, DstPort uint16
	// ID is the identification of a packet that may be fragmented on its way.
	ID uint16
}

// atomicLen is the length in bytes up to which an IPv4 packet that comes from an IPv6
// packet may be fragmented: longer ones have DF set (RFC 7915 §5.1).
const atomicLen = wire.IPv6MinMTU - (wire.IPv6Len - wire.IPv4Len)

// To4 turns an IPv6 packet, which begins with its IP header, is no ICMP error and no
// fragment, and for which Parse6 found s, into an IPv4 packet. Extension headers are
// taken off (RFC 7915 §5.1). With a Problem the packet is as it was.
func To4(pkt *packet.Packet, s *Six, n *New4) Problem {
	total := pkt.Len() - s.L4 + wire.IPv4Len
	if total > wire.IPv4MaxTotal {
		return TooLong
	}
	typ, proto := uint8(0), s.Proto
	if proto == wire.ProtoICMPv6 {
		if typ = echo4(s.Type); typ == noType {
			return Untranslatable
		}
		proto = wire.ProtoICMP
	}
	if p := retouch4(pkt, s, n, typ); p != Fine {
		return p
	}
	h, _ := wire.ParseIPv6(pkt.Head())
	f := wire.IPv4Fields{
		TOS: h.TrafficClass(), TTL: h.HopLimit(), Protocol: proto, TotalLen: uint16(total), Src: n.Src, Dst: n.Dst,
	}
	if s.Fragment.Present {
		f.ID = uint16(s.Fragment.ID) // its low 16 bits (§5.1.1)
	} else if longest(pkt, s, total) > atomicLen {
		f.DF = true
	} else {
		f.ID = n.ID
	}
	pkt.Pull(s.L4)
	pkt.L4 = uint16(pkt.Offset())
	wire.PutIPv4(pkt.Push(wire.IPv4Len), &f)
	pkt.L3, pkt.Proto = uint16(pkt.Offset()), wire.EtherTypeIPv4
	if pkt.GSO == packet.GSOTCP6 {
		pkt.GSO = packet.GSOTCP4
	}
	return Fine
}

// longest is the length of the IPv4 packet, or of the longest one of those that a
// packet of segments will be cut into.
func longest(pkt *packet.Packet, s *Six, total int) int {
	if pkt.GSO == packet.GSONone {
		return total
	}
	return min(total, wire.IPv4Len+transportLen(pkt.Head()[s.L4:], s.Proto)+int(pkt.GSOSize))
}

// transportLen is the length of a transport header in bytes.
func transportLen(t []byte, proto uint8) int {
	if proto == wire.ProtoTCP && len(t) > 12 {
		return int(t[12]>>4) * 4
	}
	return wire.UDPLen
}

// retouch4 changes the transport header.
func retouch4(pkt *packet.Packet, s *Six, n *New4, typ uint8) Problem {
	before, after := wire.PseudoIPv6(s.Src, s.Dst, 0, 0), wire.PseudoIPv4(n.Src, n.Dst, 0, 0)
	if s.Proto != wire.ProtoICMPv6 {
		return retouch(pkt, s.L4, &s.Upper, before, after, n.SrcPort, n.DstPort)
	}
	if !link.CompleteChecksum(pkt) {
		return Truncated
	}
	before = before.Add(wire.PseudoIPv6([16]byte{}, [16]byte{}, wire.ProtoICMPv6, pkt.Len()-s.L4))
	retouchEcho(pkt.Head()[s.L4:], typ, n.SrcPort, before, 0)
	return Fine
}

// retouch changes the ports of a TCP or UDP header, and what they and the addresses,
// whose sums are before and after, are to its checksum (RFC 7915 §4.5, §5.5).
func retouch(pkt *packet.Packet, l4 int, u *Upper, before, after wire.PartialSum, src, dst uint16) Problem {
	at := checksumAt(u.Proto)
	t := pkt.Head()[l4:]
	if len(t) < at+2 {
		return Truncated
	}
	field := t[at : at+2]
	was := be.Uint16(field)
	switch {
	case pkt.Csum == packet.CsumPartial: // the sum of the pseudo header alone
		be.PutUint16(field, wire.PartialSum(0).Uint16(was).Add(^before).Add(after).Fold())
	case u.Proto == wire.ProtoUDP && was == 0: // none
	default:
		before = before.Uint16(u.SrcPort).Uint16(u.DstPort)
		be.PutUint16(field, update(u.Proto, was, before, after.Uint16(src).Uint16(dst)))
	}
	be.PutUint16(t, src)
	be.PutUint16(t[2:], dst)
	return Fine
}

// checksumAt is where the checksum lies in a transport header.
func checksumAt(proto uint8) int {
	switch proto {
	case wire.ProtoTCP:
		return wire.TCPChecksumOffset
	case wire.ProtoUDP:
		return wire.UDPChecksumOffset
	}
	return 2
}

// update is wire.UpdateChecksum that knows that UDP has no checksum of zero.
func update(proto uint8, sum uint16, before, after wire.PartialSum) uint16 {
	sum = wire.UpdateChecksum(sum, before, after)
	if sum == 0 && proto == wire.ProtoUDP {
		return 0xffff
	}
	return sum
}

// retouchEcho changes the type and the identifier of an echo message, and the
// checksum with them; before and after are the sums of the pseudo headers.
func retouchEcho(t []byte, typ uint8, id uint16, before, after wire.PartialSum) {
	before = before.Uint16(be.Uint16(t)).Uint16(be.Uint16(t[4:]))
	t[0] = typ
	be.PutUint16(t[4:], id)
	after = after.Uint16(be.Uint16(t)).Uint16(id)
	be.PutUint16(t[2:], wire.UpdateChecksum(be.Uint16(t[2:]), before, after))
}
