package network

import (
	"encoding/binary"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/wire"
)

// SoundHeader reports whether code can rely on the IP header of a packet: it is readable
// and, of IPv4, says how long the packet is. Who gives packets to hooks and helpers, which
// may change all of it, asks behind them.
func SoundHeader(v Version, pkt *packet.Packet) bool {
	b := pkt.Head()
	if v == V6 {
		_, ok := wire.ParseIPv6(b)
		return ok
	}
	if len(b) >= wire.IPv4Len && b[0] == 4<<4|wire.IPv4Len/4 { // without options this is all
		return int(binary.BigEndian.Uint16(b[2:])) == pkt.Len()
	}
	h, ok := wire.ParseIPv4(b)
	return ok && h.TotalLen() == pkt.Len()
}

// DropMangled takes the packets out of q whose header is not sound, and gives them to bad.
func DropMangled(v Version, q *packet.Queue, bad func(*packet.Packet)) {
	pkt := q.Front()
	for pkt != nil && SoundHeader(v, pkt) {
		pkt = pkt.Next()
	}
	if pkt == nil {
		return
	}
	in := *q
	*q = packet.Queue{}
	for pkt := in.Pop(); pkt != nil; pkt = in.Pop() {
		if SoundHeader(v, pkt) {
			q.Push(pkt)
		} else {
			bad(pkt)
		}
	}
}
