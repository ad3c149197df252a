//go:build linux

package nft_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"

	"github.com/knitnet/knit/wire"
)

// randomPacket6 returns a packet from fd00::/124 to another host behind tun1 with a right
// fixed header; its extension headers are right, out of order, or cut short.
func randomPacket6(r *rand.Rand) []byte {
	protos := [...]uint8{wire.ProtoTCP, wire.ProtoUDP, wire.ProtoICMPv6, wire.ProtoSCTP, wire.ProtoESP, wire.ProtoNoNext}
	proto := protos[r.IntN(len(protos))]
	l4 := randomUpper6(r, proto)
	next := proto
	var exts []byte
	for range max(r.IntN(5)-2, 0) {
		typ, x := randomExt(r, next)
		exts, next = append(x, exts...), typ
	}
	b := make([]byte, wire.IPv6Len)
	rest := append(exts, l4...)
	if r.IntN(12) == 0 {
		rest = rest[:r.IntN(len(rest)+1)]
	}
	f := wire.IPv6Fields{
		NextHeader: next, HopLimit: uint8(60 + r.IntN(8)), PayloadLen: uint16(len(rest)), TrafficClass: uint8(r.IntN(8) << 2),
		FlowLabel: uint32(r.IntN(3)), Src: [16]byte{0: 0xfd, 15: byte(2 + r.IntN(14))}, Dst: [16]byte{0: 0xfd, 1: 1, 15: byte(2 + r.IntN(3))},
	}
	wire.PutIPv6(b, &f)
	return append(b, rest...)
}

func randomUpper6(r *rand.Rand, proto uint8) []byte {
	b := make([]byte, 20+r.IntN(60))
	for i := range b {
		b[i] = byte(r.IntN(4))
	}
	switch proto {
	case wire.ProtoICMPv6:
		b[0] = [...]byte{1, 2, 3, 4, 128, 129, 135}[r.IntN(7)]
		return b
	case wire.ProtoUDP:
		b[6] = 1 // a checksum of none stays none here
	case wire.ProtoTCP:
		b[12], b[13] = 0x50+byte(r.IntN(2)<<4), byte(r.IntN(64))
	}
	binary.BigEndian.PutUint16(b, uint16(1000+r.IntN(6)))
	binary.BigEndian.PutUint16(b[2:], uint16(r.IntN(8)))
	return b
}

// randomExt returns an extension header in front of next.
func randomExt(r *rand.Rand, next uint8) (typ uint8, b []byte) {
	typ = [...]uint8{wire.ProtoHopByHop, wire.ProtoDstOpts, wire.ProtoFragment, wire.ProtoRouting, wire.ProtoAH, 135}[r.IntN(6)]
	b = make([]byte, 8*(1+r.IntN(2)))
	b[0], b[1] = next, byte(len(b)/8-1)
	switch typ {
	case wire.ProtoHopByHop, wire.ProtoDstOpts:
		b[2], b[3] = 0x1e, byte(len(b)-4) // an option to skip (RFC 4727): Linux takes no more than 7 bytes of padding
	case wire.ProtoFragment:
		b = b[:8]
		b[1], b[3], b[7] = 0, byte(r.IntN(2)), byte(r.IntN(3))
	case wire.ProtoRouting:
		b[2], b[3] = byte(r.IntN(3)), byte(r.IntN(2))
	case wire.ProtoAH:
		b = append(b[:8:8], make([]byte, 8)...)
		b[1], b[7] = 2, byte(r.IntN(4))
	case 135:
		b[2] = byte(r.IntN(6))
	}
	return typ, b
}

