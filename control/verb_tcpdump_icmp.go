package control

import (
	"encoding/binary"
	"fmt"

	"github.com/knitnet/knit/wire"
)

// icmp4 shows a message of RFC 792.
func (p *packetPrinter) icmp4(d datagram) {
	b := d.body
	if len(b) < wire.ICMPLen {
		p.cut("icmp")
		return
	}
	p.printf("ICMP ")
	be := binary.BigEndian
	typ, code := b[0], b[1]
	inner := false
	switch typ {
	case wire.ICMP4Echo, wire.ICMP4EchoReply:
		name := "request"
		if typ == wire.ICMP4EchoReply {
			name = "reply"
		}
		p.printf("echo %s, id %d, seq %d", name, be.Uint16(b[4:]), be.Uint16(b[6:]))
	case wire.ICMP4Unreachable:
		p.unreachable4(code, b)
		inner = true
	case wire.ICMP4TimeExceeded:
		switch code {
		case 0:
			p.printf("time exceeded in-transit")
		case 1:
			p.printf("ip reassembly time exceeded")
		default:
			p.printf("time exceeded-#%d", code)
		}
		inner = true
	case wire.ICMP4Redirect:
		p.redirect4(code, b)
		inner = true
	case wire.ICMP4ParamProblem:
		if code != 0 {
			p.printf("parameter problem - code %d", code)
		} else {
			p.printf("parameter problem - octet %d", b[4])
		}
		inner = true
	case wire.ICMP4SourceQuench:
		p.printf("source quench")
		inner = true
	case wire.ICMP4Timestamp, wire.ICMP4TimestampReply:
		p.timestamp4(b)
	case 17:
		p.printf("address mask request")
	default:
		p.printf("type-#%d", typ)
	}
	p.printf(", length %d", d.length)
	if p.verbose == 0 {
		return
	}
	if want, got, ok := d.checksum(2, false); ok && want != got {
		p.printf(" (wrong icmp cksum %x (->%x)!)", got, want)
	}
	if inner {
		p.printf("\n\t")
		p.quoted4(b[8:])
	}
}

// timestamp4 shows a timestamp query or reply, whose times are milliseconds since
// midnight.
func (p *packetPrinter) timestamp4(b []byte) {
	be := binary.BigEndian
	what := "query"
	if b[0] == wire.ICMP4TimestampReply {
		what = "reply"
	}
	p.printf("time stamp %s id %d seq %d", what, be.Uint16(b[4:]), be.Uint16(b[6:]))
	if b[0] != wire.ICMP4TimestampReply {
		return
	}
	if len(b) < 20 {
		p.cut("icmp")
		return
	}
	for i, name := range [...]string{": org", ", recv", ", xmit"} {
		ms := be.Uint32(b[8+4*i:])
		p.printf("%s %02d:%02d:%02d.%03d", name, ms/3600000, ms/60000%60, ms/1000%60, ms%1000)
	}
}

// quoted4 shows the packet in an error, of which only the beginning is there.
func (p *packetPrinter) quoted4(b []byte) {
	length := len(b)
	if len(b) >= 4 {
		length = max(length, int(binary.BigEndian.Uint16(b[2:])))
	}
	p.ipv4(b, length)
}

// quote finds the destination, protocol and destination port of the IPv4 packet in an
// error; ok is false if the port, or with an empty dst more, is missing.
func quote(b []byte) (dst string, proto uint8, port uint16, ok bool) {
	if len(b) < wire.IPv4Len {
		return "", 0, 0, false
	}
	header := int(b[0]&15) * 4
	if header < wire.IPv4Len || len(b) < header+4 {
		return ipText(b[16:20]), b[9], 0, false
	}
	return ipText(b[16:20]), b[9], binary.BigEndian.Uint16(b[header+2:]), true
}

// unreachable4Texts are the codes that tell of the destination only.
var unreachable4Texts = [...]string{
	5:  "%s unreachable - source route failed",
	6:  "net %s unreachable - unknown",
	7:  "host %s unreachable - unknown",
	8:  "%s unreachable - source host isolated",
	9:  "net %s unreachable - admin prohibited",
	10: "host %s unreachable - admin prohibited",
	11: "net %s unreachable - tos prohibited",
	12: "host %s unreachable - tos prohibited",
	13: "host %s unreachable - admin prohibited filter",
	14: "host %s unreachable - host precedence violation",
	15: "host %s unreachable - precedence cutoff",
}

func (p *packetPrinter) unreachable4(code uint8, b []byte) {
	dst, proto, port, ok := quote(b[8:])
	if dst == "" || !ok && code == wire.ICMP4PortUnreachable {
		p.cut("icmp")
		return
	}
	switch code {
	case 0:
		p.printf("net %s unreachable", dst)
	case 1:
		p.printf("host %s unreachable", dst)
	case 2:
		p.printf("%s protocol %d unreachable", dst, proto)
	case 3:
		switch proto {
		case wire.ProtoTCP:
			p.printf("%s tcp port %d unreachable", dst, port)
		case wire.ProtoUDP:
			p.printf("%s udp port %d unreachable", dst, port)
		default:
			p.printf("%s protocol %d port %d unreachable", dst, proto, port)
		}
	case 4:
		if mtu := binary.BigEndian.Uint16(b[6:]); mtu != 0 {
			p.printf("%s unreachable - need to frag (mtu %d)", dst, mtu)
		} else {
			p.printf("%s unreachable - need to frag", dst)
		}
	default:
		if int(code) < len(unreachable4Texts) {
			p.printf(unreachable4Texts[code], dst)
		} else {
			p.printf("%s unreachable - #%d", dst, code)
		}
	}
}

