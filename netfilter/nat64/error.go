package nat64

import (
	"math/rand/v2"
	"net/netip"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/netfilter/nat64/internal/xlat"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/wire"
)

// A scratch holds an ICMP error on its way from one version to the other.
type scratch struct{ in, out [xlat.MaxError]byte }

// error6 translates an ICMPv6 error about a packet that came from dst (RFC 6146
// §3.4, RFC 7915 §5.2). Its sender may be any router, which has no IPv4 address:
// the error comes from the address that stands for the receiver of the quoted packet.
func (x *translator) error6(pkt *packet.Packet, s *xlat.Six, dst [4]byte, out *packet.Queue) {
	buf := x.buffers.Get().(*scratch)
	defer x.buffers.Put(buf)
	in := buf.in[:pkt.CopyOut(s.L4, buf.in[:])]
	m, _ := wire.ParseICMP6(in)
	quoted, _ := m.Quoted()
	q, p := xlat.Parse6(quoted)
	peerAddr, under := x.prefix.Extract(&q.Src)
	switch {
	case !sound(pkt, s.L4, wire.PseudoIPv6(s.Src, s.Dst, wire.ProtoICMPv6, pkt.Len()-s.L4)):
		x.drop(pkt, stat.ICMPCsum)
		return
	case p != xlat.Fine, !under, peerAddr != dst, q.Fragment.Offset > 0:
		x.drop(pkt, x.reasons.untranslatable)
		return
	}
	f := flow6{inside{q.Dst, q.DstPort, q.Proto}, peer{dst, q.SrcPort}}
	if q.Proto == wire.ProtoICMPv6 {
		f.proto, f.peer.port = wire.ProtoICMP, 0
	}
	ses := x.table.by6.get(f)
	if ses == nil {
		x.drop(pkt, x.reasons.noBinding)
		return
	}
	o := ses.outside
	n := xlat.New4{Src: dst, Dst: o.addr, SrcPort: q.SrcPort, DstPort: o.port}
	if q.Proto == wire.ProtoICMPv6 {
		n.SrcPort = o.port
	}
	size, p := xlat.Error4(buf.out[:], in, &q, &n, x.mtus(dst, q.Dst))
	if p != xlat.Fine {
		x.problem(network.V6, pkt, p, 0)
		return
	}
	wire.FinishICMP4(buf.out[:size])
	h, _ := wire.ParseIPv6(pkt.Head())
	head := wire.IPv4Fields{ // short enough to be fragmented (RFC 7915 §5.1)
		TOS: h.TrafficClass(), TTL: h.HopLimit(), Protocol: wire.ProtoICMP, TotalLen: uint16(wire.IPv4Len + size),
		ID: uint16(rand.Uint32()), Src: o.addr, Dst: dst,
	}
	e := replace(pkt, buf.out[:size])
	wire.PutIPv4(e.Push(wire.IPv4Len), &head)
	e.Proto = wire.EtherTypeIPv4
	x.counters.errors4.Inc()
	x.emit(e, out)
}

// error4 translates an ICMP error about a packet that went to the outside (RFC 6146
// §3.4, RFC 7915 §4.2).
func (x *translator) error4(pkt *packet.Packet, s *xlat.Four, routed bool, out *packet.Queue) {
	buf := x.buffers.Get().(*scratch)
	defer x.buffers.Put(buf)
	in := buf.in[:pkt.CopyOut(s.L4, buf.in[:])]
	m, _ := wire.ParseICMP4(in)
	quoted, _ := m.Quoted()
	q, p := xlat.Parse4(quoted)
	switch {
	case !sound(pkt, s.L4, 0):
		x.drop(pkt, stat.ICMPCsum)
		return
	case p != xlat.Fine, q.Src != s.Dst, q.Fragment.Offset > 0:
		x.drop(pkt, x.reasons.untranslatable)
		return
	}
	ses := x.table.by4.get(quotedFlow(&q))
	if ses == nil {
		x.drop(pkt, x.reasons.noBinding)
		return
	}
	n := xlat.New6{Src: ses.addr, Dst: x.prefix.Embed(q.Dst), SrcPort: ses.port, DstPort: q.DstPort}
	size, p := xlat.Error6(buf.out[:], in, &q, &n, x.mtus(q.Dst, ses.addr))
	if p != xlat.Fine {
		x.problem(network.V4, pkt, p, 0)
		return
	}
	h, _ := wire.ParseIPv4(pkt.Head())
	head := wire.IPv6Fields{
		TrafficClass: h.TOS(), HopLimit: h.TTL(), NextHeader: wire.ProtoICMPv6, PayloadLen: uint16(size),
		Src: x.errorSource(s.Src, ses.addr), Dst: ses.addr,
	}
	if routed {
		head.HopLimit++
	}
	wire.FinishICMP6(buf.out[:size], head.Src, head.Dst)
	e := replace(pkt, buf.out[:size])
	wire.PutIPv6(e.Push(wire.IPv6Len), &head)
	e.Proto = wire.EtherTypeIPv6
	x.counters.errors6.Inc()
	x.emit(e, out)
}

