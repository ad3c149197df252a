package control

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/knitnet/knit/link/capture"
	"github.com/knitnet/knit/wire"
)

// A packetPrinter turns packets into lines. It remembers the connections of TCP, to
// show sequence numbers from where they began, and the times of the packets before.
type packetPrinter struct {
	dumpStyle
	out         strings.Builder
	ended       bool // the packet was cut here: no more of it is shown
	count       uint64
	first, last time.Time
	flows       map[flow]*flowStart
}

// printf adds to the line, unless it has ended.
func (p *packetPrinter) printf(format string, args ...any) {
	if !p.ended {
		fmt.Fprintf(&p.out, format, args...)
	}
}

// cut says that the packet ends before what is to be shown, and ends the line.
func (p *packetPrinter) cut(what string) {
	p.printf(" [|%s]", what)
	p.ended = true
}

// packet returns the lines of one packet.
func (p *packetPrinter) packet(i capture.Interface, r capture.Record) string {
	p.out.Reset()
	p.ended = false
	p.count++
	if p.number {
		p.printf("%5d  ", p.count)
	}
	p.time(r.Time)
	if p.any {
		p.printf("%-5s %-3s ", i.Name, [...]string{"?", "In", "Out"}[r.Direction%3])
	}
	header, known := 0, true
	if i.Type == capture.LinkEthernet {
		header, known = p.ethernet(r)
	} else {
		if p.link {
			p.printf("ip: ")
		}
		known = p.ip(r.Data, r.Length)
	}
	p.ended = false
	from := r.Data[header:]
	if p.bytes.link {
		from = r.Data
	}
	p.dump(from, known)
	p.printf("\n")
	return p.out.String()
}

// time shows when a packet came, as -t asks for.
func (p *packetPrinter) time(t time.Time) {
	t = t.Local()
	if p.first.IsZero() {
		p.first, p.last = t, t
	}
	switch p.stamp {
	case 0:
		p.printf("%s ", t.Format("15:04:05.000000"))
	case 1:
	case 2:
		p.printf("%d.%06d ", t.Unix(), t.Nanosecond()/1000)
	case 3:
		p.since(t.Sub(p.last))
		p.last = t
	case 4:
		p.printf("%s ", t.Format("2006-01-02 15:04:05.000000"))
	default:
		p.since(t.Sub(p.first))
	}
}

func (p *packetPrinter) since(d time.Duration) {
	sign := " "
	if d < 0 {
		sign, d = "-", -d
	}
	s := int(d / time.Second)
	p.printf("%s%02d:%02d:%02d.%06d ", sign, s/3600, s/60%60, s%60, d%time.Second/time.Microsecond)
}

// etherNames are the types that tcpdump has names for and that are seen here.
var etherNames = map[uint16]string{
	wire.EtherTypeIPv4: "IPv4", wire.EtherTypeIPv6: "IPv6", wire.EtherTypeARP: "ARP", wire.EtherTypeVLAN: "802.1Q",
	0x8035: "Reverse ARP", 0x88cc: "LLDP", 0x888e: "EAPOL", 0x8847: "MPLS unicast", 0x8863: "PPPoE D", 0x8864: "PPPoE S",
	0x88a8: "802.1Q-QinQ", 0x9000: "Loopback",
}

func etherName(t uint16) string {
	if n, ok := etherNames[t]; ok {
		return n
	}
	return "Unknown"
}

// ethernet shows a frame. It returns the length of the header, and whether what is
// behind it was understood.
func (p *packetPrinter) ethernet(r capture.Record) (header int, known bool) {
	b := r.Data
	if len(b) < wire.EthernetLen {
		p.cut("ether")
		return len(b), true
	}
	typ := binary.BigEndian.Uint16(b[12:])
	header = wire.EthernetLen
	shown := p.link
	if p.link {
		p.etherHeader(b, typ, r.Length)
	}
	for isVLAN(typ) {
		if len(b) < header+4 {
			p.cut("vlan")
			return header, true
		}
		tag := binary.BigEndian.Uint16(b[header:])
		typ = binary.BigEndian.Uint16(b[header+2:])
		header += 4
		if p.link {
			p.vlan(tag, typ)
		}
	}
	body, length := b[header:], r.Length-header
	switch {
	case typ == wire.EtherTypeIPv4:
		p.ipv4(body, length)
	case typ == wire.EtherTypeIPv6:
		p.ipv6(body, length)
	case typ == wire.EtherTypeARP:
		p.arp(body, length)
	default:
		if !shown {
			p.etherHeader(b, typ, r.Length)
		}
		return header, false
	}
	return header, true
}