func randomRuleset6(r *rand.Rand) string {
	var b bytes.Buffer
	b.WriteString("table ip6 t {\n")
	b.WriteString("\tset hosts { type ipv6_addr; flags interval; elements = { fd00::4/126, fd00::c-fd00::d }; }\n")
	b.WriteString("\tset seen { type ipv6_addr; size 1000; flags dynamic; }\n")
	b.WriteString("\tset small { type ipv6_addr; size 4; flags dynamic; }\n")
	b.WriteString("\tset pairs { type ipv6_addr . inet_service; size 100; flags dynamic; }\n")
	b.WriteString("\tmap marks { type ipv6_addr : mark; elements = { fd00::2 : 0x10, fd00::5 : 0x20, fd00::8 : 0x30 }; }\n")
	b.WriteString("\tset both { type ipv6_addr . inet_service; flags interval; elements = { fd00::2-fd00::6 . 1-3, fd00::8/125 . 5 }; }\n")
	b.WriteString("\tchain sub {\n")
	rules6(&b, r, 4, nil)
	b.WriteString("\t}\n")
	for _, h := range []string{"prerouting", "forward"} {
		fmt.Fprintf(&b, "\tchain %s {\n\t\ttype filter hook %s priority -450; policy accept;\n", h, h)
		b.WriteString("\t\tesp spi > 0 counter\n\t\tah spi 1-2 counter\n\t\tmeta l4proto ah counter\n\t\ticmpv6 mtu > 0 counter\n")
		rules6(&b, r, 12, []string{"jump sub", "goto sub", "ip6 nexthdr vmap { tcp : accept, udp : jump sub, 59 : drop }"})
		b.WriteString("\t}\n")
	}
	b.WriteString("}\n")
	return b.String()
}

func rules6(b *bytes.Buffer, r *rand.Rand, n int, more []string) {
	matches := []string{
		"ip6 saddr fd00::%d", "ip6 saddr != fd00::%d", "ip6 saddr fd00::%d/126", "ip6 daddr fd01::%d", "ip6 hoplimit 6%d", "ip6 hoplimit > 6%d", "ip6 hoplimit <= 6%d",
		"ip6 flowlabel %d", "ip6 flowlabel > 0", "ip6 length > 4%d", "ip6 length 20-50", "ip6 dscp cs%d", "ip6 nexthdr tcp", "ip6 nexthdr { tcp, udp, ipv6-opts }", "ip6 nexthdr != udp",
		"meta l4proto tcp", "meta l4proto { udp, sctp }", "meta l4proto != ipv6-icmp", "meta length > 8%d", "tcp dport %d", "udp dport %d", "udp sport 1001-1003",
		"th dport 1-3", "tcp flags syn", "tcp flags & (syn|ack) == syn", "sctp dport 1-4", "icmpv6 type echo-request",
		"icmpv6 type { 1, 2, 128, nd-neighbor-solicit }", "icmpv6 code %d", "exthdr hbh exists", "exthdr dst exists", "exthdr dst missing", "exthdr frag exists", "exthdr rt exists", "exthdr mh exists",
		"hbh nexthdr udp", "dst nexthdr != tcp", "dst hdrlength %d", "rt type %d", "rt seg-left 1", "frag id %d", "frag more-fragments 1", "frag nexthdr tcp", "mh type %d",
		"ip6 saddr @hosts", "ip6 saddr != @hosts", "ip6 saddr . tcp dport @both", "ip6 saddr & ::3 == ::1", "ip6 saddr @seen", "@nh,192,16 0xfd01", "@th,0,8 3", "meta mark 0x%d", "meta mark & 0xf0 == 0x10",
		"jhash ip6 saddr mod 4 seed 0x5 1", "jhash ip6 saddr . tcp dport mod 3 seed 0xbeef 2", "numgen inc mod 3 0", "quota over 20%d bytes",
	}
	ends := []string{
		"accept", "drop", "return", "continue", "", "", "", "meta mark set 0x%d", "meta mark set ip6 saddr map @marks", "add @seen { ip6 saddr }", "delete @seen { ip6 saddr }",
		"update @small { ip6 saddr counter }", "add @pairs { ip6 saddr . udp dport }", "ip6 hoplimit set 6%d", "ip6 dscp set cs%d", "ip6 flowlabel set %d", "ip6 saddr set fd00::%d",
		"ip6 daddr set fd01::1%d", "tcp dport set %d", "udp sport set %d", "meta mark set jhash ip6 saddr mod 16 seed 0x7", "ip6 saddr vmap { fd00::2-fd00::5 : drop, fd00::9 : return, * : continue }",
	}
	ends = append(ends, more...)
	for range n {
		b.WriteString("\t\t")
		for range 1 + r.IntN(2) {
			b.WriteString(fill(r, matches[r.IntN(len(matches))]) + " ")
		}
		b.WriteString("counter " + fill(r, ends[r.IntN(len(ends))]) + "\n")
	}
}
