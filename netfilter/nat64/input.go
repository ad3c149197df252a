package nat64

import (
	"github.com/knitnet/knit/core/hook"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/netfilter/nat64/internal/xlat"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/wire"
)

// priority is behind the destinations that rules change: what is still for an address
// and port of a binding is for the inside.
const priority = hook.DstNAT + 1

// entry is the hook that recognises packets to this host's own addresses which are
// for the inside. Packets to other addresses of the pool come by route.
func (x *translator) entry() hook.Entry {
	return hook.Entry{Owner: moduleName, Priority: priority, Batch: x.take}
}

// take takes such packets out of q and translates them.
func (x *translator) take(q *packet.Queue) {
	pkt := q.Front()
	for pkt != nil && !x.concerns(pkt) {
		pkt = pkt.Next()
	}
	if pkt == nil {
		return
	}
	in := *q
	*q = packet.Queue{}
	out := x.queues.Get().(*packet.Queue)
	for pkt := in.Pop(); pkt != nil; pkt = in.Pop() {
		if x.concerns(pkt) {
			if pkt = x.takeOne(pkt, out); pkt == nil {
				continue
			}
		}
		q.Push(pkt)
	}
	x.inject(out)
	x.queues.Put(out)
}

// concerns reports whether a packet is for an address to which something is mapped,
// and which is this host's.
func (x *translator) concerns(pkt *packet.Packet) bool {
	b := pkt.Head()
	if len(b) < wire.IPv4Len || !x.table.pool.knows([4]byte(b[16:20])) {
		return false
	}
	h, ok := wire.ParseIPv4(b)
	return ok && x.net.IsLocal(h.Dst())
}

// takeOne translates a packet if there is a binding for it, and pushes what comes of
// it to out; else it returns the packet. Fragments are put together first, because
// only the first one tells for whom it is.
func (x *translator) takeOne(pkt *packet.Packet, out *packet.Queue) *packet.Packet {
	if h, ok := wire.ParseIPv4(pkt.Head()); ok && h.IsFragment() {
		if pkt = x.frags[network.V4].Input4(pkt); pkt == nil {
			return nil
		}
	}
	if !xlat.Ensure(pkt) {
		return pkt
	}
	s, p := xlat.Parse4(pkt.Head())
	if p != xlat.Fine || !x.mapped(pkt, &s) {
		return pkt
	}
	if h, _ := wire.ParseIPv4(pkt.Head()); h.TTL() <= 1 {
		x.refuse(network.V4, pkt, network.TimeExceeded, stat.TTLExceeded)
		return nil
	}
	x.translate(pkt, false, out)
	return nil
}

// mapped reports whether a packet, or the packet that an ICMP error quotes, is one of
// a binding's.
func (x *translator) mapped(pkt *packet.Packet, s *xlat.Four) bool {
	if !s.IsError4() {
		return x.table.lookup4(outside{s.Dst, s.DstPort, s.Proto}) != nil
	}
	buf := x.buffers.Get().(*scratch)
	defer x.buffers.Put(buf)
	m, _ := wire.ParseICMP4(buf.in[:pkt.CopyOut(s.L4, buf.in[:])])
	quoted, _ := m.Quoted()
	q, p := xlat.Parse4(quoted)
	return p == xlat.Fine && x.table.by4.get(quotedFlow(&q)) != nil
}
