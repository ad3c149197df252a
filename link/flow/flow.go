// Package flow tells which flow a packet belongs to, so that packets of one flow
// stay in order while different flows go different ways.
package flow

import (
	"encoding/binary"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/wire"
)

// golden is 2^64 divided by the golden ratio: multiplying by it spreads values
// that differ in few bits over the upper ones.
const golden = 0x9e3779b97f4a7c15

// Hash returns a number that is the same for all packets between two sockets, in
// both directions. Its upper bits are the better ones. The network header is l3
// bytes behind the start of the data; what is not IP, or does not have its headers
// in the head, hashes to some constant.
//
// It is for spreading load: it has no secret, so an adversary can bring flows
// together.
func Hash(pkt *packet.Packet, l3 int) uint32 {
	h := pkt.Head()
	if len(h) < l3+wire.IPv4Len {
		return 0
	}
	h = h[l3:]
	switch h[0] >> 4 {
	case 4:
		return hash4(h)
	case 6:
		return hash6(h)
	}
	return 0
}

func hash4(h []byte) uint32 {
	addrs := binary.LittleEndian.Uint32(h[12:]) ^ binary.LittleEndian.Uint32(h[16:])
	key := uint64(addrs) | uint64(h[9])<<48
	// A fragment goes by its addresses alone, because only the first one has
	// ports.
	if binary.BigEndian.Uint16(h[6:])&0x3fff == 0 {
		key |= ports(h, int(h[0]&0xf)*4, h[9]) << 32
	}
	return uint32(key * golden >> 32)
}

func hash6(h []byte) uint32 {
	if len(h) < wire.IPv6Len {
		return 0
	}
	le := binary.LittleEndian
	addrs := le.Uint64(h[8:]) ^ le.Uint64(h[24:]) ^ (le.Uint64(h[16:])^le.Uint64(h[32:]))*golden
	return uint32((addrs ^ ports(h, wire.IPv6Len, h[6])<<32 ^ uint64(h[6])<<48) * golden >> 32)
}

// ports returns the exclusive or of the ports in a transport header at off.
func ports(h []byte, off int, proto byte) uint64 {
	if proto != wire.ProtoTCP && proto != wire.ProtoUDP || len(h) < off+4 {
		return 0
	}
	return uint64(binary.LittleEndian.Uint16(h[off:]) ^ binary.LittleEndian.Uint16(h[off+2:]))
}
