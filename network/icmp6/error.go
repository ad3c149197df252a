package icmp6

import (
	"cmp"
	"time"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/wire"
)

// maxQuote is how much of a packet an error quotes: "as much of invoking packet as
// possible without the ICMPv6 packet exceeding the minimum IPv6 MTU" (RFC 4443
// §3.1).
const maxQuote = wire.IPv6MinMTU - wire.IPv6Len - wire.ICMPLen

// SendError implements network.ErrorSender.
func (m *icmp6) SendError(kind network.ErrorKind, code uint8, mtu int, pointer uint32, pkt *packet.Packet) {
	typ, code, rest, ok := encode(kind, code, mtu, pointer)
	ip, isIP := wire.ParseIPv6(pkt.At(pkt.L3))
	if !ok || !isIP || !mayAnswer(typ, code, ip, pkt) {
		return
	}
	path, err := m.paths.Resolve(m.answerFlow(ip, pkt))
	if err != nil {
		m.mib.outErrors.Inc()
		return
	}
	interval := time.Duration(m.ratelimit.Load()) * time.Millisecond
	if typ != wire.ICMP6PacketTooBig && !m.net.IsInner(path.Device) && // path MTU discovery depends on the former
		!m.limit.allow(path.Dst, m.net.Clock.Now(), interval) {
		m.mib.outRateLimited.Inc()
		return
	}
	q := m.queues.Get().(*packet.Queue)
	e := quote(pkt, typ, code, rest)
	m.net.Answer(e, pkt)
	q.Push(e)
	m.send(path, 0, m.net.ReplyMark(network.V6, pkt.Mark), q)
	m.queues.Put(q)
}

// encode turns an error into a message's first 8 bytes.
func encode(kind network.ErrorKind, code uint8, mtu int, pointer uint32) (typ, c uint8, rest uint32, ok bool) {
	switch kind {
	case network.NetUnreachable:
		return wire.ICMP6Unreachable, wire.ICMP6NoRoute, 0, true
	case network.AdminProhibited:
		if code == wire.ICMP6SourcePolicy || code == wire.ICMP6RejectRoute {
			return wire.ICMP6Unreachable, code, 0, true
		}
		return wire.ICMP6Unreachable, wire.ICMP6AdminProhibited, 0, true
	case network.BeyondScope:
		return wire.ICMP6Unreachable, wire.ICMP6BeyondScope, 0, true
	case network.HostUnreachable:
		return wire.ICMP6Unreachable, wire.ICMP6AddrUnreachable, 0, true
	case network.PortUnreachable:
		return wire.ICMP6Unreachable, wire.ICMP6PortUnreachable, 0, true
	case network.PacketTooBig:
		return wire.ICMP6PacketTooBig, 0, uint32(mtu), true
	case network.TimeExceeded:
		return wire.ICMP6TimeExceeded, wire.ICMP6HopLimitExceeded, 0, true
	case network.ReassemblyTimeExceeded:
		return wire.ICMP6TimeExceeded, wire.ICMP6ReassemblyExceeded, 0, true
	case network.ParameterProblem:
		return wire.ICMP6ParamProblem, code, pointer, true
	case network.ProtoUnreachable:
		return wire.ICMP6ParamProblem, wire.ICMP6BadNextHeader, pointer, true
	}
	return 0, 0, 0, false
}

// mayAnswer holds a packet against RFC 4443 §2.4 (e): "An ICMPv6 error message MUST
// NOT be originated as a result of receiving
//
//	(e.1) An ICMPv6 error message.
//	(e.2) An ICMPv6 redirect message.
//	(e.3) A packet destined to an IPv6 multicast address. (There are two exceptions
//	to this rule: (1) the Packet Too Big Message [...] and (2) the Parameter Problem
//	Message, Code 2 [...].)
//	(e.4) A packet sent as a link-layer multicast (the exceptions apply to this
//	case, too).
//	(e.5) A packet sent as a link-layer broadcast (the exceptions apply [...]).
//	(e.6) A packet whose source address does not uniquely identify a single node".
func mayAnswer(typ, code uint8, ip wire.IPv6, pkt *packet.Packet) bool {
	src := ip.Src16()
	if src[0] == 0xff || src == [16]byte{} {
		return false
	}
	exception := typ == wire.ICMP6PacketTooBig || typ == wire.ICMP6ParamProblem && code == wire.ICMP6BadOption
	toMany := ip.Dst16()[0] == 0xff || pkt.Kind == packet.Multicast || pkt.Kind == packet.Broadcast
	if toMany && !exception {
		return false
	}
	proto, off, first, ok := ip.Upper()
	if proto != wire.ProtoICMPv6 {
		return true
	}
	b := pkt.At(pkt.L3)
	if !ok || !first || off >= len(b) {
		return false // it may be an error
	}
	return b[off] >= wire.ICMP6Echo && b[off] != wire.ICMP6Redirect
}

// answerFlow is the way back to who sent a packet. The source of the error is the
// packet's destination if that is ours (RFC 4443 §2.2), else what is chosen.
func (m *icmp6) answerFlow(ip wire.IPv6, pkt *packet.Packet) network.Flow {
	f := network.Flow{Dst: ip.Src(), Index: m.net.VRF(cmp.Or(pkt.In, pkt.Out)), Mark: m.net.ReplyMark(network.V6, pkt.Mark)}
	if dst := ip.Dst(); m.net.IsLocalTo(dst, pkt.In) {
		f.Src = dst
	}
	if f.Dst.IsLinkLocalUnicast() || f.Src.IsLinkLocalUnicast() {
		f.Index = pkt.In
	}
	return f
}

// quote returns an error about pkt, from its IP header on.
func quote(pkt *packet.Packet, typ, code uint8, rest uint32) *packet.Packet {
	head := pkt.At(pkt.L3)
	n := min(len(head)+pkt.Len()-pkt.HeadLen(), maxQuote)
	e := pkt.Pool().Get()
	wire.PutICMP6(e.Extend(wire.ICMPLen), typ, code, rest)
	buf := pkt.Pool().Buf(n)
	b := buf.Bytes()[:n]
	if c := copy(b, head); c < n {
		pkt.CopyOut(pkt.HeadLen(), b[c:])
	}
	e.AddFrag(buf, 0, n)
	return e
}
