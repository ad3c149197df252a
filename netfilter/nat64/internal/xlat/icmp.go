package xlat

import (
	"github.com/knitnet/knit/wire"
)

// noType is a type that is not translated.
const noType = 255

// echo4 returns the ICMP type of an ICMPv6 query or answer. Those of Neighbour
// Discovery and Multicast Listener Discovery are for one link, others are not known
// there: they are dropped silently (RFC 7915 §5.2).
func echo4(typ uint8) uint8 {
	switch typ {
	case wire.ICMP6Echo:
		return wire.ICMP4Echo
	case wire.ICMP6EchoReply:
		return wire.ICMP4EchoReply
	}
	return noType
}

// echo6 returns the ICMPv6 type of an ICMP query or answer (RFC 7915 §4.2).
func echo6(typ uint8) uint8 {
	switch typ {
	case wire.ICMP4Echo:
		return wire.ICMP6Echo
	case wire.ICMP4EchoReply:
		return wire.ICMP6EchoReply
	}
	return noType
}

// A message is the first 8 bytes of an ICMP error, without the checksum.
type message struct {
	typ, code uint8
	rest      uint32
	// extensible: the message may have extensions (RFC 4884 §4).
	extensible bool
}

// MTUs are those of the next hops in bytes, on the way of the packet that was too
// big: an error is to tell no more than these allow (RFC 7915 §4.2, §5.2).
type MTUs struct{ Four, Six int }

// error6 translates an ICMP error (RFC 7915 §4.2). total is the length that the quoted
// packet had.
func error6(m wire.ICMP4, total int, mtu MTUs) (x message, ok bool) {
	switch m.Type() {
	case wire.ICMP4Unreachable:
		return unreachable6(m, total, mtu)
	case wire.ICMP4TimeExceeded:
		return message{wire.ICMP6TimeExceeded, m.Code(), 0, true}, true
	case wire.ICMP4ParamProblem:
		if m.Code() != wire.ICMP4BadOctet && m.Code() != wire.ICMP4BadLength {
			return x, false
		}
		at, ok := pointer6(m.Pointer())
		return message{wire.ICMP6ParamProblem, wire.ICMP6BadField, at, false}, ok
	}
	return x, false
}

func unreachable6(m wire.ICMP4, total int, mtu MTUs) (x message, ok bool) {
	x = message{wire.ICMP6Unreachable, wire.ICMP6NoRoute, 0, true}
	switch m.Code() {
	case wire.ICMP4NetUnreachable, wire.ICMP4HostUnreachable, wire.ICMP4SourceRouteFailed, wire.ICMP4NetUnknown,
		wire.ICMP4HostUnknown, wire.ICMP4SourceIsolated, wire.ICMP4NetUnreachableTOS, wire.ICMP4HostUnreachableTOS:
	case wire.ICMP4NetProhibited, wire.ICMP4HostProhibited, wire.ICMP4AdminProhibited, wire.ICMP4PrecedenceCutoff:
		x.code = wire.ICMP6AdminProhibited
	case wire.ICMP4PortUnreachable:
		x.code = wire.ICMP6PortUnreachable
	case wire.ICMP4ProtoUnreachable: // points to the Next Header field
		return message{wire.ICMP6ParamProblem, wire.ICMP6BadNextHeader, 6, false}, true
	case wire.ICMP4FragNeeded:
		return message{wire.ICMP6PacketTooBig, 0, uint32(mtu6(m.MTU(), total, mtu)), false}, true
	default: // host precedence violation, and what nobody has assigned
		return x, false
	}
	return x, true
}

// growth is what an IPv6 header is longer than an IPv4 header.
const growth = wire.IPv6Len - wire.IPv4Len

// plateaus are the MTUs that links have in practice (RFC 1191 §7.1).
var plateaus = [...]int{65535, 32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296, wire.IPv4MinMTU}

