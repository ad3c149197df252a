package xlat

import (
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/wire"
)

// A New6 is what an IPv4 packet gets when it becomes an IPv6 packet.
type New6 struct {
	Src, Dst         [16]byte
	SrcPort, DstPort uint16
}

// To6 turns an IPv4 packet, which begins with its IP header, is no ICMP error and no
// fragment, and for which Parse4 found s, into an IPv6 packet without a fragment
// header (RFC 7915 §4.1). Options are ignored. A UDP checksum that is missing is
// computed. With a Problem the packet is as it was, but for what lies behind a UDP
// datagram.
func To6(pkt *packet.Packet, s *Four, n *New6) Problem {
	size := pkt.Len() - s.L4
	if size > wire.IPv6MaxPayload || pkt.Room()+s.L4 < wire.IPv6Len {
		return TooLong
	}
	typ, proto := uint8(0), s.Proto
	if proto == wire.ProtoICMP {
		if typ = echo6(s.Type); typ == noType {
			return Untranslatable
		}
		proto = wire.ProtoICMPv6
	}
	if p := retouch6(pkt, s, n, typ); p != Fine {
		return p
	}
	h, _ := wire.ParseIPv4(pkt.Head())
	f := wire.IPv6Fields{
		TrafficClass: h.TOS(), NextHeader: proto, HopLimit: h.TTL(), PayloadLen: uint16(pkt.Len() - s.L4), Src: n.Src, Dst: n.Dst,
	}
	pkt.Pull(s.L4)
	pkt.L4 = uint16(pkt.Offset())
	wire.PutIPv6(pkt.Push(wire.IPv6Len), &f)
	pkt.L3, pkt.Proto = uint16(pkt.Offset()), wire.EtherTypeIPv6
	if pkt.GSO == packet.GSOTCP4 {
		pkt.GSO = packet.GSOTCP6
	}
	return Fine
}

// retouch6 changes the transport header.
func retouch6(pkt *packet.Packet, s *Four, n *New6, typ uint8) Problem {
	before, after := wire.PseudoIPv4(s.Src, s.Dst, 0, 0), wire.PseudoIPv6(n.Src, n.Dst, 0, 0)
	switch {
	case s.Proto == wire.ProtoICMP:
		if !link.CompleteChecksum(pkt) {
			return Truncated
		}
		after = after.Add(wire.PseudoIPv6([16]byte{}, [16]byte{}, wire.ProtoICMPv6, pkt.Len()-s.L4))
		retouchEcho(pkt.Head()[s.L4:], typ, n.DstPort, 0, after)
		return Fine
	case s.Proto == wire.ProtoUDP && be.Uint16(pkt.Head()[s.L4+wire.UDPChecksumOffset:]) == 0 && pkt.Csum != packet.CsumPartial:
		return sumUDP(pkt, s, n)
	}
	return retouch(pkt, s.L4, &s.Upper, before, after, n.SrcPort, n.DstPort)
}

// sumUDP gives a datagram without a checksum, which IPv6 does not know, one (RFC 7915
// §4.5). What lies behind the datagram is cut off.
func sumUDP(pkt *packet.Packet, s *Four, n *New6) Problem {
	t := pkt.Head()[s.L4:]
	size := int(be.Uint16(t[4:]))
	if size < wire.UDPLen || size > pkt.Len()-s.L4 || pkt.GSO != packet.GSONone {
		return Truncated
	}
	pkt.TrimTo(s.L4 + size)
	be.PutUint16(t, n.SrcPort)
	be.PutUint16(t[2:], n.DstPort)
	sum := link.ChecksumFrom(pkt, s.L4, wire.PseudoIPv6(n.Src, n.Dst, wire.ProtoUDP, size))
	be.PutUint16(t[6:], sum.FinishUDP())
	return Fine
}
