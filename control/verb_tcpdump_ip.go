package control

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"github.com/knitnet/knit/wire"
)

// A datagram is what an IP packet carries.
type datagram struct {
	src, dst string
	six      bool
	proto    uint8
	part     bool   // the rest is in other fragments
	behind   bool   // an IPv6 extension header: the addresses were shown
	body     []byte // as much as was captured
	length   int    // of the body on the wire
	pseudo   uint32 // sum of the pseudo-header without length and protocol
}

// ipText returns the text of an address of 4 or 16 bytes.
func ipText(b []byte) string {
	a, _ := netip.AddrFromSlice(b)
	return a.String()
}

// ip shows a packet without a link layer's header. It reports whether it is IP.
func (p *packetPrinter) ip(b []byte, length int) bool {
	switch {
	case len(b) > 0 && b[0]>>4 == 4:
		p.ipv4(b, length)
	case len(b) > 0 && b[0]>>4 == 6:
		p.ipv6(b, length)
	case len(b) == 0:
		p.cut("ip")
	default:
		p.printf("unknown ip %d", b[0]>>4)
		return false
	}
	return true
}

// ipv4 shows a packet of RFC 791.
func (p *packetPrinter) ipv4(b []byte, length int) {
	if !p.link {
		p.printf("IP ")
	}
	p.ipv4Inner(b, length)
}

func (p *packetPrinter) ipv4Inner(b []byte, length int) {
	if len(b) < wire.IPv4Len {
		p.cut("ip")
		return
	}
	header, total := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
	switch {
	case header < wire.IPv4Len:
		p.printf("bad-hlen %d", header)
		return
	case total < header:
		p.printf("bad-len %d", total)
		return
	}
	frag := binary.BigEndian.Uint16(b[6:])
	if p.verbose > 0 {
		p.ipv4Header(b, header, total, frag)
	}
	if total > length {
		p.printf("truncated-ip - %d bytes missing! ", total-length)
	}
	b = b[:min(len(b), total)]
	d := datagram{src: ipText(b[12:16]), dst: ipText(b[16:20]), proto: b[9], length: total - header}
	d.body = b[min(header, len(b)):]
	d.pseudo = sum16(b[12:20])
	d.part = frag&0x2000 != 0
	if frag&0x1fff != 0 {
		p.printf("%s > %s: ip-proto-%d", d.src, d.dst, d.proto)
		return
	}
	p.datagram(d)
}

func (p *packetPrinter) ipv4Header(b []byte, header, total int, frag uint16) {
	p.printf("(tos 0x%x", b[1])
	if ecn := b[1] & 3; ecn != 0 {
		p.printf(",%s", [...]string{"", "ECT(1)", "ECT(0)", "CE"}[ecn])
	}
	if b[8] >= 1 {
		p.printf(", ttl %d", b[8])
	}
	var flags []string
	for i, f := range []string{"+", "DF", "rsvd"} {
		if frag&(0x2000<<i) != 0 {
			flags = append(flags, f)
		}
	}
	if flags == nil {
		flags = []string{"none"}
	}
	p.printf(", id %d, offset %d, flags [%s], proto %s (%d), length %d",
		binary.BigEndian.Uint16(b[4:]), int(frag&0x1fff)*8, strings.Join(flags, ", "), protoName(b[9]), b[9], total)
	if header > wire.IPv4Len && header <= len(b) {
		p.ipv4Options(b[wire.IPv4Len:header])
	}
	if header <= len(b) {
		if sum := finish(sum16(b[:header])); sum != 0 {
			was := binary.BigEndian.Uint16(b[10:])
			right := finish(sum16(b[:10]) + sum16(b[12:header]))
			p.printf(", bad cksum %x (->%x)!", was, right)
		}
	}
	p.printf(")\n    ")
}

var ipv4OptionNames = map[byte]string{
	0: "EOL", 1: "NOP", 7: "RR", 68: "timestamp", 130: "security", 131: "LSRR", 137: "SSRR", 148: "RA",
}

func (p *packetPrinter) ipv4Options(b []byte) {
	var names []string
	for len(b) > 0 {
		n := 1
		if b[0] > 1 {
			if len(b) < 2 || b[1] < 2 || int(b[1]) > len(b) {
				break
			}
			n = int(b[1])
		}
		name, ok := ipv4OptionNames[b[0]]
		if !ok {
			name = "unknown"
		}
		if b[0] == 148 && n == 4 && binary.BigEndian.Uint16(b[2:]) != 0 {
			name = fmt.Sprintf("RA value %d", binary.BigEndian.Uint16(b[2:]))
		}
		names = append(names, name)
		if b[0] == 0 {
			break
		}
		b = b[n:]
	}
	p.printf(", options (%s)", strings.Join(names, ","))
}

var protoNames = map[uint8]string{
	0: "Options", 1: "ICMP", 2: "IGMP", 4: "IPIP", 6: "TCP", 17: "UDP", 41: "IPv6", 47: "GRE", 50: "ESP", 51: "AH", 58: "ICMPv6", 89: "OSPF", 103: "PIM",
	112: "VRRP", 132: "SCTP", 136: "UDPLite", 43: "Routing", 44: "Fragment",
}

func protoName(n uint8) string {
	if s, ok := protoNames[n]; ok {
		return s
	}
	return "unknown"
}

// ipv6 shows a packet of RFC 8200.
func (p *packetPrinter) ipv6(b []byte, length int) {
	if !p.link && len(b) >= wire.IPv6Len {
		p.printf("IP6 ")
	}
	p.ipv6Inner(b, length)
}

