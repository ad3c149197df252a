package frag

import (
	"encoding/binary"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/wire"
)

// Input6 takes an IPv6 fragment: pkt begins with its header and is no longer than
// TotalLen; its fragment header begins at offset at, and the octet that names it
// lies at offset named; all of that is in the head. If that makes a datagram
// complete Input6 returns it, without a fragment header, and the caller owns it.
// A packet whose fragment header says that it is whole (RFC 6946) comes back at
// once, whatever else waits.
//
// A pointer other than zero means that pkt is malformed: the caller still owns it
// and is to answer with a Parameter Problem, code 0, with that pointer (RFC 8200
// §4.5).
func (t *Table) Input6(pkt *packet.Packet, at, named int) (whole *packet.Packet, pointer int) {
	h, ok := wire.ParseIPv6(pkt.Head())
	if !ok || at+wire.IPv6FragmentLen > pkt.HeadLen() {
		t.fail()
		pkt.Drop(stat.IPv6BadExthdr)
		return nil, 0
	}
	f, _ := wire.ParseIPv6Fragment(pkt.Head()[at:])
	if f.IsAtomic() {
		t.Stats.ReasmReqds.Inc()
		t.Stats.ReasmOKs.Inc()
		return unfragment(pkt, at, named), 0
	}
	head := at + wire.IPv6FragmentLen
	n := pkt.Len() - head
	switch {
	case f.More() && n%8 != 0:
		t.fail()
		return nil, 4 // the payload length field
	case f.Offset()+n+at-wire.IPv6Len > wire.IPv6MaxPayload:
		t.fail()
		return nil, at + 2 // the fragment offset field
	case n <= 0:
		t.fail()
		pkt.Drop(stat.IPv6BadExthdr)
		return nil, 0
	}
	p := piece{
		Key: Key{Src: h.Src(), Dst: h.Dst(), ID: f.ID()},
		off: f.Offset(), end: f.Offset() + n, more: f.More(), header: head, ecn: h.TrafficClass() & wire.ECNMask,
	}
	p.Index = t.domainOf(pkt, p.Src.IsLinkLocalUnicast() || p.Dst.IsLinkLocalUnicast() || p.Dst.IsMulticast())
	return t.add6(pkt, &p)
}

func (t *Table) fail() {
	t.Stats.ReasmReqds.Inc()
	t.Stats.ReasmFails.Inc()
}

// add6 finds the places of the fragment header in the first fragment anew: it may
// not be the packet that came last.
func (t *Table) add6(pkt *packet.Packet, p *piece) (whole *packet.Packet, pointer int) {
	whole, ecn := t.add(pkt, p)
	if whole == nil {
		return nil, 0
	}
	h, _ := wire.ParseIPv6(whole.Head())
	w := h.WalkExts()
	for {
		named := w.NamedAt()
		x, ok := w.Next()
		if !ok {
			whole.Drop(stat.IPv6BadExthdr)
			return nil, 0
		}
		if x.Type() != wire.ProtoFragment {
			continue
		}
		h.SetTrafficClass(h.TrafficClass()&^wire.ECNMask | ecn)
		return unfragment(whole, x.Offset(), named), 0
	}
}

// unfragment takes the fragment header at offset at out of pkt. nil, with pkt
// dropped, means that the result is too long.
func unfragment(pkt *packet.Packet, at, named int) *packet.Packet {
	if pkt.Len()-wire.IPv6Len-wire.IPv6FragmentLen > wire.IPv6MaxPayload {
		pkt.Drop(stat.PktTooBig)
		return nil
	}
	b := pkt.Head()
	b[named] = b[at]
	copy(b[wire.IPv6FragmentLen:], b[:at])
	pkt.Pull(wire.IPv6FragmentLen)
	pkt.L3 = uint16(pkt.Offset())
	binary.BigEndian.PutUint16(pkt.Head()[4:6], uint16(pkt.Len()-wire.IPv6Len))
	return pkt
}

// Split6 cuts an IPv6 packet, which begins with its header, into fragments of at
// most mtu bytes and pushes them to out. It owns pkt. The first unfrag bytes, the
// fixed header and the extension headers that routers look at, go into each of
// them, and the octet at offset named says what follows these. Payload is shared
// by reference; its checksum must be complete. Meta is copied. id has to be
// different from that of other fragments to the same destination of late
// (RFC 7739). An MTU that leaves no room for payload drops pkt.
func Split6(pkt *packet.Packet, unfrag, named, mtu int, id uint32, out *packet.Queue) {
	if unfrag < wire.IPv6Len || pkt.HeadLen() < unfrag || named >= unfrag {
		pkt.Drop(stat.IPv6BadExthdr)
		return
	}
	front := pkt.Head()[:unfrag]
	next := front[named]
	head := unfrag + wire.IPv6FragmentLen
	Split(pkt, unfrag, mtu-head, out, func(p *packet.Packet, off, n int, more bool) {
		b := p.Push(head)
		copy(b, front)
		b[named] = wire.ProtoFragment
		binary.BigEndian.PutUint16(b[4:6], uint16(head-wire.IPv6Len+n))
		wire.PutIPv6Fragment(b[unfrag:], next, off, more, id)
		p.L3 = uint16(p.Offset())
	})
}
