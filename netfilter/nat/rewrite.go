package nat

import (
	"encoding/binary"

	"github.com/knitnet/knit/core/hook"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/wire"
)

// change gives a packet the addresses and ports that its connection has on the
// other side of this hook.
func (t *translator) change(at *seat, pkt *packet.Packet, c *netfilter.Conn, d netfilter.Dir) hook.Verdict {
	bit := natBit(at.manip)
	if d == netfilter.Reply {
		bit ^= netfilter.SrcNAT | netfilter.DstNAT
	}
	if c.Status.Load()&bit == 0 {
		return hook.Accept
	}
	if movedOn(at, pkt, c, d) {
		t.track.Delete(c)
		return hook.Drop
	}
	want := mirror(&c.Tuples[1-d])
	if !rewrite(at.v, pkt, &want, at.manip) {
		return hook.Drop
	}
	return hook.Accept
}

// rewrite writes the source or the destination of a tuple into a packet that begins
// with its IP header.
func rewrite(v network.Version, pkt *packet.Packet, want *netfilter.Tuple, m netfilter.Manip) bool {
	h := pkt.Head()
	off, n := 12, 4
	l4 := int(h[0]&0xf) * 4
	proto := h[9]
	if v == network.V6 {
		off, n = 8, 16
		var ok bool
		if proto, l4, ok = upper6(h); !ok {
			return false
		}
	}
	if m == netfilter.ManipDst {
		off += n
	}
	if !rewritePorts(pkt, want, m, l4, proto) {
		return false
	}
	h = pkt.Head()
	var old [16]byte
	copy(old[:], h[off:off+n])
	copy(h[off:off+n], addrOf(want, m)[:n])
	if v == network.V4 {
		put16(h[10:], wire.UpdateChecksum(get16(h[10:]), wire.Sum(old[:n], 0), wire.Sum(h[off:off+n], 0)))
	}
	fixSum(pkt, l4, proto, old[:n], h[off:off+n], true)
	return true
}

func upper6(h []byte) (proto uint8, l4 int, ok bool) {
	if !wire.IsIPv6Ext(h[6]) {
		return h[6], wire.IPv6Len, true
	}
	ip, ok := wire.ParseIPv6(h)
	if !ok {
		return 0, 0, false
	}
	proto, l4, first, ok := ip.Upper()
	return proto, l4, ok && first
}

// rewritePorts writes a port, or the identifier of an ICMP query.
func rewritePorts(pkt *packet.Packet, want *netfilter.Tuple, m netfilter.Manip, l4 int, proto uint8) bool {
	at, value := 0, want.SrcPort
	switch proto {
	case wire.ProtoTCP, wire.ProtoUDP, 132, 136, 33:
		if m == netfilter.ManipDst {
			at, value = 2, want.DstPort
		}
		if !pkt.Ensure(l4 + sumEnd(proto)) {
			return false
		}
	case wire.ProtoICMP, wire.ProtoICMPv6:
		if !pkt.Ensure(l4 + wire.ICMPLen) {
			return false
		}
		at = 4
	default:
		return true
	}
	b := pkt.Head()[l4+at : l4+at+2]
	if get16(b) == value {
		return true
	}
	old := [2]byte{b[0], b[1]}
	put16(b, value)
	if proto == wire.ProtoSCTP {
		if sum, ok := netfilter.SCTPChecksum(pkt, l4); ok {
			binary.LittleEndian.PutUint32(pkt.Head()[l4+8:], sum)
		}
		return true
	}
	fixSum(pkt, l4, proto, old[:], b, false)
	return true
}

// sumAt is where a protocol has its checksum, 0 if none that covers ports.
func sumAt(proto uint8) int {
	switch proto {
	case wire.ProtoTCP:
		return 16
	case wire.ProtoUDP, 136:
		return 6
	case wire.ProtoICMP, wire.ProtoICMPv6:
		return 2
	}
	return 0
}

func sumEnd(proto uint8) int { return max(sumAt(proto)+2, 4) }

// fixSum brings a transport checksum up to date (RFC 1624). pseudo says that what
// has changed is in the pseudo header, of which a checksum that is not complete yet
// holds the sum.
func fixSum(pkt *packet.Packet, l4 int, proto uint8, before, after []byte, pseudo bool) {
	at := sumAt(proto)
	if at == 0 || proto == wire.ProtoICMP && pseudo {
		return
	}
	h := pkt.Head()
	if l4+at+2 > len(h) {
		return
	}
	b := h[l4+at : l4+at+2]
	sum := get16(b)
	partial := pkt.Csum == packet.CsumPartial
	switch {
	case partial && !pseudo, proto == wire.ProtoUDP && sum == 0 && !partial:
		return
	case partial:
		put16(b, ^wire.UpdateChecksum(^sum, wire.Sum(before, 0), wire.Sum(after, 0)))
		return
	}
	sum = wire.UpdateChecksum(sum, wire.Sum(before, 0), wire.Sum(after, 0))
	if sum == 0 && proto == wire.ProtoUDP {
		sum = 0xffff
	}
	put16(b, sum)
}

func get16(b []byte) uint16    { return binary.BigEndian.Uint16(b) }
func put16(b []byte, v uint16) { binary.BigEndian.PutUint16(b, v) }

func isICMP(v network.Version, pkt *packet.Packet) bool {
	h := pkt.Head()
	if v == network.V4 {
		return h[9] == wire.ProtoICMP
	}
	proto, _, ok := upper6(h)
	return ok && proto == wire.ProtoICMPv6
}
