package icmp6

import (
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/wire"
)

// error takes a received error and tells who sent the packet it is about.
func (m *icmp6) error(pkt *packet.Packet, ip wire.IPv6) {
	e, buf, ok := m.parseError(pkt, ip)
	if ok {
		m.net.Deliver(&e)
	}
	if buf != nil {
		buf.Release(1)
	}
	if !ok {
		m.mib.inErrors.Inc()
		pkt.Drop(stat.HdrTrunc)
		return
	}
	pkt.Consume()
}

// Error implements network.Handler. Echo requests are sent by ping sockets, which
// hear of errors as raw handlers do; nothing else that is sent needs to know.
func (m *icmp6) Error(e *network.Error) {
	if e.Kind == network.PacketTooBig {
		m.net.LearnMTU(e.Dst, e.Index, e.MTU)
	}
}

// parseError finds out which of our packets an error is about. The error's payload
// lies in pkt or in buf, which the caller releases.
func (m *icmp6) parseError(pkt *packet.Packet, ip wire.IPv6) (e network.Error, buf *packet.Buf, ok bool) {
	b := pkt.Head()
	if len(b) < pkt.Len() {
		n := min(pkt.Len(), packet.MaxBuf)
		buf = pkt.Pool().Buf(n)
		b = buf.Bytes()[:pkt.CopyOut(0, buf.Bytes()[:n])]
	}
	msg, _ := wire.ParseICMP6(b)
	quoted, _ := msg.Quoted()
	inner, isIP := wire.ParseIPv6(quoted)
	if !isIP || ip.Dst16()[0] == 0xff || inner.Dst().IsUnspecified() || !m.net.TakesIn(inner.Src(), pkt.In) {
		return e, buf, false
	}
	proto, off, first, _ := inner.Upper()
	if !first || off+8 > len(quoted) {
		return e, buf, false
	}
	e = network.Error{
		Kind: decode(msg.Type(), msg.Code()), From: ip.Src(), Src: inner.Src(), Dst: inner.Dst(), Proto: proto,
		Index: pkt.In, Type: msg.Type(), Code: msg.Code(), Payload: quoted[off:],
	}
	switch msg.Type() {
	case wire.ICMP6PacketTooBig:
		if !plausibleMTU(msg.MTU(), inner) {
			return e, buf, false
		}
		e.MTU = int(msg.MTU())
	case wire.ICMP6ParamProblem:
		e.Pointer = msg.Pointer()
	}
	return e, buf, true
}

// plausibleMTU reports whether a packet can have been too big for mtu. "If a node
// receives a Packet Too Big message reporting a next-hop MTU that is less than the
// IPv6 minimum link MTU, it must discard it" (RFC 8201 §4), and one about a packet
// that would have fitted is made up.
func plausibleMTU(mtu uint32, inner wire.IPv6) bool {
	return mtu >= wire.IPv6MinMTU && uint64(mtu) < uint64(inner.TotalLen())
}

// decode turns type and code into what both IP versions have in common. Errors of
// unknown types are passed on too (RFC 4443 §2.4 (a)).
func decode(typ, code uint8) network.ErrorKind {
	switch typ {
	case wire.ICMP6Unreachable:
		switch code {
		case wire.ICMP6NoRoute:
			return network.NetUnreachable
		case wire.ICMP6AdminProhibited, wire.ICMP6SourcePolicy, wire.ICMP6RejectRoute:
			return network.AdminProhibited
		case wire.ICMP6BeyondScope:
			return network.BeyondScope
		case wire.ICMP6PortUnreachable:
			return network.PortUnreachable
		case wire.ICMP6SourceRoutingError:
			return network.SourceRouteFailed
		}
		return network.HostUnreachable
	case wire.ICMP6PacketTooBig:
		return network.PacketTooBig
	case wire.ICMP6TimeExceeded:
		if code == wire.ICMP6ReassemblyExceeded {
			return network.ReassemblyTimeExceeded
		}
		return network.TimeExceeded
	}
	if typ == wire.ICMP6ParamProblem && code == wire.ICMP6BadNextHeader {
		return network.ProtoUnreachable
	}
	return network.ParameterProblem
}
