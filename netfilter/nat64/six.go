package nat64

import (
	"math/rand/v2"
	"net/netip"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/netfilter/nat64/internal/xlat"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/frag"
	"github.com/knitnet/knit/wire"
)

// six translates a packet from inside (RFC 6146 §3.5, RFC 7915 §5).
func (x *translator) six(pkt *packet.Packet, routed bool, out *packet.Queue) {
	s, p := xlat.Parse6(pkt.Head())
	var ident *uint32
	if p == xlat.Fine && s.Fragment.Is() {
		id := s.Fragment.ID
		if pkt = x.whole6(pkt, &s); pkt == nil {
			return
		}
		if s, p = xlat.Parse6(pkt.Head()); !s.Fragment.Present {
			ident = &id
		}
	}
	if p != xlat.Fine {
		x.problem(network.V6, pkt, p, s.Pointer)
		return
	}
	dst, ok := x.prefix.Extract(&s.Dst)
	switch {
	case !ok:
		x.refuse(network.V6, pkt, network.HostUnreachable, x.reasons.address)
		return
	case x.prefix.Contains(&s.Src) || !x.mayEmbed(dst):
		// A source under the prefix would make a loop (RFC 6146 §3.5).
		x.drop(pkt, x.reasons.address)
		return
	}
	h, _ := wire.ParseIPv6(pkt.Head())
	if routed {
		h.SetHopLimit(h.HopLimit() + 1)
	}
	if s.IsError6() {
		x.error6(pkt, &s, dst, out)
		return
	}
	x.six4(pkt, &s, dst, ident, out)
}

// mayEmbed reports whether packets from or to an IPv4 address are translated: an
// address of one host, and one for which the prefix may stand.
func (x *translator) mayEmbed(a [4]byte) bool {
	return a[0] != 0 && a[0] < 224 && (x.private || x.prefix.MayEmbed(a))
}

// whole6 takes a fragment, and returns the packet that it makes complete: ports are in
// the first one alone (RFC 6146 §3.4).
func (x *translator) whole6(pkt *packet.Packet, s *xlat.Six) *packet.Packet {
	whole, pointer := x.frags[network.V6].Input6(pkt, s.FragmentAt, s.NamedAt)
	switch {
	case pointer != 0:
		x.net.SendErrorDetail(network.V6, network.ParameterProblem, 0, 0, uint32(pointer), pkt)
		x.drop(pkt, stat.IPv6BadExthdr)
	case whole != nil && !xlat.Ensure(whole):
		x.drop(whole, stat.HdrTrunc)
		return nil
	}
	return whole
}

// six4 translates a packet that is no ICMP error. ident is the identification of the
// fragments that it was put together from, or nil.
func (x *translator) six4(pkt *packet.Packet, s *xlat.Six, dst [4]byte, ident *uint32, out *packet.Queue) {
	f := flow6{inside{s.Src, s.SrcPort, s.Proto}, peer{dst, s.DstPort}}
	if s.Proto == wire.ProtoICMPv6 {
		if f.proto, f.peer.port = wire.ProtoICMP, 0; s.Type != wire.ICMP6Echo && s.Type != wire.ICMP6EchoReply {
			x.drop(pkt, x.reasons.untranslatable)
			return
		}
	}
	b, o := x.session6(f, tcpFlags(pkt, s.L4, s.Proto))
	if b == nil {
		x.rejected(network.V6, pkt, o)
		return
	}
	n := xlat.New4{Src: b.outside.addr, Dst: dst, SrcPort: b.outside.port, DstPort: s.DstPort, ID: uint16(rand.Uint32())}
	if ident != nil {
		s.Fragment.Present, s.Fragment.ID = true, *ident
	}
	if p := xlat.To4(pkt, s, &n); p != xlat.Fine {
		x.problem(network.V6, pkt, p, 0)
		return
	}
	x.counters.to4.Inc()
	if pkt.FragMax == 0 {
		x.emit(pkt, out)
		return
	}
	// In pieces as large as those that came, by their payload.
	mtu := max(int(pkt.FragMax)-s.L4-wire.IPv6FragmentLen+wire.IPv4Len, wire.IPv4MinMTU)
	x.emitPieces(pkt, out, func(pieces *packet.Queue) { frag.Split4(pkt, mtu, pieces) })
}

// emitPieces pushes the fragments that split makes of a packet.
func (x *translator) emitPieces(pkt *packet.Packet, out *packet.Queue, split func(pieces *packet.Queue)) {
	pkt.FragMax = 0
	pieces := x.queues.Get().(*packet.Queue)
	split(pieces)
	for p := pieces.Pop(); p != nil; p = pieces.Pop() {
		x.emit(p, out)
	}
	x.queues.Put(pieces)
}

// tcpFlags returns the control bits of a TCP packet.
func tcpFlags(pkt *packet.Packet, l4 int, proto uint8) uint8 {
	if b := pkt.Head(); proto == wire.ProtoTCP && len(b) > l4+13 {
		return b[l4+13]
	}
	return 0
}

// session6 returns the binding of a packet from inside, and keeps its session alive.
func (x *translator) session6(f flow6, flags uint8) (*binding, outcome) {
	t := &x.table
	if s := t.by6.get(f); s != nil && s.touch(from6, flags) {
		return s.binding, found
	}
	if f.proto == wire.ProtoTCP && flags&(wire.TCPSyn|wire.TCPRst) != wire.TCPSyn {
		// What begins nothing passes if there is a binding, and makes no state (RFC 6146
		// §3.5.2.2).
		return t.lookup6(f.inside), stray
	}
	own := x.ownAddr(f.peer.addr)
	for range 2 { // a session that is found may be about to end
		s, o := t.open(f, own)
		if s == nil {
			return nil, o
		}
		if s.touch(from6, flags) {
			return s.binding, found
		}
	}
	return nil, stopped
}

// ownAddr returns this host's address on the way to dst, for a pool of those.
func (x *translator) ownAddr(dst [4]byte) (a [4]byte) {
	if !x.table.pool.own {
		return a
	}
	path, err := x.paths.Resolve(network.Flow{Dst: netip.AddrFrom4(dst)})
	if err != nil || !path.Src.Is4() || path.Src.IsLoopback() {
		return a
	}
	return path.Src.As4()
}