// sound reports whether an ICMP message has a checksum that is right: it gets a new
// one, which must not hide damage.
func sound(pkt *packet.Packet, l4 int, pseudo wire.PartialSum) bool {
	return pkt.Csum != packet.CsumNone || link.ChecksumFrom(pkt, l4, pseudo).Valid()
}

// quotedFlow is the flow, as seen from outside, of a packet that went there.
func quotedFlow(q *xlat.Four) flow4 {
	f := flow4{outside{q.Src, q.SrcPort, q.Proto}, peer{q.Dst, q.DstPort}}
	if q.Proto == wire.ProtoICMP {
		f.peer.port = 0
	}
	return f
}

// errorSource is whom an error comes from. A router may have a private address, for
// which the prefix must not stand: then this host, the translator, reports, as RFC
// 6791 has it the other way round.
func (x *translator) errorSource(from [4]byte, to [16]byte) [16]byte {
	if x.mayEmbed(from) {
		return x.prefix.Embed(from)
	}
	path, err := x.paths.Resolve(network.Flow{Dst: netip.AddrFrom16(to)})
	if err != nil {
		return x.prefix.Embed(from)
	}
	return path.Src.As16()
}

// mtus are those of the links on which a packet leaves for either side.
func (x *translator) mtus(outside [4]byte, inside [16]byte) xlat.MTUs {
	m := xlat.MTUs{Four: deviceMTU, Six: deviceMTU}
	if p, err := x.paths.Resolve(network.Flow{Dst: netip.AddrFrom4(outside)}); err == nil {
		m.Four = min(p.Device.MTU(), deviceMTU)
	}
	if p, err := x.paths.Resolve(network.Flow{Dst: netip.AddrFrom16(inside)}); err == nil {
		m.Six = min(p.Device.MTU(), deviceMTU)
	}
	return m
}

// replace ends pkt and returns a packet with a message for payload, and pkt's marks.
func replace(pkt *packet.Packet, message []byte) *packet.Packet {
	e := pkt.Pool().Get()
	e.Mark, e.Priority, e.Encap = pkt.Mark, pkt.Priority, pkt.Encap
	e.Append(message)
	e.Csum = packet.CsumUnnecessary
	pkt.Consume()
	return e
}

// refused tells the sender of a SYN that nobody inside wanted it, by a Port
// Unreachable with the packet that had been stored (RFC 6146 §3.5.2.2).
func (x *translator) refused(pkt *packet.Packet) {
	w := x.net.Walks.Enter()
	defer w.Exit()
	x.net.SendError(network.V4, network.PortUnreachable, pkt)
	x.drop(pkt, stat.NoSocket)
}

// probe asks the inside whether a TCP connection lives: by a segment without data,
// whose sequence and acknowledgment numbers are zero and which has no flag but ACK
// (RFC 6146 §3.5.2.2).
func (x *translator) probe(s *session) {
	w := x.net.Walks.Enter()
	defer w.Exit()
	src, dst := x.prefix.Embed(s.peer.addr), s.addr
	pkt := x.net.Pool.Get()
	t := pkt.Extend(wire.TCPLen)
	f := wire.TCPFields{SrcPort: s.peer.port, DstPort: s.port, Flags: wire.TCPAck}
	wire.PutTCP(t, &f, 0)
	f.Checksum = wire.Sum(t, wire.PseudoIPv6(src, dst, wire.ProtoTCP, wire.TCPLen)).Finish()
	wire.PutTCP(t, &f, 0)
	wire.PutIPv6(pkt.Push(wire.IPv6Len), &wire.IPv6Fields{
		NextHeader: wire.ProtoTCP, HopLimit: 64, PayloadLen: wire.TCPLen, Src: src, Dst: dst,
	})
	pkt.Proto = wire.EtherTypeIPv6
	x.counters.probes.Inc()
	q := x.queues.Get().(*packet.Queue)
	q.Push(pkt)
	x.inject(q)
	x.queues.Put(q)
}
