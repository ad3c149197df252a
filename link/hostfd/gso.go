package hostfd

import (
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/wire"
)

// unpackGSO is unpack for a packet that is to be cut. The specification wants
// NEEDS_CSUM with it, and Linux the checksum where the transport protocol has it.
func unpackGSO(pkt *packet.Packet, h wire.VNet, ethernet bool) bool {
	t, ok := readGSOType(h.GSOType)
	if !ok || pkt.Csum != packet.CsumPartial || h.CsumOffset != t.sum {
		return false
	}
	header, ok := t.headers(pkt, int(h.CsumStart), ethernet)
	if !ok {
		return false
	}
	size := int(h.GSOSize)
	payload := pkt.Len() - header
	if payload <= size {
		return true // what fits into one segment is none (Linux does the same)
	}
	segs := (payload + size - 1) / size
	if size < t.least || segs > t.most {
		return false
	}
	pkt.GSO, pkt.GSOSize, pkt.GSOSegs = t.gso, h.GSOSize, uint16(segs)
	return true
}

// A gsoType is what a segmentation type of virtio-net means. least and most bound
// what a packet is cut into, so that a few of them do not become a million.
type gsoType struct {
	gso   packet.GSOType
	proto uint8  // of the transport header
	sum   uint16 // offset of the checksum in that
	least int    // bytes of payload in a segment
	most  int    // segments
}

// Bounds of Linux: what the longest options leave of the smallest MSS
// (TCP_MIN_GSO_SIZE), and UDP_MAX_SEGMENTS.
const (
	minTCPSegment = 48 - wire.TCPMaxOptions
	maxDatagrams  = 128
)

// readGSOType translates a segmentation type. ECN goes with TCP only.
func readGSOType(t uint8) (gsoType, bool) {
	tcp := gsoType{packet.GSOTCP4, wire.ProtoTCP, wire.TCPChecksumOffset, minTCPSegment, wire.IPv4MaxTotal}
	switch t {
	case wire.VNetGSOTCPv4, wire.VNetGSOTCPv4 | wire.VNetGSOECN:
		return tcp, true
	case wire.VNetGSOTCPv6, wire.VNetGSOTCPv6 | wire.VNetGSOECN:
		tcp.gso = packet.GSOTCP6
		return tcp, true
	case wire.VNetGSOUDPL4:
		return gsoType{packet.GSOUDP, wire.ProtoUDP, wire.UDPChecksumOffset, 1, maxDatagrams}, true
	}
	return gsoType{}, false
}

// headers returns the length of all headers of a packet, which then lie in its head.
// It reports false if its transport header is not at start or is not of the type.
func (t gsoType) headers(pkt *packet.Packet, start int, ethernet bool) (n int, ok bool) {
	if !t.beginsAt(pkt, start, ethernet) {
		return 0, false
	}
	n = start + wire.UDPLen
	if t.proto == wire.ProtoTCP {
		if !pkt.Ensure(start + wire.TCPLen) {
			return 0, false
		}
		n = start + int(pkt.Head()[start+12]>>4)*4
		if n < start+wire.TCPLen {
			return 0, false
		}
	}
	return n, pkt.Ensure(n)
}

// beginsAt reports whether start is where the transport header of the type lies, in a
// packet that is whole: no fragment, and as long as its IP header says.
func (t gsoType) beginsAt(pkt *packet.Packet, start int, ethernet bool) bool {
	l3 := 0
	if ethernet {
		l3 = networkOffset(pkt.Head())
	}
	// The first byte of the transport header tells that the walk ends there.
	if start < l3+wire.IPv4Len || !pkt.Ensure(start+1) {
		return false
	}
	b := pkt.Head()[l3:]
	if h, ok := wire.ParseIPv4(b); ok {
		return t.gso != packet.GSOTCP6 && start == l3+h.HeaderLen() && h.Protocol() == t.proto &&
			!h.IsFragment() && h.TotalLen() == pkt.Len()-l3
	}
	h, ok := wire.ParseIPv6(b)
	return ok && t.gso != packet.GSOTCP4 && h.TotalLen() == pkt.Len()-l3 && t.endsWalk(h, start-l3)
}

// endsWalk reports whether the extension headers of h, none of which makes it a
// fragment, lead to the transport header at off.
func (t gsoType) endsWalk(h wire.IPv6, off int) bool {
	w := h.WalkExts()
	for {
		x, more := w.Next()
		if !more {
			break
		}
		if x.Type() == wire.ProtoFragment {
			return false
		}
	}
	proto, at := w.Upper()
	err, _ := w.Err()
	return err == wire.IPv6ExtFine && proto == t.proto && at == off
}
