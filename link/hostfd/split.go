package hostfd

import (
	"encoding/binary"

	"github.com/knitnet/knit/wire"
)

// unknownHeaders is how many bytes of a packet nobody here knows go into its head.
const unknownHeaders = 64

// splitAt returns how many bytes from the front of a packet are headers, at most
// len(b). They go into the packet's head and the payload stays a fragment of its
// own, so that segments can be merged and queued without a copy. b is the packet's
// beginning. The number need not be right: what reads a header checks it.
func splitAt(b []byte, ethernet bool) int {
	l3 := 0
	if ethernet {
		l3 = networkOffset(b)
	}
	n := l3 + unknownHeaders
	if len(b) >= l3+wire.IPv6Len {
		switch h := b[l3:]; h[0] >> 4 {
		case 4:
			n = l3 + max(int(h[0]&0xf)*4, wire.IPv4Len)
			if binary.BigEndian.Uint16(h[6:])&0x1fff == 0 { // not a later fragment
				n += transportLen(b, n, h[9])
			}
		case 6:
			n = l3 + wire.IPv6Len
			n += transportLen(b, n, h[6])
		}
	}
	return min(n, len(b))
}

// transportLen returns the length of the transport header at off.
func transportLen(b []byte, off int, proto byte) int {
	switch {
	case proto == wire.ProtoUDP, proto == wire.ProtoICMP, proto == wire.ProtoICMPv6:
		return wire.UDPLen
	case proto == wire.ProtoTCP && len(b) >= off+wire.TCPLen:
		return max(int(b[off+12]>>4)*4, wire.TCPLen)
	}
	return 0
}
