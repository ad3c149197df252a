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
