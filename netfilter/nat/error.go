package nat

import (
	"github.com/knitnet/knit/core/hook"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/wire"
)

// maxQuote is how much of an ICMP error is looked at: its headers and the quoted
// ones.
const maxQuote = 256

// translateError changes an ICMP error of a connection: its own addresses, and the
// packet that it quotes, which went the other way (RFC 5508 §4.2).
func (t *translator) translateError(at *seat, pkt *packet.Packet, c *netfilter.Conn, d netfilter.Dir) hook.Verdict {
	bit := natBit(at.manip)
	if d == netfilter.Reply {
		bit ^= netfilter.SrcNAT | netfilter.DstNAT
	}
	if c.Status.Load()&bit == 0 {
		return hook.Accept
	}
	pkt.Ensure(min(pkt.Len(), maxQuote))
	l4 := errorOffset(at.v, pkt.Head())
	if l4 == 0 || pkt.HeadLen() < l4+wire.ICMPLen {
		return hook.Drop
	}
	if at.v == network.V4 && pkt.Head()[l4] == wire.ICMP4Redirect {
		// It names a router on this host's link, which those behind it do not have (RFC 1122
		// §3.2.2.2); who followed it would be seen without translation.
		return hook.Drop
	}
	inner := c.Tuples[1-d]
	sum := pkt.Head()[l4+2 : l4+4]
	if pkt.Csum == packet.CsumPartial {
		sum = make([]byte, 2) // it does not cover the message yet
	}
	if !rewriteQuote(at.v, pkt.Head()[l4+wire.ICMPLen:], &inner, other(at.manip), sum) {
		return hook.Drop
	}
	want := mirror(&inner)
	rewriteOuter(at.v, pkt, &want, at.manip, l4)
	return hook.Accept
}

func other(m netfilter.Manip) netfilter.Manip { return 1 - m }

// errorOffset is where the ICMP header of an error begins.
func errorOffset(v network.Version, h []byte) int {
	if v == network.V4 {
		return int(h[0]&0xf) * 4
	}
	_, l4, ok := upper6(h)
	if !ok {
		return 0
	}
	return l4
}

// rewriteOuter changes an address of the error's own header.
func rewriteOuter(v network.Version, pkt *packet.Packet, want *netfilter.Tuple, m netfilter.Manip, l4 int) {
	h := pkt.Head()
	a := ipAddr(v, h, m)
	var old [16]byte
	n := copy(old[:], a)
	copy(a, addrOf(want, m)[:n])
	if v == network.V4 {
		update(h[10:12], old[:n], a)
		return
	}
	fixSum(pkt, l4, wire.ProtoICMPv6, old[:n], a, true)
}

// ipAddr returns the source or destination address in an IP header.
func ipAddr(v network.Version, h []byte, m netfilter.Manip) []byte {
	off, n := 12, 4
	if v == network.V6 {
		off, n = 8, 16
	}
	if m == netfilter.ManipDst {
		off += n
	}
	return h[off : off+n]
}

// update brings a checksum up to date.
func update(sum, before, after []byte) {
	put16(sum, wire.UpdateChecksum(get16(sum), wire.Sum(before, 0), wire.Sum(after, 0)))
}

// A quote is the packet that an ICMP error quotes, with the checksum of the error.
type quote struct {
	b     []byte
	sum   []byte // of the ICMP message
	l4    int
	proto uint8
}

// rewriteQuote changes the quoted packet, its checksums as far as they are quoted,
// and with each change the checksum of the ICMP message.
func rewriteQuote(v network.Version, b []byte, want *netfilter.Tuple, m netfilter.Manip, sum []byte) bool {
	q := quote{b: b, sum: sum}
	if !q.parse(v) {
		return false
	}
	a := ipAddr(v, b, m)
	var old [16]byte
	n := copy(old[:], a)
	q.put(a, addrOf(want, m)[:n])
	if v == network.V4 {
		q.fix(10, old[:n], a)
	}
	q.fixTransport(old[:n], a, true)
	at, value := 0, want.SrcPort
	switch q.proto {
	case wire.ProtoTCP, wire.ProtoUDP, 132, 136, 33:
		if m == netfilter.ManipDst {
			at, value = 2, want.DstPort
		}
	case wire.ProtoICMP, wire.ProtoICMPv6:
		at = 4
	default:
		return true
	}
	if q.l4+at+2 > len(b) {
		return false
	}
	port := b[q.l4+at : q.l4+at+2]
	copy(old[:], port)
	var next [2]byte
	put16(next[:], value)
	q.put(port, next[:])
	q.fixTransport(old[:2], port, false)
	return true
}

func (q *quote) parse(v network.Version) bool {
	if v == network.V4 {
		if len(q.b) < wire.IPv4Len || q.b[0]>>4 != 4 {
			return false
		}
		q.l4, q.proto = int(q.b[0]&0xf)*4, q.b[9]
		return q.l4 >= wire.IPv4Len && q.l4 <= len(q.b)
	}
	if len(q.b) < wire.IPv6Len || q.b[0]>>4 != 6 {
		return false
	}
	var ok bool
	q.proto, q.l4, ok = upper6(q.b)
	return ok && q.l4 <= len(q.b)
}

// put writes a field of the quotation, which begins at an even offset of the message.
func (q *quote) put(field, value []byte) {
	var old [16]byte
	n := copy(old[:], field)
	copy(field, value)
	update(q.sum, old[:n], field)
}

// fix brings a checksum inside the quotation up to date, if it is quoted.
func (q *quote) fix(at int, before, after []byte) {
	if at+2 > len(q.b) {
		return
	}
	var next [2]byte
	put16(next[:], wire.UpdateChecksum(get16(q.b[at:]), wire.Sum(before, 0), wire.Sum(after, 0)))
	q.put(q.b[at:at+2], next[:])
}

func (q *quote) fixTransport(before, after []byte, pseudo bool) {
	at := sumAt(q.proto)
	if at == 0 || q.proto == wire.ProtoICMP && pseudo || q.l4+at+2 > len(q.b) {
		return
	}
	if q.proto == wire.ProtoUDP && get16(q.b[q.l4+at:]) == 0 {
		return
	}
	q.fix(q.l4+at, before, after)
}
