package hostfd

import (
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/wire"
)

// bufSizes are the sizes of the buffers that one packet is read into, in order: a
// frame of an Ethernet needs the first, a jumbo frame the second, a segment of
// 64 KiB all three.
var bufSizes = [...]int{2 << 10, 16 << 10, 64 << 10}

// A landing is the memory the next packet is read into. It holds buffers only
// while packets are coming.
type landing struct {
	pool     *packet.Pool
	ethernet bool
	vnetLen  int // of the virtio-net header; 0: none
	vnet     [wire.VNetV1Len]byte
	bufs     [len(bufSizes)]*packet.Buf
}

// fill gets the buffers that are missing.
func (l *landing) fill() {
	for i, b := range l.bufs {
		if b == nil {
			l.bufs[i] = l.pool.Buf(bufSizes[i])
		}
	}
}

// release gives all buffers back.
func (l *landing) release() {
	for i, b := range l.bufs {
		if b != nil {
			b.Release(1)
			l.bufs[i] = nil
		}
	}
}

// build makes a packet of the n bytes that were read, the virtio-net header among
// them. It returns nil, and has counted the drop, when they are none. A small packet
// is copied into its head, so that the buffers serve again; of a large one only the
// headers are.
func (l *landing) build(n int) *packet.Packet {
	n -= l.vnetLen
	if n <= 0 {
		l.pool.Drops.Count(stat.HdrTrunc)
		return nil
	}
	pkt := l.pool.Get()
	if n <= pkt.Tailroom() {
		copy(pkt.Extend(n), l.bufs[0].Bytes())
	} else {
		l.refer(pkt, n)
	}
	if why, ok := l.inspect(pkt); !ok {
		pkt.Drop(why)
		return nil
	}
	return pkt
}

// refer puts n bytes into pkt: the headers in its head, the rest by reference.
func (l *landing) refer(pkt *packet.Packet, n int) {
	first := l.bufs[0].Bytes()
	first = first[:min(n, len(first))]
	h := min(splitAt(first, l.ethernet), pkt.Tailroom())
	copy(pkt.Extend(h), first)
	for i, b := range l.bufs {
		in := min(n, b.Cap())
		if in == 0 {
			break
		}
		pkt.AddFrag(b, h, in-h)
		l.bufs[i] = nil
		n -= in
		h = 0
	}
}

// inspect reads the virtio-net header, and the protocol of a packet without a link
// header.
func (l *landing) inspect(pkt *packet.Packet) (why stat.Reason, ok bool) {
	if !l.ethernet {
		switch pkt.Head()[0] >> 4 {
		case 4:
			pkt.Proto = wire.EtherTypeIPv4
		case 6:
			pkt.Proto = wire.EtherTypeIPv6
		default:
			return stat.InvalidProto, false
		}
	}
	if l.vnetLen == 0 {
		return 0, true
	}
	h, _ := wire.ParseVNet(l.vnet[:])
	return stat.DevHdr, unpack(pkt, h, l.ethernet)
}