// mtu6 is what an ICMPv6 Packet Too Big tells: 20 bytes more than the ICMP message, but
// no more than the next hops allow, and no less than IPv6's least MTU. Where a router
// tells no MTU it is the plateau below the length of the packet (RFC 7915 §4.2).
func mtu6(told, total int, mtu MTUs) int {
	if told == 0 {
		told = wire.IPv4MinMTU
		for _, p := range plateaus {
			if p < total {
				told = p
				break
			}
		}
	}
	return max(wire.IPv6MinMTU, min(told+growth, mtu.Six, mtu.Four+growth))
}

// pointer6 is where the field is in an IPv6 header that lies at an offset of an IPv4
// header (RFC 7915 §4.2).
func pointer6(at uint8) (to uint32, ok bool) {
	switch {
	case at <= 1: // version and length, type of service
		return uint32(at), true
	case at == 2, at == 3: // total length
		return 4, true
	case at == 8: // time to live
		return 7, true
	case at == 9: // protocol
		return 6, true
	case at >= 12 && at <= 15: // source
		return 8, true
	case at >= 16 && at <= 19: // destination
		return 24, true
	}
	return 0, false
}

// error4 translates an ICMPv6 error (RFC 7915 §5.2).
func error4(m wire.ICMP6, mtu MTUs) (x message, ok bool) {
	switch m.Type() {
	case wire.ICMP6Unreachable:
		x = message{wire.ICMP4Unreachable, 0, 0, true}
		switch m.Code() {
		case wire.ICMP6NoRoute, wire.ICMP6BeyondScope, wire.ICMP6AddrUnreachable:
			x.code = wire.ICMP4HostUnreachable
		case wire.ICMP6AdminProhibited:
			x.code = wire.ICMP4HostProhibited
		case wire.ICMP6PortUnreachable:
			x.code = wire.ICMP4PortUnreachable
		default:
			return x, false
		}
		return x, true
	case wire.ICMP6PacketTooBig:
		return message{wire.ICMP4Unreachable, wire.ICMP4FragNeeded, wire.ICMP4MTURest(mtu4(m.MTU(), mtu)), false}, true
	case wire.ICMP6TimeExceeded:
		return message{wire.ICMP4TimeExceeded, m.Code(), 0, true}, true
	case wire.ICMP6ParamProblem:
		return parameter4(m)
	}
	return x, false
}

// mtu4 is what an ICMP Fragmentation Needed tells: 20 bytes less than the ICMPv6
// message, and no more than the next hops allow (RFC 7915 §5.2). IPv6 knows no MTU below
// 1280, whatever a message says.
func mtu4(told uint32, mtu MTUs) int {
	t := int(min(max(told, wire.IPv6MinMTU), 1<<16))
	return min(t-growth, mtu.Four, mtu.Six-growth)
}

func parameter4(m wire.ICMP6) (x message, ok bool) {
	switch m.Code() {
	case wire.ICMP6BadField:
		at, ok := pointer4(m.Pointer())
		return message{wire.ICMP4ParamProblem, wire.ICMP4BadOctet, wire.ICMP4PointerRest(at), false}, ok
	case wire.ICMP6BadNextHeader:
		return message{wire.ICMP4Unreachable, wire.ICMP4ProtoUnreachable, 0, false}, true
	}
	return x, false
}

// pointer4 is where the field is in an IPv4 header that lies at an offset of an IPv6
// header (RFC 7915 §5.2).
func pointer4(at uint32) (to int, ok bool) {
	switch {
	case at <= 1: // version, traffic class
		return int(at), true
	case at == 4, at == 5: // payload length
		return 2, true
	case at == 6: // next header
		return 9, true
	case at == 7: // hop limit
		return 8, true
	case at >= 8 && at < 24: // source
		return 12, true
	case at >= 24 && at < 40: // destination
		return 16, true
	}
	return 0, false
}

// IsError4 and IsError6 report whether what Parse4 or Parse6 found is an ICMP error.
func (s *Four) IsError4() bool {
	return s.Proto == wire.ProtoICMP && s.Fragment.Offset == 0 && wire.IsICMP4Error(s.Type)
}

// IsError6 is IsError4 for ICMPv6.
func (s *Six) IsError6() bool {
	return s.Proto == wire.ProtoICMPv6 && s.Fragment.Offset == 0 && s.Type < wire.ICMP6Echo
}