func (p *packetPrinter) etherHeader(b []byte, typ uint16, length int) {
	p.printf("%s > %s, ", macText(b[6:]), macText(b))
	if typ < 0x600 {
		p.printf("802.3, length %d: ", length)
		return
	}
	if _, ok := etherNames[typ]; !ok && p.quiet {
		p.printf("Unknown Ethertype (0x%04x), length %d: ", typ, length)
		return
	}
	p.printf("ethertype %s (0x%04x), length %d: ", etherName(typ), typ, length)
}

// isVLAN reports whether a tag of IEEE 802.1Q is behind a type.
func isVLAN(typ uint16) bool {
	switch typ {
	case wire.EtherTypeVLAN, 0x88a8, 0x9100, 0x9200:
		return true
	}
	return false
}

func (p *packetPrinter) vlan(tag, typ uint16) {
	p.printf("vlan %d, p %d, ", tag&0xfff, tag>>13)
	if tag&0x1000 != 0 {
		p.printf("DEI, ")
	}
	p.printf("ethertype %s (0x%04x), ", etherName(typ), typ)
}

func macText(b []byte) string { return wire.MAC(b[:6]).String() }

// arp shows a packet of RFC 826.
func (p *packetPrinter) arp(b []byte, length int) {
	if !p.link {
		p.printf("ARP, ")
	}
	if len(b) < wire.ARPLen {
		p.cut("arp")
		return
	}
	hard, proto, op := binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:]), binary.BigEndian.Uint16(b[6:])
	if hard != 1 || proto != wire.EtherTypeIPv4 || b[4] != 6 || b[5] != 4 {
		p.printf("Unknown Hardware (%d) (len %d), Unknown Protocol (0x%04x) (len %d), length %d", hard, b[4], proto, b[5], length)
		return
	}
	if p.verbose > 0 {
		p.printf("Ethernet (len 6), IPv4 (len 4), ")
	}
	sender, source, wanted, target := macText(b[8:]), ipText(b[14:18]), macText(b[18:]), ipText(b[24:28])
	switch op {
	case wire.ARPRequest:
		p.printf("Request who-has %s", target)
		if wanted != "00:00:00:00:00:00" {
			p.printf(" (%s)", wanted)
		}
		p.printf(" tell %s", source)
	case wire.ARPReply:
		p.printf("Reply %s is-at %s", source, sender)
	case 3:
		p.printf("Reverse Request who-is %s tell %s", wanted, sender)
	case 4:
		p.printf("Reverse Reply %s at %s", wanted, target)
	case 8:
		p.printf("Inverse Request who-is %s tell %s", wanted, sender)
	case 9:
		p.printf("Inverse Reply %s at %s", sender, source)
	default:
		p.printf("Unknown (%d) ", op)
		p.hex(b, true, "\n\t")
		return
	}
	p.printf(", length %d", length)
}

// dump shows bytes as -x, -X and -A ask for, and those that were not understood in
// any case.
func (p *packetPrinter) dump(b []byte, known bool) {
	if !known && !p.quiet && !p.bytes.hex {
		p.hex(b, true, "\n\t")
	}
	switch {
	case p.bytes.hex:
		p.hex(b, p.bytes.ascii, "\n\t")
	case p.bytes.ascii:
		p.ascii(b)
	}
}

// hex shows rows of 16 bytes.
func (p *packetPrinter) hex(b []byte, ascii bool, indent string) {
	for at := 0; at < len(b); at += 16 {
		row := b[at:min(at+16, len(b))]
		var digits, letters strings.Builder
		for i, x := range row {
			if i > 0 && i%2 == 0 {
				digits.WriteByte(' ')
			}
			fmt.Fprintf(&digits, "%02x", x)
			if x < 0x21 || x > 0x7e {
				x = '.'
			}
			letters.WriteByte(x)
		}
		if ascii {
			p.printf("%s0x%04x:  %-39s  %s", indent, at, digits.String(), letters.String())
		} else {
			p.printf("%s0x%04x:  %s", indent, at, digits.String())
		}
	}
}

// ascii shows what a terminal can show, with a carriage return before a line feed
// left out.
func (p *packetPrinter) ascii(b []byte) {
	p.out.WriteByte('\n')
	for i, x := range b {
		switch {
		case x == '\r' && i+1 < len(b) && b[i+1] == '\n':
			continue
		case (x < 0x20 || x > 0x7e) && x != '\t' && x != '\n':
			x = '.'
		}
		p.out.WriteByte(x)
	}
}
