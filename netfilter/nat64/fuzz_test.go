package nat64_test

import (
	"slices"
	"testing"
	"time"

	"github.com/knitnet/knit/wire"
)

// FuzzTranslator puts any packets in at both sides, whose lengths and header checksum
// are right so that they get that far, among them such as belong to sessions. Nothing
// panics, and what comes out is an IP packet of the other version, or a router's
// answer; at the end no packet is left.
func FuzzTranslator(f *testing.F) {
	r := newRig(f, "pool4="+pool, "ports=40000-40003")
	out := r.out(udp(client, 4000, embed(server), 53, "payload"))
	s, _ := ends(out)
	m := make([]byte, wire.ICMPLen)
	wire.PutICMP4(m, wire.ICMP4TimeExceeded, 0, 0)
	in := udp(server, 53, pool, s.Port(), "payload")
	m6 := make([]byte, wire.ICMPLen)
	wire.PutICMP6(m6, wire.ICMP6Unreachable, 0, 0)
	for _, b := range [][]byte{
		udp(client, 4000, embed(server), 53, "payload"), tcp(client, 4001, embed(server), 80, wire.TCPSyn), echo(client, embed(server), 7, false),
		in, tcp(server, 80, pool, s.Port(), wire.TCPSyn), echo(server, pool, s.Port(), true),
		ip(peer, pool, wire.ProtoICMP, 2, append(m, out...)), ip("2001:db8:6::99", embed(server), wire.ProtoICMPv6, 2, append(m6, r.in(in)...)),
		r.fragments6(udp(client, 4000, embed(server), 53, string(make([]byte, 100))), 100, 7)[1],
	} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < wire.IPv4Len || len(b) > 2000 {
			return
		}
		b = slices.Clone(b)
		from, to := r.inside, r.outside
		if b[0]>>4 == 4 {
			from, to = r.outside, r.inside
			h, ok := wire.ParseIPv4(b)
			if !ok {
				return
			}
			h.SetTotalLen(len(b))
			h.UpdateHeaderChecksum()
		} else if h, ok := wire.ParseIPv6(b); ok {
			h.SetPayloadLen(len(b) - wire.IPv6Len)
		} else {
			return
		}
		from.put(b)
		for _, out := range to.take() {
			h4, ok4 := wire.ParseIPv4(out)
			h6, ok6 := wire.ParseIPv6(out)
			if !(ok4 && h4.TotalLen() == len(out) && h4.ChecksumOK()) && !(ok6 && h6.TotalLen() == len(out)) {
				t.Errorf("% x becomes % x", b, out)
			}
		}
		from.take()
		r.advance(time.Second)
	})
}
