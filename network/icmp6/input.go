package icmp6

import (
	"encoding/binary"
	"net/netip"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/wire"
)

// Input implements network.Handler.
func (m *icmp6) Input(q *packet.Queue) {
	in := *q
	*q = packet.Queue{}
	for pkt := in.Pop(); pkt != nil; pkt = in.Pop() {
		m.message(pkt, q)
	}
}

// message takes one message. q is empty, for answers.
func (m *icmp6) message(pkt *packet.Packet, q *packet.Queue) {
	m.mib.inMsgs.Inc()
	if !pkt.Ensure(wire.ICMPLen) {
		m.mib.inErrors.Inc()
		pkt.Drop(stat.PktTooSmall)
		return
	}
	ip, ok := wire.ParseIPv6(pkt.At(pkt.L3))
	if !ok || pkt.Csum == packet.CsumNone && !link.ChecksumFrom(pkt, 0, ip.PseudoSum(wire.ProtoICMPv6, pkt.Len())).Valid() {
		m.mib.inCsumErrors.Inc()
		m.mib.inErrors.Inc()
		pkt.Drop(stat.ICMPCsum)
		return
	}
	typ := pkt.Head()[0]
	m.mib.in[typ].Inc()
	switch f := m.net.ICMP(network.V6, typ); {
	case typ < wire.ICMP6Echo:
		m.error(pkt, ip)
	case typ == wire.ICMP6Echo:
		m.echo(pkt, ip, q)
	case f != nil:
		f(pkt)
	case typ == wire.ICMP6EchoReply: // ping sockets have seen it
		pkt.Consume()
	default:
		// "If an ICMPv6 informational message of unknown type is received, it MUST
		// be silently discarded" (RFC 4443 §2.4 (b)).
		pkt.Drop(stat.UnhandledProto)
	}
}

// echo answers a request (RFC 4443 §4.2) with the same packet turned around.
func (m *icmp6) echo(pkt *packet.Packet, ip wire.IPv6, q *packet.Queue) {
	group := ip.Dst16()[0] == 0xff
	if m.echoIgnoreAll.Load() || group && m.echoIgnoreGroup.Load() || ip.Src().IsUnspecified() {
		pkt.Drop(stat.NotSpecified)
		return
	}
	mark := m.net.ReplyMark(network.V6, pkt.Mark)
	f := network.Flow{Dst: ip.Src(), Src: ip.Dst(), Index: m.net.VRF(pkt.In), Mark: mark}
	if group {
		// "SHOULD be sent in response to an Echo Request message sent to an IPv6
		// multicast [...] address. In this case, the source address of the reply
		// MUST be a unicast address belonging to the interface on which the
		// Echo Request message was received".
		f.Src, f.Index = netip.Addr{}, pkt.In
	}
	if f.Dst.IsLinkLocalUnicast() || ip.Dst().IsLinkLocalUnicast() {
		f.Index = pkt.In
	}
	path, err := m.paths.Resolve(f)
	if err != nil {
		m.mib.outErrors.Inc()
		pkt.Drop(stat.IPOutNoRoutes)
		return
	}
	tos := ip.TrafficClass()
	turnAround(pkt)
	pkt.Head()[0] = wire.ICMP6EchoReply
	q.Push(pkt)
	m.send(path, tos, mark, q)
}

// count counts one message as sent.
func (m *icmp6) count(typ uint8) {
	m.mib.outMsgs.Inc()
	m.mib.out[typ].Inc()
}

// send sends one message, whose checksum is left to the device, along path.
func (m *icmp6) send(path *network.Path, tos uint8, mark uint32, q *packet.Queue) {
	pkt := q.Front()
	m.count(pkt.Head()[0])
	pseudo := wire.PseudoIPv6(path.Src.As16(), path.Dst.As16(), wire.ProtoICMPv6, pkt.Len())
	binary.BigEndian.PutUint16(pkt.Head()[2:4], pseudo.Fold())
	pkt.Csum, pkt.CsumStart, pkt.CsumOffset = packet.CsumPartial, uint16(pkt.Offset()), 2
	s := m.sends.Get().(*network.Send)
	*s = network.Send{Path: path, Proto: wire.ProtoICMPv6, TOS: tos, Mark: mark, Socket: m.net.OwnSocket()}
	m.net.Send(s, q)
	*s = network.Send{}
	m.sends.Put(s)
}

// turnAround makes a received packet, whose network header was taken off, one to
// be sent.
func turnAround(pkt *packet.Packet) {
	pkt.Scrub()
	pkt.Meta = packet.Meta{Encap: pkt.Encap}
}
