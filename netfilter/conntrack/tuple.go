package conntrack

import (
	"encoding/binary"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/wire"
)

// tupleOf reads the tuple of a packet that begins with its IP header into t, and
// returns where the transport header begins. It fails for what cannot be tracked:
// fragments, unknown extension headers, packets that are too short.
func tupleOf(v network.Version, pkt *packet.Packet, t *netfilter.Tuple) (off int, ok bool) {
	*t = netfilter.Tuple{Version: v}
	if v == network.V4 {
		off, ok = addrs4(pkt, t)
	} else {
		off, ok = addrs6(pkt, t)
	}
	if !ok {
		return 0, false
	}
	return off, ports(pkt, off, t)
}

func addrs4(pkt *packet.Packet, t *netfilter.Tuple) (off int, ok bool) {
	b := pkt.Head()
	if b[6]&0x3f|b[7] != 0 { // a fragment that nobody has put together
		return 0, false
	}
	copy(t.Src[:4], b[12:16])
	copy(t.Dst[:4], b[16:20])
	t.Proto = b[9]
	return int(b[0]&0xf) * 4, true
}

func addrs6(pkt *packet.Packet, t *netfilter.Tuple) (off int, ok bool) {
	b := pkt.Head()
	t.Src, t.Dst = [16]byte(b[8:24]), [16]byte(b[24:40])
	t.Proto, off = b[6], wire.IPv6Len
	if !wire.IsIPv6Ext(t.Proto) {
		return off, t.Proto != wire.ProtoNoNext // without a protocol there is no connection
	}
	pkt.Ensure(min(pkt.Len(), maxQuote)) // extension headers may lie in fragments
	h, ok := wire.ParseIPv6(pkt.Head())
	if !ok {
		return 0, false
	}
	t.Proto, off, ok = upper6(h)
	return off, ok && t.Proto != wire.ProtoNoNext
}

// upper6 returns what follows the extension headers and where. Unlike h.Upper it does
// not mind when nothing is left there, which some protocols can do without.
func upper6(h wire.IPv6) (proto uint8, off int, ok bool) {
	w := h.WalkExts()
	for more := true; more; {
		_, more = w.Next()
	}
	proto, off = w.Upper()
	err, _ := w.Err()
	return proto, off, !w.NotFirst() && (err == wire.IPv6ExtFine || err == wire.IPv6ExtTruncated && !wire.IsIPv6Ext(proto))
}

// ports reads what tells connections between the same hosts apart.
func ports(pkt *packet.Packet, off int, t *netfilter.Tuple) bool {
	switch t.Proto {
	case wire.ProtoTCP, wire.ProtoUDP, wire.ProtoUDPLite, wire.ProtoSCTP, protoDCCP:
		if !pkt.Ensure(off + 4) {
			return false
		}
		b := pkt.Head()[off:]
		t.SrcPort, t.DstPort = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	case wire.ProtoICMP, wire.ProtoICMPv6:
		if t.Proto == wire.ProtoICMP != (t.Version == network.V4) {
			return false // the other version's ICMP says nothing that anybody understands
		}
		if !pkt.Ensure(off + wire.ICMPLen) {
			return false
		}
		b := pkt.Head()[off:]
		t.DstPort = binary.BigEndian.Uint16(b) // type and code
		t.SrcPort = binary.BigEndian.Uint16(b[4:])
	}
	return true
}

// quotedTuple reads the tuple of the packet that an ICMP error quotes.
func quotedTuple(v network.Version, b []byte, t *netfilter.Tuple) bool {
	*t = netfilter.Tuple{Version: v}
	var off int
	if v == network.V4 {
		h, ok := wire.ParseIPv4(b)
		if !ok || h.FragOffset() != 0 {
			return false
		}
		src, dst := h.Src4(), h.Dst4()
		copy(t.Src[:], src[:])
		copy(t.Dst[:], dst[:])
		t.Proto, off = h.Protocol(), h.HeaderLen()
	} else {
		h, ok := wire.ParseIPv6(b)
		if !ok {
			return false
		}
		proto, at, ok := upper6(h)
		if !ok {
			return false
		}
		t.Src, t.Dst, t.Proto, off = h.Src16(), h.Dst16(), proto, at
	}
	return quotedPorts(b[min(off, len(b)):], t)
}

// quotedPorts is ports for a quotation, of which 8 bytes are there at least.
func quotedPorts(b []byte, t *netfilter.Tuple) bool {
	switch t.Proto {
	case wire.ProtoTCP, wire.ProtoUDP, wire.ProtoUDPLite, wire.ProtoSCTP, protoDCCP:
		if len(b) < 4 {
			return false
		}
		t.SrcPort, t.DstPort = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	case wire.ProtoICMP, wire.ProtoICMPv6:
		if len(b) < wire.ICMPLen {
			return false
		}
		t.DstPort, t.SrcPort = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[4:])
	}
	return true
}

// Protocols that package wire has no name for.
const (
	protoDCCP = 33
	protoGRE  = 47
)

// invert returns the tuple that answers to t have. It fails for ICMP messages that
// have no answer, which begin no connection.
func invert(t *netfilter.Tuple) (r netfilter.Tuple, ok bool) {
	r = *t
	r.Src, r.Dst = t.Dst, t.Src
	switch {
	case t.Proto == wire.ProtoICMP && t.Version == network.V4:
		typ, ok := answer4(uint8(t.DstPort >> 8))
		r.DstPort = uint16(typ)<<8 | t.DstPort&0xff
		return r, ok
	case t.Proto == wire.ProtoICMPv6 && t.Version == network.V6:
		typ, ok := answer6(uint8(t.DstPort >> 8))
		r.DstPort = uint16(typ)<<8 | t.DstPort&0xff
		return r, ok
	}
	r.SrcPort, r.DstPort = t.DstPort, t.SrcPort
	return r, true
}

// answer4 returns the type that answers a query (RFC 792, RFC 950), or is answered
// by an answer.
func answer4(typ uint8) (uint8, bool) {
	switch typ {
	case 8, 0: // echo
		return 8 - typ, true
	case 13, 15, 17: // timestamp, information, address mask
		return typ + 1, true
	case 14, 16, 18:
		return typ - 1, true
	}
	return 0, false
}

// answer6 is answer4 for ICMPv6: echo (RFC 4443) and node information (RFC 4620).
func answer6(typ uint8) (uint8, bool) {
	switch typ {
	case 128, 139:
		return typ + 1, true
	case 129, 140:
		return typ - 1, true
	}
	return 0, false
}

// begins reports whether the first packet of a connection can look like t: of ICMP
// only queries.
func begins(t *netfilter.Tuple) bool {
	typ := t.DstPort >> 8
	switch {
	case t.Proto == wire.ProtoICMP && t.Version == network.V4:
		return typ == 8 || typ == 13 || typ == 15 || typ == 17
	case t.Proto == wire.ProtoICMPv6 && t.Version == network.V6:
		return typ == 128 || typ == 139
	}
	return true
}