func (p *packetPrinter) ipv6Inner(b []byte, length int) {
	if len(b) < wire.IPv6Len {
		p.cut("ip6")
		return
	}
	payload := int(binary.BigEndian.Uint16(b[4:]))
	if p.verbose > 0 {
		first := binary.BigEndian.Uint32(b)
		p.printf("(")
		if class := first >> 20 & 0xff; class != 0 {
			p.printf("class 0x%02x, ", class)
		}
		if label := first & 0xfffff; label != 0 {
			p.printf("flowlabel 0x%05x, ", label)
		}
		p.printf("hlim %d, next-header %s (%d) payload length: %d) ", b[7], protoName(b[6]), b[6], payload)
	}
	if payload+wire.IPv6Len > length {
		p.printf("truncated-ip6 - %d bytes missing!", payload+wire.IPv6Len-length)
	}
	b = b[:min(len(b), wire.IPv6Len+payload)]
	d := datagram{src: ipText(b[8:24]), dst: ipText(b[24:40]), six: true, proto: b[6], length: payload, body: b[wire.IPv6Len:], pseudo: sum16(b[8:40])}
	if d.proto != wire.ProtoTCP && d.proto != wire.ProtoUDP {
		p.printf("%s > %s: ", d.src, d.dst)
		d.behind = true
	}
	if p.extensions(&d) {
		p.datagram(d)
	}
}

// extensions shows the extension headers, and reports whether what is behind them
// can be shown.
func (p *packetPrinter) extensions(d *datagram) bool {
	for {
		n := 8
		switch d.proto {
		case wire.ProtoHopByHop, wire.ProtoDstOpts, wire.ProtoRouting, wire.ProtoFragment:
			if len(d.body) < n {
				p.cut("ip6")
				return false
			}
		default:
			return true
		}
		next := d.body[0]
		if d.proto != wire.ProtoFragment {
			n += int(d.body[1]) * 8
		}
		switch d.proto {
		case wire.ProtoHopByHop:
			p.printf("HBH ")
			p.ipv6Options(d.body[2:min(n, len(d.body))])
		case wire.ProtoDstOpts:
			p.printf("DSTOPT ")
			p.ipv6Options(d.body[2:min(n, len(d.body))])
		case wire.ProtoRouting:
			p.printf("srcrt (len=%d, type=%d, segleft=%d) ", d.body[1], d.body[2], d.body[3])
		case wire.ProtoFragment:
			off := binary.BigEndian.Uint16(d.body[2:])
			p.printf("frag (")
			if p.verbose > 0 {
				p.printf("0x%08x:", binary.BigEndian.Uint32(d.body[4:]))
			}
			p.printf("%d|%d)", off&^7, d.length-n)
			if off&^7 != 0 {
				return false
			}
			p.printf(" ")
			d.part = true // as with tcpdump, even if it is the only one
		}
		if n > len(d.body) {
			p.cut("ip6")
			return false
		}
		d.proto, d.body, d.length = next, d.body[n:], d.length-n
	}
}

// ipv6Options shows the options of an extension header (RFC 8200 §4.2), with -v.
func (p *packetPrinter) ipv6Options(b []byte) {
	for p.verbose > 0 && len(b) > 0 {
		kind, n := b[0], 1
		if kind != wire.IPv6OptPad1 {
			if len(b) < 2 || int(b[1])+2 > len(b) {
				return
			}
			n = int(b[1]) + 2
		}
		switch {
		case kind == wire.IPv6OptPad1:
			p.printf("(pad1) ")
		case kind == wire.IPv6OptPadN:
			p.printf("(padn) ")
		case kind == wire.IPv6OptRouterAlert && n == 4:
			p.printf("(rtalert: 0x%04x) ", binary.BigEndian.Uint16(b[2:]))
		default:
			p.printf("(opt_type 0x%02x: len=%d) ", kind, n-2)
		}
		b = b[n:]
	}
}

// datagram shows what an IP packet carries.
func (p *packetPrinter) datagram(d datagram) {
	if !d.six && d.proto != wire.ProtoTCP && d.proto != wire.ProtoUDP {
		p.printf("%s > %s: ", d.src, d.dst)
	}
	switch {
	case d.proto == wire.ProtoTCP:
		p.tcp(d)
	case d.proto == wire.ProtoUDP:
		p.udp(d)
	case d.proto == wire.ProtoICMP && !d.six:
		p.icmp4(d)
	case d.proto == wire.ProtoICMPv6 && d.six:
		p.icmp6(d)
	case d.proto == wire.ProtoIGMP && !d.six:
		p.igmp(d)
	case d.proto == wire.ProtoNoNext && d.six:
		p.printf("no next header")
	case d.proto == wire.ProtoIPv4:
		p.ipv4(d.body, d.length)
	case d.proto == wire.ProtoIPv6:
		p.ipv6(d.body, d.length)
	default:
		p.printf(" ip-proto-%d %d", d.proto, d.length)
	}
}

// sum16 adds the 16-bit words of b (RFC 1071).
func sum16(b []byte) (sum uint32) {
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(b[0])<<8 | uint32(b[1])
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	return sum
}

func finish(sum uint32) uint16 {
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// checksum returns what the checksum at offset at should be and is; ok is false if
// not all of the packet was captured.
func (d *datagram) checksum(at int, pseudo bool) (want, got uint16, ok bool) {
	if d.part || len(d.body) < d.length || len(d.body) < at+2 {
		return 0, 0, false
	}
	sum := sum16(d.body[:at]) + sum16(d.body[at+2:])
	if pseudo {
		sum += d.pseudo + uint32(d.length) + uint32(d.proto)
	}
	return finish(sum), binary.BigEndian.Uint16(d.body[at:]), true
}
