package flowtable

import (
	"encoding/binary"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/wire"
)

// rewrite takes one hop off a packet and gives it the addresses and ports that it
// leaves with, and brings its checksums up to date (RFC 1624).
func (h *half) rewrite(pkt *packet.Packet, f *frame) {
	b := pkt.Head()
	if f.v == network.V4 {
		ip, _ := wire.ParseIPv4(b)
		ip.DecrementTTL()
	} else {
		b[7]--
	}
	if !h.nat {
		return
	}
	if f.v == network.V4 {
		copy(b[12:16], h.src[:])
		copy(b[16:20], h.dst[:])
		update(b[10:12], h.before, h.after)
	} else {
		copy(b[8:24], h.src[:])
		copy(b[24:40], h.dst[:])
	}
	l4 := b[f.l4:]
	binary.BigEndian.PutUint32(l4, h.change.ports)
	if f.proto == wire.ProtoTCP {
		h.resum(l4[16:18], pkt.Csum)
		return
	}
	sum := l4[6:8]
	if pkt.Csum != packet.CsumPartial && sum[0]|sum[1] == 0 {
		return // RFC 768: none
	}
	h.resum(sum, pkt.Csum)
	if sum[0]|sum[1] == 0 {
		sum[0], sum[1] = 0xff, 0xff
	}
}

// resum brings a transport checksum up to date. One that is not complete yet holds the
// sum of the pseudo header alone.
func (h *half) resum(sum []byte, state packet.CsumState) {
	if state != packet.CsumPartial {
		update(sum, h.before.Add(h.portsBefore), h.after.Add(h.portsAfter))
		return
	}
	v := binary.BigEndian.Uint16(sum)
	binary.BigEndian.PutUint16(sum, ^wire.UpdateChecksum(^v, h.before, h.after))
}

func update(sum []byte, before, after wire.PartialSum) {
	binary.BigEndian.PutUint16(sum, wire.UpdateChecksum(binary.BigEndian.Uint16(sum), before, after))
}
