package frag

import (
	"encoding/binary"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/wire"
)

// Input4 takes an IPv4 fragment: pkt begins with its header, which lies in the
// head and was checked, and is no longer than TotalLen. If that makes a datagram
// complete Input4 returns it, with one header that says so, and the caller owns
// it; else nil. Meta.In tells links apart for link-local addresses.
func (t *Table) Input4(pkt *packet.Packet) *packet.Packet {
	h, ok := wire.ParseIPv4(pkt.Head())
	n := h.TotalLen() - h.HeaderLen()
	if !ok || n <= 0 || pkt.Len() != h.TotalLen() || h.MF() && n%8 != 0 ||
		h.FragOffset()+n+h.HeaderLen() > wire.IPv4MaxTotal {
		t.Stats.ReasmReqds.Inc()
		t.Stats.ReasmFails.Inc()
		pkt.Drop(stat.IPInHdr)
		return nil
	}
	p := piece{
		Key: Key{Src: h.Src(), Dst: h.Dst(), ID: uint32(h.ID()), Proto: h.Protocol()},
		off: h.FragOffset(), end: h.FragOffset() + n, more: h.MF(), header: h.HeaderLen(), ecn: h.TOS() & wire.ECNMask,
	}
	p.Index = t.domainOf(pkt, p.Src.IsLinkLocalUnicast())
	whole, ecn := t.add(pkt, &p)
	if whole == nil || !complete4(whole, ecn) {
		return nil
	}
	return whole
}

// complete4 writes the header of a whole datagram, or drops one that is too long
// with the first fragment's options.
func complete4(pkt *packet.Packet, ecn uint8) bool {
	if pkt.Len() > wire.IPv4MaxTotal {
		pkt.Drop(stat.PktTooBig)
		return false
	}
	b := pkt.Head()
	b[1] = b[1]&^wire.ECNMask | ecn
	binary.BigEndian.PutUint16(b[2:4], uint16(pkt.Len()))
	b[6], b[7] = b[6]&0x40, 0 // no offset, nothing follows; DF stays
	h, ok := wire.ParseIPv4(b)
	if ok {
		h.UpdateHeaderChecksum()
	}
	return ok
}

// Split4 cuts an IPv4 packet, which begins with its header, into fragments of at
// most mtu bytes and pushes them to out. It owns pkt. Payload is shared by
// reference; its checksum must be complete. Meta is copied. A packet that is a
// fragment itself is cut further; DF is carried over as it is, and obeying it is
// the caller's. An MTU that leaves no room for payload drops pkt.
func Split4(pkt *packet.Packet, mtu int, out *packet.Queue) {
	h, ok := wire.ParseIPv4(pkt.Head())
	if !ok {
		pkt.Drop(stat.IPInHdr)
		return
	}
	var opts [wire.IPv4MaxOptions]byte
	first := h.Fields()
	rest := first
	rest.Options = copiedOptions(h, opts[:0])
	Split(pkt, h.HeaderLen(), mtu-h.HeaderLen(), out, func(p *packet.Packet, off, n int, more bool) {
		f := &rest
		if off == 0 {
			f = &first
		}
		f.FragOffset = uint16(h.FragOffset() + off)
		f.MF = more || h.MF()
		f.TotalLen = uint16(f.HeaderLen() + n)
		wire.PutIPv4(p.Push(f.HeaderLen()), f)
		p.L3 = uint16(p.Offset())
	})
}

// copiedOptions appends to b the options that every fragment carries (RFC 791
// §3.1: copied flag).
func copiedOptions(h wire.IPv4, b []byte) []byte {
	const copied = 0x80
	o := h.Options()
	for len(o) > 0 && o[0] != wire.IPv4OptEnd {
		if o[0] == wire.IPv4OptNop {
			o = o[1:]
			continue
		}
		if len(o) < 2 || o[1] < 2 || int(o[1]) > len(o) {
			break
		}
		if o[0]&copied != 0 {
			b = append(b, o[:o[1]]...)
		}
		o = o[o[1]:]
	}
	return b
}
