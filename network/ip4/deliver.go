package ip4

import (
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/network"
)

// deliver runs the Input hooks and gives runs of packets of one protocol to their
// handler.
func (p *ip4) deliver(q *packet.Queue) {
	if q.Empty() {
		return
	}
	p.run(&p.hooks.Input, q)
	for !q.Empty() {
		proto := protocolOf(q.Front())
		rest := stripRun(q, proto)
		p.handOver(proto, q)
		*q = rest
	}
}

func protocolOf(pkt *packet.Packet) uint8 { return pkt.Head()[9] }

// stripRun pulls the IP header off the packets from the front of q that have the
// same protocol, leaves these in q and returns the others.
func stripRun(q *packet.Queue, proto uint8) (rest packet.Queue) {
	n := 0
	for pkt := q.Front(); pkt != nil && protocolOf(pkt) == proto; pkt = pkt.Next() {
		pkt.L3, pkt.FragMax = uint16(pkt.Offset()), 0
		pkt.Pull(int(pkt.Head()[0]&0xf) * 4)
		pkt.L4 = uint16(pkt.Offset())
		n++
	}
	if n == q.Len() {
		return rest
	}
	rest, *q = *q, packet.Queue{}
	for range n {
		q.Push(rest.Pop())
	}
	return rest
}

// handOver gives packets to raw sockets, which take copies, and to the protocol's
// handler.
func (p *ip4) handOver(proto uint8, q *packet.Queue) {
	h := p.net.Handler(network.V4, proto)
	raw := p.net.HasRaw(network.V4, proto)
	if raw && h != nil {
		for pkt := q.Front(); pkt != nil; pkt = pkt.Next() {
			p.net.RawInput(network.V4, proto, pkt)
		}
	}
	if h != nil {
		p.mib.inDelivers.Add(uint64(q.Len()))
		h.Input(q)
		return
	}
	for pkt := q.Pop(); pkt != nil; pkt = q.Pop() {
		if p.net.RawInput(network.V4, proto, pkt) {
			p.mib.inDelivers.Inc()
			pkt.Consume()
			continue
		}
		p.mib.inUnknownProtos.Inc()
		p.net.SendError(network.V4, network.ProtoUnreachable, pkt) // RFC 1122 §3.2.2.1
		pkt.Drop(stat.IPNoProto)
	}
}

// expired ends the first fragment of a datagram that never became complete: "if
// fragment zero is not available then no time exceeded need be sent at all"
// (RFC 792), so the others do not come here.
func (p *ip4) expired(pkt *packet.Packet) {
	if pkt.Kind == packet.Host {
		p.net.SendError(network.V4, network.ReassemblyTimeExceeded, pkt)
	}
	pkt.Drop(stat.FragReasmTimeout)
}
