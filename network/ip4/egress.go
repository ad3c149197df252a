package ip4

import (
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/frag"
	"github.com/knitnet/knit/network/route"
	"github.com/knitnet/knit/wire"
)

// egress runs the Postrouting hooks, cuts what is larger than mtu and gives the
// rest to the next hop. It owns q.
func (p *ip4) egress(path *network.Path, mtu int, q *packet.Queue) {
	p.run(&p.hooks.Postrouting, q)
	var octets uint64
	small := true
	for pkt := q.Front(); pkt != nil; pkt = pkt.Next() {
		octets += uint64(pkt.Len())
		small = small && pkt.Len() <= mtu && pkt.FragMax == 0
	}
	if !small {
		p.cut(q, mtu)
	}
	if q.Empty() {
		return
	}
	p.mib.outOctets.Add(octets)
	path.Transmit(q)
}

// fits reports whether a packet, or each of the segments or fragments it will be cut
// into whatever its DF says, fits into mtu bytes.
func fits(pkt *packet.Packet, mtu int) bool {
	if pkt.FragMax != 0 {
		return min(pkt.Len(), int(pkt.FragMax)) <= mtu
	}
	return pkt.Len() <= mtu || pkt.GSO != packet.GSONone && segmentLen(pkt) <= mtu
}

// segmentLen returns the length of the longest segment of a GSO packet that begins
// with its IP header.
func segmentLen(pkt *packet.Packet) int {
	n := int(pkt.Head()[0]&0xf) * 4
	switch {
	case pkt.GSO == packet.GSOUDP:
		n += wire.UDPLen
	case pkt.HeadLen() >= n+wire.TCPLen:
		n += int(pkt.Head()[n+12]>>4) * 4
	default:
		n += wire.TCPMaxLen
	}
	return n + int(pkt.GSOSize)
}

// cut replaces packets of q that are too large by their fragments.
func (p *ip4) cut(q *packet.Queue, mtu int) {
	in := *q
	*q = packet.Queue{}
	for pkt := in.Pop(); pkt != nil; pkt = in.Pop() {
		switch {
		case pkt.FragMax != 0:
			p.refragment(pkt, mtu, q)
		case fits(pkt, mtu):
			q.Push(pkt)
		case pkt.GSO != packet.GSONone && !isDF(pkt):
			p.cutSegments(pkt, mtu, q)
		default:
			p.fragment(pkt, mtu, q)
		}
	}
}

func isDF(pkt *packet.Packet) bool { return pkt.Head()[6]&0x40 != 0 }

// cutSegments cuts a GSO packet whose segments are too large for the link.
func (p *ip4) cutSegments(pkt *packet.Packet, mtu int, q *packet.Queue) {
	var segments packet.Queue
	p.offload.Segment(pkt, &segments)
	for s := segments.Pop(); s != nil; s = segments.Pop() {
		if s.Len() <= mtu {
			q.Push(s)
			continue
		}
		p.fragment(s, mtu, q)
	}
}

// fragment cuts one packet into fragments (RFC 791 §3.2), unless that is forbidden.
func (p *ip4) fragment(pkt *packet.Packet, mtu int, q *packet.Queue) {
	if isDF(pkt) {
		p.tooBig(pkt, mtu)
		return
	}
	if !link.CompleteChecksum(pkt) {
		p.mib.fragFails.Inc()
		pkt.Drop(stat.SkbCsum)
		return
	}
	p.split(pkt, mtu, q)
}

func (p *ip4) split(pkt *packet.Packet, mtu int, q *packet.Queue) {
	before := q.Len()
	frag.Split4(pkt, mtu, q)
	if made := q.Len() - before; made > 0 {
		p.mib.fragOKs.Inc()
		p.mib.fragCreates.Add(uint64(made))
		return
	}
	p.mib.fragFails.Inc()
}

// refragment cuts a packet that came in fragments again, into such that are no
// larger than the largest: their sender may have found out that no larger ones get
// through. It may have forbidden to cut those further.
func (p *ip4) refragment(pkt *packet.Packet, mtu int, q *packet.Queue) {
	largest := int(pkt.FragMax)
	pkt.FragMax = 0
	switch {
	case isDF(pkt) && largest > mtu:
		p.tooBig(pkt, mtu)
	case !link.CompleteChecksum(pkt):
		p.mib.fragFails.Inc()
		pkt.Drop(stat.SkbCsum)
	default:
		p.split(pkt, min(mtu, largest), q)
	}
}

// castOut counts packets for many, and gives this host its own copy of them: it
// hears the broadcasts it sends, and what it sends to groups that it is in unless
// the sender does not want that (RFC 1112 §6.1). A TTL of 0 keeps packets for
// groups inside.
func (p *ip4) castOut(path *network.Path, noLoop bool, q *packet.Queue) {
	group := path.Type == route.Multicast
	for pkt := q.Front(); pkt != nil; pkt = pkt.Next() {
		if group {
			countCast(&p.mib.outMcastPkts, &p.mib.outMcastOctets, pkt)
		} else {
			countCast(&p.mib.outBcastPkts, &p.mib.outBcastOctets, pkt)
		}
	}
	if p.net.IsInner(path.Device) {
		return // all of it comes back
	}
	if !group || !noLoop && p.listens(path) {
		p.loopCopies(path, group, q)
	}
	if group {
		p.keepInside(q)
	}
}

// listens reports whether this host is in the group it sends to.
func (p *ip4) listens(path *network.Path) bool {
	return path.Dst.As4() == [4]byte{224, 0, 0, 1} || p.net.Accepts(path.Device.Index(), path.Dst, path.Src)
}

// loopCopies delivers copies of q to this host, as if they had come in by the
// device they leave by.
func (p *ip4) loopCopies(path *network.Path, group bool, q *packet.Queue) {
	sent := *q
	*q = packet.Queue{}
	for pkt := sent.Front(); pkt != nil; pkt = pkt.Next() {
		c := pkt.Clone()
		c.Scrub()
		c.In, c.L3 = path.Device.Index(), uint16(c.Offset())
		c.Kind = packet.Broadcast
		if group {
			c.Kind = packet.Multicast
		}
		q.Push(c)
	}
	p.run(&p.hooks.Prerouting, q)
	p.deliver(q)
	*q = sent
}

func (p *ip4) keepInside(q *packet.Queue) {
	inside := 0
	for pkt := q.Front(); pkt != nil; pkt = pkt.Next() {
		if pkt.Head()[8] == 0 {
			inside++
		}
	}
	if inside == 0 {
		return
	}
	in := *q
	*q = packet.Queue{}
	for pkt := in.Pop(); pkt != nil; pkt = in.Pop() {
		if pkt.Head()[8] == 0 {
			pkt.Consume()
			continue
		}
		q.Push(pkt)
	}
}
