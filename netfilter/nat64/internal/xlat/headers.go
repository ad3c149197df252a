// Package xlat turns IPv6 packets into IPv4 packets and back (RFC 7915): headers,
// ICMP messages and the packets that ICMP errors quote. It knows no state: who
// translates says what the addresses and ports become.
package xlat

import (
	"encoding/binary"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/wire"
)

var be = binary.BigEndian

// A Problem is why a packet is not translated.
type Problem uint8

// Problems.
const (
	Fine Problem = iota
	// Truncated: a header is not all there, or says something impossible.
	Truncated
	// SourceRoute: the packet has not been everywhere that its source wants it to be:
	// such a one must not be translated (RFC 7915 §4.1, §5.1).
	SourceRoute
	// Protocol: neither TCP nor UDP nor ICMP (RFC 6146 §3.5).
	Protocol
	// Untranslatable: an ICMP message that the other version does not have.
	Untranslatable
	// Nested: an ICMP error about an ICMP error.
	Nested
	// TooLong: the other version cannot say how long it is, or the head has no room.
	TooLong
)

// A Fragment is what a packet says of fragmentation.
type Fragment struct {
	// Present: there is a fragment header (IPv6), or the packet is a fragment (IPv4).
	Present bool
	More    bool
	Offset  int // of the payload in bytes
	ID      uint32
}

// Is reports whether the packet is a part of a larger one.
func (f *Fragment) Is() bool { return f.More || f.Offset > 0 }

// An Upper is what lies behind the network headers.
type Upper struct {
	Proto uint8
	// L4 is where the transport header begins, from the IP header on.
	L4 int
	// SrcPort and DstPort are the ports, or both the identifier of an ICMP echo.
	SrcPort, DstPort uint16
	// Type and Code are ICMP's.
	Type, Code uint8
	Fragment   Fragment
}

// A Six is what Parse6 finds.
type Six struct {
	Src, Dst [16]byte
	Upper
	// Pointer is what a Parameter Problem about a SourceRoute points to.
	Pointer uint32
	// FragmentAt and NamedAt are where the fragment header lies, and the octet that
	// names it.
	FragmentAt, NamedAt int
}

// A Four is what Parse4 finds.
type Four struct {
	Src, Dst [4]byte
	Upper
	DF bool
}

// maxChain is how many bytes of headers are looked at: the fixed one, extension
// headers, and the transport's (RFC 8504 §5.3 allows a limit).
const maxChain = 256

// Ensure brings the headers of a packet, which begins with its IP header, into its
// head as far as they are looked at, and not much more: payload that moves there is
// copied when the packet is cut.
func Ensure(pkt *packet.Packet) bool {
	if !pkt.Ensure(wire.IPv4Len) {
		return false
	}
	b := pkt.Head()
	next, n := b[9], int(b[0]&0xf)*4
	if b[0]>>4 == 6 {
		next, n = b[6], wire.IPv6Len
	}
	switch {
	case b[0]>>4 == 6 && wire.IsIPv6Ext(next):
		n = maxChain
	case next == wire.ProtoTCP:
		n += wire.TCPLen
	default:
		n += wire.UDPLen
	}
	return pkt.Ensure(min(n, pkt.Len()))
}

// Parse6 reads the headers of an IPv6 packet, of which b is the front. Of a fragment
// other than the first one it cannot tell ports, and of a quotation only what is
// there: 8 bytes of transport header at least.
func Parse6(b []byte) (s Six, p Problem) {
	h, ok := wire.ParseIPv6(b)
	if !ok {
		return s, Truncated
	}
	s.Src, s.Dst = h.Src16(), h.Dst16()
	w := h.WalkExts()
	for {
		named := w.NamedAt()
		x, more := w.Next()
		if !more {
			break
		}
		switch x.Type() {
		case wire.ProtoRouting:
			if x.SegmentsLeft() != 0 {
				s.Pointer = uint32(x.Offset() + 3)
				return s, SourceRoute
			}
		case wire.ProtoFragment:
			f, _ := wire.ParseIPv6Fragment(x.Bytes())
			s.Fragment = Fragment{Present: true, More: f.More(), Offset: f.Offset(), ID: f.ID()}
			s.FragmentAt, s.NamedAt = x.Offset(), named
		case wire.ProtoAH:
			s.Proto = wire.ProtoAH
			return s, Protocol
		}
	}
	s.Proto, s.L4 = w.Upper()
	if err, _ := w.Err(); err != wire.IPv6ExtFine {
		return s, Truncated
	}
	return s, s.read(b, wire.ProtoICMPv6)
}

// Parse4 reads the headers of an IPv4 packet as Parse6 does.
func Parse4(b []byte) (s Four, p Problem) {
	h, ok := wire.ParseIPv4(b)
	if !ok {
		return s, Truncated
	}
	s.Src, s.Dst, s.DF = h.Src4(), h.Dst4(), h.DF()
	s.Proto, s.L4 = h.Protocol(), h.HeaderLen()
	s.Fragment = Fragment{Present: h.IsFragment(), More: h.MF(), Offset: h.FragOffset(), ID: uint32(h.ID())}
	if len(h.Options()) > 0 && unexpiredRoute(h) {
		return s, SourceRoute
	}
	return s, s.read(b, wire.ProtoICMP)
}

// unexpiredRoute reports whether there is a source route with a hop left: its
// pointer is not behind its end (RFC 791 §3.1).
func unexpiredRoute(h wire.IPv4) bool {
	w := h.WalkOptions()
	for o, ok := w.Next(); ok; o, ok = w.Next() {
		route := o.Type() == wire.IPv4OptLooseRoute || o.Type() == wire.IPv4OptStrictRoute
		if _, fine := o.Check(); route && fine && !o.Full() {
			return true
		}
	}
	return false
}

// read reads the ports, or what ICMP has in their place.
func (u *Upper) read(b []byte, icmp uint8) Problem {
	if u.Fragment.Offset > 0 {
		return Fine
	}
	switch u.Proto {
	case wire.ProtoTCP, wire.ProtoUDP, icmp:
	default:
		return Protocol
	}
	if len(b) < u.L4+wire.ICMPLen { // as long as a UDP header, and what errors quote
		return Truncated
	}
	t := b[u.L4:]
	if u.Proto != icmp {
		u.SrcPort, u.DstPort = be.Uint16(t), be.Uint16(t[2:])
		return Fine
	}
	u.Type, u.Code = t[0], t[1]
	if isEcho(u.Type) {
		u.SrcPort = be.Uint16(t[4:])
		u.DstPort = u.SrcPort
	}
	return Fine
}

// isEcho reports whether an ICMP type of either version is a query that is
// translated, or its answer.
func isEcho(typ uint8) bool {
	switch typ {
	case wire.ICMP4Echo, wire.ICMP4EchoReply, wire.ICMP6Echo, wire.ICMP6EchoReply:
		return true
	}
	return false
}
