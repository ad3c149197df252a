package offload

import (
	"encoding/binary"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/wire"
)

// maxFlows is how many flows of one batch are merged at the same time.
const maxFlows = 8

// maxPacket is the length of a merged packet from the IP header on. IPv6 could do
// 40 bytes more, but not every device.
const maxPacket = 65535

// maxDatagrams is how many datagrams a merged packet has at most (UDP_GRO_CNT_MAX).
const maxDatagrams = 64

// A flow is a packet of the output to which more may still be joined.
type flow struct {
	segment // of the last packet that was joined; seq is that of the next one
	head    *packet.Packet
	size    int  // payload of each segment
	segs    int  // that were joined
	atomic  bool // all have the IPv4 identification 0
	open    bool // more may follow
	pushed  bool // the last segment had PSH
}

// flows is the table for one batch.
type flows struct {
	f    [maxFlows]flow
	n    int // used
	last int // where the last packet belonged
	old  int // the next to make room
}

// Merge joins the segments of TCP connections in q that continue each other (GRO),
// and datagrams of equal size if MergeUDP is set. The packets begin with their IP
// header. The order within a flow stays, and Segment cuts a merged packet into exactly
// those that came. Packets that nobody has checked are checked first; wrong ones stay
// as they are. A merged packet has CsumPartial, so that it can be sent on as it is.
func (o *Offload) Merge(q *packet.Queue) {
	var t flows
	var s segment
	var out packet.Queue
	for pkt := q.Pop(); pkt != nil; pkt = q.Pop() {
		if !s.parse(pkt, o.MergeUDP) || !t.take(pkt, &s) {
			out.Push(pkt)
		}
	}
	for i := range t.n {
		t.f[i].finish()
	}
	*q = out
}

// take joins pkt to its flow, which ends pkt, or reports false and makes it the
// flow's new head if it can be one.
func (t *flows) take(pkt *packet.Packet, s *segment) bool {
	f := t.find(&s.key)
	if f == nil {
		if s.fits {
			t.slot().begin(pkt, s)
		}
		return false
	}
	if f.open && s.fits && f.join(pkt, s) {
		return true
	}
	f.finish()
	f.begin(pkt, s)
	return false
}

func (t *flows) find(k *key) *flow {
	if t.f[t.last].key.equal(k) {
		return &t.f[t.last]
	}
	for i := range t.n {
		if t.f[i].key.equal(k) {
			t.last = i
			return &t.f[i]
		}
	}
	return nil
}

// slot returns a place for one more flow; when all are taken the one that has been
// there longest is finished.
func (t *flows) slot() *flow {
	if t.n < maxFlows {
		t.last = t.n
		t.n++
	} else {
		t.last = t.old
		t.old = (t.old + 1) % maxFlows
		t.f[t.last].finish()
	}
	return &t.f[t.last]
}

// begin makes pkt the head of its flow.
func (f *flow) begin(pkt *packet.Packet, s *segment) {
	*f = flow{segment: *s, head: pkt, size: s.pay, segs: 1, open: s.fits && !s.last}
	f.atomic = !s.v6 && isAtomic(s.id, s.same&sameDF != 0)
	f.seq += uint32(s.pay)
}

// join puts pkt behind the flow's packet, if it continues it, and ends it.
func (f *flow) join(pkt *packet.Packet, s *segment) bool {
	if s.same != f.same || s.bits != f.bits || s.ack != f.ack || s.n != f.n || s.pay > f.size ||
		f.tcp && s.seq != f.seq || !f.tcp && f.segs == maxDatagrams || f.head.Len()+s.pay > maxPacket || !f.continues(s) || !sameNotes(f.head, pkt) ||
		f.tcp && !sameOptions(f.head, pkt, f.l4, f.n) {
		return false
	}
	pkt.Pull(s.n)
	if !f.head.Join(pkt) {
		pkt.Unpull(s.n)
		return false
	}
	f.id = s.id
	f.seq += uint32(s.pay)
	f.segs++
	f.pushed = s.last
	f.open = !s.last && s.pay == f.size
	return true
}

// sameNotes reports whether the same is known of two packets, by the link and by
// ingress hooks. What modules keep in slots nobody else can compare.
func sameNotes(a, b *packet.Packet) bool {
	return a.Mark == b.Mark && a.Priority == b.Priority && a.Kind == b.Kind && !a.Noted() && !b.Noted()
}

// continues reports whether the IPv4 identification goes on as Segment will let it.
func (f *flow) continues(s *segment) bool {
	switch {
	case f.v6:
		return true
	case f.atomic:
		return s.id == 0
	}
	return s.id == f.id+1
}

// finish makes the headers of a merged packet fit it.
func (f *flow) finish() {
	if f.segs < 2 {
		return
	}
	p := f.head
	b := p.Head()
	if f.v6 {
		binary.BigEndian.PutUint16(b[ip6PayloadLen:], uint16(p.Len()-wire.IPv6Len))
	} else {
		h, _ := wire.ParseIPv4(b)
		h.SetTotalLen(p.Len())
	}
	p.GSO = packet.GSOUDP
	p.CsumOffset = wire.UDPChecksumOffset
	if f.tcp {
		p.GSO, p.CsumOffset = packet.GSOTCP4, wire.TCPChecksumOffset
		if f.v6 {
			p.GSO = packet.GSOTCP6
		}
		if f.pushed {
			b[f.l4+tcpFlagByte] |= wire.TCPPsh
		}
	} else {
		binary.BigEndian.PutUint16(b[f.l4+udpLen:], uint16(p.Len()-f.l4))
	}
	p.GSOSize, p.GSOSegs = uint16(f.size), uint16(f.segs)
	p.Csum = packet.CsumPartial
	p.L3, p.L4 = uint16(p.Offset()), uint16(p.Offset()+f.l4)
	p.CsumStart = p.L4
	binary.BigEndian.PutUint16(b[f.l4+int(p.CsumOffset):], f.pseudo(p).Fold())
}
