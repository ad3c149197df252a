package conntrack

import (
	"encoding/binary"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/wire"
)

// sound reports whether the transport header can be believed: its lengths, and its
// checksum unless that was checked already. What its receiver will throw away must
// not change the state of a connection.
func (t *tracker) sound(p *look, tuple *netfilter.Tuple) bool {
	n := p.pkt.Len() - p.off
	covered := n
	switch tuple.Proto {
	case wire.ProtoTCP:
		if n < wire.TCPLen {
			return false
		}
	case wire.ProtoUDP:
		if !p.pkt.Ensure(p.off+wire.UDPLen) || !udpLength(p.pkt.Head()[p.off:], n) {
			return false
		}
		if binary.BigEndian.Uint16(p.pkt.Head()[p.off+6:]) == 0 {
			return true // none; also in IPv6, where tunnels may leave it out (RFC 6935 §5)
		}
	case wire.ProtoUDPLite:
		if !p.pkt.Ensure(p.off + wire.UDPLen) {
			return false
		}
		if covered = udpLiteCoverage(p.pkt.Head()[p.off:], n); covered == 0 {
			return false
		}
	case wire.ProtoICMP, wire.ProtoICMPv6:
	case wire.ProtoSCTP:
		return p.pkt.Len() >= p.off+sctpHeaderLen && (!t.checks(p) || sctpSum(p.pkt, p.off))
	default:
		return true
	}
	if !t.checks(p) || p.v == network.V6 && p.off != wire.IPv6Len && onDetour(p.pkt) {
		return true
	}
	return sumOf(p, tuple, n, covered).Valid()
}

// checks reports whether somebody has to look at the checksum of a packet: only of what
// comes from outside, as this host sums what it sends last.
func (t *tracker) checks(p *look) bool {
	return p.pkt.In != 0 && p.pkt.Csum == packet.CsumNone && t.checksum.Load()
}

// onDetour reports whether a routing header has stops left: the sum is over the last
// one's address (RFC 8200 §8.1), which is not the destination yet.
func onDetour(pkt *packet.Packet) bool {
	h, ok := wire.ParseIPv6(pkt.Head())
	if !ok {
		return false
	}
	w := h.WalkExts()
	for x, more := w.Next(); more; x, more = w.Next() {
		if x.Type() == wire.ProtoRouting && x.SegmentsLeft() != 0 {
			return true
		}
	}
	return false
}

// udpLength holds the length in a UDP header against that of the packet. A segment
// that offload will cut says the length of all of it.
func udpLength(b []byte, n int) bool {
	l := int(binary.BigEndian.Uint16(b[4:]))
	return l >= wire.UDPLen && l <= n
}

// udpLiteCoverage returns how many octets of n the checksum of a UDP-Lite header is
// over; 0: the header is not valid. 0 in the header stands for all of them, and a
// checksum is always there (RFC 3828 §3.1).
func udpLiteCoverage(b []byte, n int) int {
	c := int(binary.BigEndian.Uint16(b[4:]))
	switch {
	case binary.BigEndian.Uint16(b[6:]) == 0, c != 0 && c < wire.UDPLen, c > n:
		return 0
	case c == 0:
		return n
	}
	return c
}

// sumOf is the sum over a transport header and its data, n octets of which covered
// count, and the pseudo header.
func sumOf(p *look, tuple *netfilter.Tuple, n, covered int) wire.PartialSum {
	var sum wire.PartialSum
	switch {
	case tuple.Proto == wire.ProtoICMP:
	case tuple.Version == network.V4:
		sum = wire.PseudoIPv4([4]byte(tuple.Src[:4]), [4]byte(tuple.Dst[:4]), tuple.Proto, n)
	default:
		sum = wire.PseudoIPv6(tuple.Src, tuple.Dst, tuple.Proto, n)
	}
	head := p.pkt.Head()[p.off:]
	head = head[:min(len(head), covered)]
	sum = sum.Add(wire.Sum(head, 0))
	at := len(head)
	for i := range p.pkt.Frags() {
		f := p.pkt.Frag(i)
		f = f[:min(len(f), covered-at)]
		sum = sum.Combine(wire.Sum(f, 0), at)
		at += len(f)
	}
	return sum
}
