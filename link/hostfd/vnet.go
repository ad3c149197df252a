package hostfd

import (
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/wire"
)

// unpack notes on pkt, which is all there, what its virtio-net header says. It
// reports false when the header does not fit the packet: who wrote it is not
// trusted.
//
// VNetGSOUDP, fragmentation by IP, was not offered and is refused.
func unpack(pkt *packet.Packet, h wire.VNet, ethernet bool) bool {
	if !h.Fits(pkt.Len()) {
		return false
	}
	switch {
	case h.Flags&wire.VNetNeedsCsum != 0:
		if !pkt.Ensure(int(h.CsumStart) + int(h.CsumOffset) + 2) {
			return false
		}
		pkt.Csum = packet.CsumPartial
		pkt.CsumStart = uint16(pkt.Offset()) + h.CsumStart
		pkt.CsumOffset = h.CsumOffset
	case h.Flags&wire.VNetDataValid != 0:
		pkt.Csum = packet.CsumUnnecessary
	}
	if h.GSOType == wire.VNetGSONone {
		return true
	}
	return unpackGSO(pkt, h, ethernet)
}

// unpackGSO is unpack for a packet that is to be cut. The specification wants
// NEEDS_CSUM with it.
func unpackGSO(pkt *packet.Packet, h wire.VNet, ethernet bool) bool {
	t, proto := gsoType(h.GSOType)
	if t == packet.GSONone || pkt.Csum != packet.CsumPartial {
		return false
	}
	start := int(h.CsumStart)
	if !isTransport(pkt, start, t, proto, ethernet) {
		return false
	}
	header := start + wire.UDPLen
	if proto == wire.ProtoTCP {
		if !pkt.Ensure(start + wire.TCPLen) {
			return false
		}
		header = start + int(pkt.Head()[start+12]>>4)*4
		if header < start+wire.TCPLen {
			return false
		}
	}
	if !pkt.Ensure(header) {
		return false
	}
	// What fits into one segment is none (Linux does the same).
	size := int(h.GSOSize)
	if payload := pkt.Len() - header; payload > size {
		pkt.GSO = t
		pkt.GSOSize = h.GSOSize
		pkt.GSOSegs = uint16((payload + size - 1) / size)
	}
	return true
}

// gsoType translates a segmentation type and names the transport protocol it is
// for.
func gsoType(t uint8) (packet.GSOType, uint8) {
	switch t &^ wire.VNetGSOECN {
	case wire.VNetGSOTCPv4:
		return packet.GSOTCP4, wire.ProtoTCP
	case wire.VNetGSOTCPv6:
		return packet.GSOTCP6, wire.ProtoTCP
	case wire.VNetGSOUDPL4:
		return packet.GSOUDP, wire.ProtoUDP
	}
	return packet.GSONone, 0
}

// isTransport reports whether the transport header of a packet of this type can be
// at start.
func isTransport(pkt *packet.Packet, start int, t packet.GSOType, proto uint8, ethernet bool) bool {
	l3 := 0
	if ethernet {
		l3 = networkOffset(pkt.Head())
	}
	if start < l3+wire.IPv4Len || !pkt.Ensure(start) {
		return false
	}
	h := pkt.Head()[l3:]
	switch h[0] >> 4 {
	case 4:
		return t != packet.GSOTCP6 && start == l3+int(h[0]&0xf)*4 && h[9] == proto
	case 6:
		return t != packet.GSOTCP4 && start >= l3+wire.IPv6Len
	}
	return false
}

// networkOffset returns where the network header of a frame starts, behind at most
// two VLAN tags.
func networkOffset(frame []byte) int {
	off := wire.EthernetLen
	for range 2 {
		if len(frame) < off || !isVLAN(uint16(frame[off-2])<<8|uint16(frame[off-1])) {
			break
		}
		off += wire.VLANLen
	}
	return off
}

func isVLAN(etherType uint16) bool {
	return etherType == wire.EtherTypeVLAN || etherType == wire.EtherTypeQinQ
}

// pack returns the virtio-net header for pkt.
func pack(pkt *packet.Packet) wire.VNet {
	var h wire.VNet
	if pkt.Csum == packet.CsumPartial {
		h.Flags = wire.VNetNeedsCsum
		h.CsumStart = pkt.CsumStart - uint16(pkt.Offset())
		h.CsumOffset = pkt.CsumOffset
	}
	switch pkt.GSO {
	case packet.GSONone:
		return h
	case packet.GSOTCP4:
		h.GSOType = wire.VNetGSOTCPv4
	case packet.GSOTCP6:
		h.GSOType = wire.VNetGSOTCPv6
	case packet.GSOUDP:
		h.GSOType = wire.VNetGSOUDPL4
	}
	h.GSOSize = pkt.GSOSize
	h.HdrLen = headerLen(pkt, int(h.CsumStart))
	return h
}

// headerLen returns the length of all headers of a packet that is to be cut, whose
// transport header is at start. It is a hint; without a better one it is the head.
func headerLen(pkt *packet.Packet, start int) uint16 {
	head := pkt.Head()
	switch {
	case start == 0:
	case pkt.GSO == packet.GSOUDP:
		return uint16(min(start+wire.UDPLen, len(head)))
	case start+wire.TCPLen <= len(head):
		return uint16(min(start+int(head[start+12]>>4)*4, len(head)))
	}
	return uint16(len(head))
}
