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
	case wire.ProtoICMP, wire.ProtoICMPv6:
	default:
		return true
	}
	// Only what comes from outside is checked: this host sums what it sends last.
	// Behind an extension header the sum may be over another destination.
	if p.pkt.In == 0 || p.v == network.V6 && p.off != wire.IPv6Len || p.pkt.Csum != packet.CsumNone || !t.checksum.Load() {
		return true
	}
	return sumOf(p, tuple, n).Valid()
}

// udpLength holds the length in a UDP header against that of the packet. A segment
// that offload will cut says the length of all of it.
func udpLength(b []byte, n int) bool {
	l := int(binary.BigEndian.Uint16(b[4:]))
	return l >= wire.UDPLen && l <= n
}

// sumOf is the sum over a transport header, its data and the pseudo header.
func sumOf(p *look, tuple *netfilter.Tuple, n int) wire.PartialSum {
	var sum wire.PartialSum
	switch {
	case tuple.Proto == wire.ProtoICMP:
	case tuple.Version == network.V4:
		sum = wire.PseudoIPv4([4]byte(tuple.Src[:4]), [4]byte(tuple.Dst[:4]), tuple.Proto, n)
	default:
		sum = wire.PseudoIPv6(tuple.Src, tuple.Dst, tuple.Proto, n)
	}
	head := p.pkt.Head()[p.off:]
	sum = sum.Add(wire.Sum(head, 0))
	odd := len(head)
	for i := range p.pkt.Frags() {
		f := p.pkt.Frag(i)
		sum = sum.Combine(wire.Sum(f, 0), odd)
		odd += len(f)
	}
	return sum
}
