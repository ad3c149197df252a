package ip6

import (
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/wire"
)

const (
	// maxHeaders bounds the extension headers of a packet (RFC 8504 §5.3 allows a
	// limit; RFC 8200 §4.1 knows of seven in the order it recommends).
	maxHeaders = 8
	// maxOptions bounds the options of one header, padding aside (RFC 8504 §5.3
	// allows that too; Linux: max_hbh_opts_number).
	maxOptions = 8
)

// ensureHeaders brings all extension headers of a packet, and the byte behind
// them, into the head. It reports false, with the packet still the caller's, when
// there are more headers than may be, or larger ones than the head has room for.
// Headers that go beyond the packet's end are for the walk to find.
func ensureHeaders(pkt *packet.Packet) bool {
	off, next := wire.IPv6Len, pkt.Head()[6]
	for range maxHeaders + 1 {
		if !wire.IsIPv6Ext(next) || next == wire.ProtoAH {
			return ensureUpTo(pkt, off+1)
		}
		if !ensureUpTo(pkt, off+8) {
			return false
		}
		b := pkt.Head()
		if off+8 > len(b) {
			return true
		}
		n := (int(b[off+1]) + 1) * 8
		if next == wire.ProtoFragment {
			n = wire.IPv6FragmentLen
			if !first(b[off:]) {
				return true
			}
		}
		next, off = b[off], off+n
		if !ensureUpTo(pkt, off) {
			return false
		}
	}
	return false
}

func ensureUpTo(pkt *packet.Packet, n int) bool { return pkt.Ensure(min(n, pkt.Len())) }

// first reports whether a fragment header is that of a first fragment.
func first(b []byte) bool {
	f, ok := wire.ParseIPv6Fragment(b)
	return ok && f.Offset() == 0
}

// walk returns a walk over the extension headers, which lie in the head.
func walk(pkt *packet.Packet) wire.IPv6Exts {
	h, _ := wire.ParseIPv6(pkt.Head())
	return h.WalkExts()
}

// hopByHop obeys a hop-by-hop options header, which routers and hosts do (RFC 8200
// §4.3). It reports whether the packet is still there.
func (p *ip6) hopByHop(pkt *packet.Packet) bool {
	if !pkt.Ensure(wire.IPv6Len+8) || !ensureUpTo(pkt, wire.IPv6Len+(int(pkt.Head()[wire.IPv6Len+1])+1)*8) {
		return p.bad(pkt, stat.IPv6BadExthdr)
	}
	w := walk(pkt)
	x, ok := w.Next()
	if !ok {
		return p.bad(pkt, stat.IPv6BadExthdr)
	}
	return p.options(pkt, x)
}

// options obeys the options of a header: none of those known asks for anything
// here, and for the others their type says what to do (RFC 8200 §4.2).
func (p *ip6) options(pkt *packet.Packet, x wire.IPv6Ext) bool {
	n := 0
	w := x.WalkOptions()
	for o, ok := w.Next(); ok; o, ok = w.Next() {
		if n++; n > maxOptions {
			return p.bad(pkt, stat.IPv6BadExthdr)
		}
		if o.Type() == wire.IPv6OptRouterAlert && x.Type() == wire.ProtoHopByHop {
			continue
		}
		switch o.Action() {
		case wire.IPv6OptSkip:
			continue
		case wire.IPv6OptReport:
			p.parameterProblem(pkt, wire.ICMP6BadOption, o.Offset())
		case wire.IPv6OptReportUnicast:
			// "only if the packet's Destination Address was not a multicast address"
			if pkt.At(pkt.L3)[24] != 0xff {
				p.parameterProblem(pkt, wire.ICMP6BadOption, o.Offset())
			}
		}
		return p.bad(pkt, stat.IPv6BadExthdr)
	}
	if pointer, bad := w.Bad(); bad {
		p.parameterProblem(pkt, wire.ICMP6BadField, pointer)
		return p.bad(pkt, stat.IPv6BadExthdr)
	}
	return true
}

// reassemble gives a fragment to the table. It returns the packet that goes on: pkt
// if it is no fragment, the whole datagram if pkt was its last one, or nil.
func (p *ip6) reassemble(pkt *packet.Packet) *packet.Packet {
	if !ensureHeaders(pkt) {
		p.bad(pkt, stat.IPv6BadExthdr)
		return nil
	}
	w := walk(pkt)
	at, named := 0, 0
	for {
		n := w.NamedAt()
		x, ok := w.Next()
		if !ok || x.Type() == wire.ProtoAH {
			break
		}
		if x.Type() == wire.ProtoFragment {
			if at != 0 {
				// A fragment within a fragment: RFC 8200 §4.1 wants each header at
				// most once.
				p.bad(pkt, stat.IPv6BadExthdr)
				return nil
			}
			at, named = x.Offset(), n
		}
	}
	if at == 0 {
		return pkt
	}
	if err, pointer := w.Err(); err != wire.IPv6ExtFine {
		p.brokenChain(pkt, err, pointer)
		return nil
	}
	whole, pointer := p.frags.Input6(pkt, at, named)
	if pointer != 0 {
		p.parameterProblem(pkt, wire.ICMP6BadField, pointer)
		p.bad(pkt, stat.IPv6BadExthdr)
		return nil
	}
	if whole != nil && isNeighbourDiscovery(whole) {
		p.bad(whole, stat.IPv6NDiscFrag)
		return nil
	}
	return whole
}