func (p *packetPrinter) redirect4(code uint8, b []byte) {
	dst, _, _, _ := quote(b[8:])
	if dst == "" {
		p.cut("icmp")
		return
	}
	var what string
	switch code {
	case 0:
		what = "redirect %s to net %s"
	case 1:
		what = "redirect %s to host %s"
	case 2:
		what = "redirect-tos %s to net %s"
	case 3:
		what = "redirect-tos %s to host %s"
	default:
		what = fmt.Sprintf("redirect-#%d", code) + " %s to %s"
	}
	p.printf(what, dst, ipText(b[4:8]))
}

// groupRecords are the names of the record types of RFC 3376 §4.2.12.
var groupRecords = [...]string{"", "is_in", "is_ex", "to_in", "to_ex", "allow", "block"}

// igmp shows a message of RFC 3376.
func (p *packetPrinter) igmp(d datagram) {
	b := d.body
	if p.quiet {
		p.printf("igmp")
		return
	}
	p.printf("igmp ")
	if len(b) < wire.IGMPLen {
		p.cut("igmp")
		return
	}
	group := ipText(b[4:8])
	switch b[0] {
	case 0x11:
		p.igmpQuery(b, group, d.length)
	case 0x12:
		p.printf("v1 report %s", group)
	case 0x16:
		p.printf("v2 report %s", group)
	case 0x17:
		p.printf("leave %s", group)
	case 0x22:
		p.printf("v3 report")
		p.groups(b, 4, "igmp")
	default:
		p.printf("igmp-%d", b[0])
	}
	if want, got, ok := d.checksum(2, false); p.verbose > 0 && ok && want != got {
		p.printf(" bad igmp cksum %x!", got)
	}
}

func (p *packetPrinter) igmpQuery(b []byte, group string, length int) {
	p.printf("query")
	switch {
	case length >= 12:
		p.printf(" v3")
		if code := int(b[1]); code != 100 {
			tenths := code
			if code >= 128 {
				tenths = (code&15 | 16) << (code>>4&7 + 3)
			}
			p.printf(" [max resp time ")
			if tenths < 600 {
				p.printf("%d.%ds]", tenths/10, tenths%10)
			} else {
				p.printf("%dm", tenths/600)
				if s := tenths % 600 / 10; s > 0 {
					p.printf("%ds", s)
				}
				p.printf("]")
			}
		}
	case b[1] != 0:
		p.printf(" v2")
		if b[1] != 100 {
			p.printf(" [max resp time %d]", b[1])
		}
	default:
		p.printf(" v1")
	}
	if group != "0.0.0.0" {
		p.printf(" [gaddr %s", group)
		if length >= 12 && len(b) < 12 {
			p.cut("igmp")
		} else if length >= 12 {
			if n := int(binary.BigEndian.Uint16(b[10:])); n > 0 {
				p.sources(b[12:], n, 4)
			}
		}
		p.printf("]")
	}
}

// groups shows the records of a report of IGMPv3 or MLDv2, with addresses of n
// bytes.
func (p *packetPrinter) groups(b []byte, n int, what string) {
	count := int(binary.BigEndian.Uint16(b[6:]))
	p.printf(", %d group record(s)", count)
	if p.verbose == 0 {
		return
	}
	b = b[8:]
	for range count {
		if len(b) < 4+n {
			p.cut(what)
			return
		}
		kind := fmt.Sprintf(" [v3-report-#%d]", b[0])
		if n == 16 {
			kind = fmt.Sprintf(" [v2-report-#%d]", b[0])
		}
		if t := int(b[0]); t > 0 && t < len(groupRecords) {
			kind = groupRecords[t]
		}
		sources := int(binary.BigEndian.Uint16(b[2:]))
		p.printf(" [gaddr %s %s", ipText(b[4:4+n]), kind)
		aux := int(b[1]) * 4
		b = b[4+n:]
		if len(b) < sources*n+aux {
			p.cut(what)
			return
		}
		p.sources(b, sources, n)
		p.printf("]")
		b = b[sources*n+aux:]
	}
}

// sources shows count addresses of n bytes, or how many there are.
func (p *packetPrinter) sources(b []byte, count, n int) {
	if p.verbose < 2 {
		p.printf(", %d source(s)", count)
		return
	}
	p.printf(" {")
	for ; count > 0; count-- {
		if len(b) < n {
			p.cut("group")
			return
		}
		p.printf(" %s", ipText(b[:n]))
		b = b[n:]
	}
	p.printf(" }")
}
