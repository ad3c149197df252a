package frag

import (
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
)

// Split cuts what lies behind the first skip bytes of pkt into pieces of at most
// space bytes, which are multiples of 8 except for the last, and pushes a packet
// for each to out. It owns pkt. put writes the header of one in front of its n
// payload bytes, which come from offset off of the whole payload; more says that
// others follow. Payload is shared by reference, except for what lies in pkt's
// head. Meta is copied, without header offsets and offload marks.
func Split(pkt *packet.Packet, skip, space int, out *packet.Queue, put func(p *packet.Packet, off, n int, more bool)) {
	total := pkt.Len() - skip
	if space < total {
		space &^= 7
	}
	if space <= 0 {
		pkt.Drop(stat.PktTooBig)
		return
	}
	for off := 0; off < total; off += space {
		n := min(space, total-off)
		p := pkt.Pool().Get()
		p.Meta = fragmentMeta(&pkt.Meta)
		share(p, pkt, skip+off, n)
		put(p, off, n, off+n < total)
		out.Push(p)
	}
	pkt.Consume()
}

// fragmentMeta is what fragments keep of a packet's Meta.
func fragmentMeta(m *packet.Meta) packet.Meta {
	return packet.Meta{
		In: m.In, Out: m.Out, Mark: m.Mark, Priority: m.Priority, Hash: m.Hash,
		Proto: m.Proto, Csum: m.Csum, Kind: m.Kind, Encap: m.Encap,
	}
}

// share puts n bytes from offset off of src on behind p, which is empty.
func share(p, src *packet.Packet, off, n int) {
	if p.Share(src, off, n) {
		return
	}
	// More bytes of src's head than p's has room for.
	buf := src.Pool().Buf(n)
	src.CopyOut(off, buf.Bytes()[:n])
	p.AddFrag(buf, 0, n)
}