// isNeighbourDiscovery reports whether a packet that came in fragments is one that
// must not: "Nodes MUST silently ignore the following Neighbor Discovery [...]
// messages if the packet carrying them includes an IPv6 Fragmentation Header"
// (RFC 6980 §5).
func isNeighbourDiscovery(pkt *packet.Packet) bool {
	if !ensureHeaders(pkt) {
		return false // it will not get further anyway
	}
	h, _ := wire.ParseIPv6(pkt.Head())
	proto, off, _, ok := h.Upper()
	if !ok || proto != wire.ProtoICMPv6 || off >= pkt.HeadLen() {
		return false
	}
	typ := pkt.Head()[off]
	return typ >= wire.ICMP6RouterSolicit && typ <= wire.ICMP6Redirect
}

// brokenChain answers a chain of headers that stops early, and ends pkt.
func (p *ip6) brokenChain(pkt *packet.Packet, err wire.IPv6ExtError, pointer int) {
	switch err {
	case wire.IPv6ExtIncomplete:
		// A first fragment has to hold all headers; the error for one that does not
		// has code 3 and a pointer of zero (RFC 7112 §5).
		p.parameterProblem(pkt, wire.ICMP6IncompleteChain, 0)
	case wire.IPv6ExtMisplaced:
		p.parameterProblem(pkt, wire.ICMP6BadNextHeader, pointer)
	}
	p.bad(pkt, stat.IPv6BadExthdr)
}

// obey obeys the extension headers of a whole packet and takes them off together
// with the fixed one. It returns the protocol of what is left; not ok means that
// the packet has been ended.
func (p *ip6) obey(pkt *packet.Packet) (proto uint8, ok bool) {
	if h := pkt.Head(); !wire.IsIPv6Ext(h[6]) {
		pkt.Pull(wire.IPv6Len)
		pkt.L4, pkt.FragMax = uint16(pkt.Offset()), 0
		return h[6], true
	}
	if !ensureHeaders(pkt) {
		return 0, p.bad(pkt, stat.IPv6BadExthdr)
	}
	w := walk(pkt)
	for {
		proto, off := w.Upper()
		x, more := w.Next()
		if !more || proto == wire.ProtoAH { // AH is a protocol that nobody handles
			if err, pointer := w.Err(); err != wire.IPv6ExtFine && proto != wire.ProtoAH {
				p.brokenChain(pkt, err, pointer)
				return 0, false
			}
			pkt.Pull(off)
			pkt.L4, pkt.FragMax = uint16(pkt.Offset()), 0
			return proto, true
		}
		if !p.obeyOne(pkt, x) {
			return 0, false
		}
	}
}

func (p *ip6) obeyOne(pkt *packet.Packet, x wire.IPv6Ext) bool {
	switch x.Type() {
	case wire.ProtoDstOpts:
		return p.options(pkt, x)
	case wire.ProtoRouting:
		// "If Segments Left is non-zero, the node must discard the packet and send
		// an ICMP Parameter Problem, Code 0, message to the packet's Source
		// Address, pointing to the unrecognized Routing Type" (RFC 8200 §4.4), and
		// type 0 is to be handled so (RFC 5095 §3).
		if x.SegmentsLeft() != 0 {
			p.parameterProblem(pkt, wire.ICMP6BadField, x.Offset()+2)
			return p.bad(pkt, stat.IPv6BadExthdr)
		}
	case wire.ProtoFragment: // the only legal one is gone
		return p.bad(pkt, stat.IPv6BadExthdr)
	}
	return true // hop-by-hop: obeyed when it came in
}

func (p *ip6) parameterProblem(pkt *packet.Packet, code uint8, pointer int) {
	p.net.SendErrorDetail(network.V6, network.ParameterProblem, code, 0, uint32(pointer), pkt)
}

// namedAt returns the offset of the octet that names the upper protocol of a
// packet whose headers were taken off.
func namedAt(pkt *packet.Packet) int {
	h, _ := wire.ParseIPv6(pkt.At(pkt.L3))
	end := int(pkt.L4) - int(pkt.L3)
	w := h.WalkExts()
	for {
		if _, off := w.Upper(); off >= end {
			return w.NamedAt()
		}
		if _, ok := w.Next(); !ok {
			return w.NamedAt()
		}
	}
}
