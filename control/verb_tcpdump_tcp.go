package control

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/knitnet/knit/wire"
)

// A flow is one direction of a connection.
type flow struct{ src, dst string }

// A flowStart is where the sequence numbers of a connection began.
type flowStart struct{ seq, ack uint32 }

func (p *packetPrinter) ports(d datagram) (src, dst string) {
	sport, dport := binary.BigEndian.Uint16(d.body), binary.BigEndian.Uint16(d.body[2:])
	src, dst = fmt.Sprintf("%s.%d", d.src, sport), fmt.Sprintf("%s.%d", d.dst, dport)
	if d.behind {
		p.printf("%d > %d: ", sport, dport)
	} else {
		p.printf("%s > %s: ", src, dst)
	}
	return src, dst
}

// cutPorts shows a packet that was cut in its ports or, for UDP, behind them.
func (p *packetPrinter) cutPorts(d datagram, what string) {
	switch {
	case len(d.body) >= 4:
		p.ports(d)
	case !d.behind:
		p.printf("%s > %s: ", d.src, d.dst)
	}
	p.cut(what)
}

// udp shows a datagram of RFC 768.
func (p *packetPrinter) udp(d datagram) {
	if len(d.body) < wire.UDPLen {
		p.cutPorts(d, "udp")
		return
	}
	p.ports(d)
	length := int(binary.BigEndian.Uint16(d.body[4:]))
	if length == 0 {
		length = d.length
	}
	if length < wire.UDPLen {
		p.printf("truncated-udplength %d", length)
		return
	}
	if (p.verbose > 1 || p.verbose > 0 && d.six) && !p.quiet {
		if got := binary.BigEndian.Uint16(d.body[6:]); got == 0 && !d.six {
			p.printf("[no cksum] ")
		} else if want, got, ok := d.checksum(6, true); ok {
			if want == 0 {
				want = 0xffff
			}
			if want == got {
				p.printf("[udp sum ok] ")
			} else {
				p.printf("[bad udp cksum 0x%04x -> 0x%04x!] ", got, want)
			}
		}
	}
	p.printf("UDP, length %d", length-wire.UDPLen)
	if length > d.length && !d.part {
		p.printf(" (invalid)")
	}
}

// flagLetters are those of the TCP flags, from the lowest bit on.
const flagLetters = "FSRP.UEW"

func flagsText(flags byte) string {
	var b strings.Builder
	for i := range flagLetters {
		if flags&(1<<i) != 0 {
			b.WriteByte(flagLetters[i])
		}
	}
	if b.Len() == 0 {
		return "none"
	}
	return b.String()
}

// tcp shows a segment of RFC 9293.
func (p *packetPrinter) tcp(d datagram) {
	if len(d.body) < 4 {
		p.cutPorts(d, "tcp")
		return
	}
	src, dst := p.ports(d)
	if len(d.body) < wire.TCPLen {
		p.cut("tcp")
		return
	}
	header := int(d.body[12]>>4) * 4
	if header < wire.TCPLen {
		p.printf(" tcp %d [bad hdr length %d - too short, < %d]", d.length-header, header, wire.TCPLen)
		return
	}
	length := d.length - header
	if p.quiet {
		p.printf("tcp %d", length)
		if length < 0 {
			p.printf(" [bad hdr length %d - too long, > %d]", header, d.length)
		}
		return
	}
	p.segment(d, flow{src, dst}, header, length)
}

func (p *packetPrinter) segment(d datagram, f flow, header, length int) {
	b := d.body
	flags := b[13]
	seq, ack := binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:])
	var start flowStart
	if !p.raw && flags&wire.TCPAck != 0 {
		seq, ack, start = p.relative(f, seq, ack, flags)
	}
	p.printf("Flags [%s]", flagsText(flags))
	if p.verbose > 0 {
		if want, got, ok := d.checksum(16, true); ok {
			p.printf(", cksum 0x%04x ", got)
			if want == got {
				p.printf("(correct)")
			} else {
				p.printf("(incorrect -> 0x%04x)", want)
			}
		}
	}
	if p.verbose > 1 || length > 0 || flags&(wire.TCPSyn|wire.TCPFin|wire.TCPRst) != 0 {
		p.printf(", seq %d", seq)
		if length > 0 {
			p.printf(":%d", seq+uint32(length))
		}
	}
	if flags&wire.TCPAck != 0 {
		p.printf(", ack %d", ack)
	}
	p.printf(", win %d", binary.BigEndian.Uint16(b[14:]))
	if urgent := binary.BigEndian.Uint16(b[18:]); flags&wire.TCPUrg != 0 {
		p.printf(", urg %d", urgent)
	}
	if header > wire.TCPLen {
		p.tcpOptions(b[wire.TCPLen:min(header, len(b))], header > len(b) && d.length > len(b), start)
	}
	if length < 0 {
		p.printf(" [bad hdr length %d - too long, > %d]", header, d.length)
		return
	}
	p.printf(", length %d", length)
	if p.verbose > 0 && flags&wire.TCPRst != 0 && length > 0 {
		p.resetText(b[min(header, len(b)):], length)
	}
}

// resetText shows what a reset carries, which is text that says why (RFC 9293 §3.5.3).
func (p *packetPrinter) resetText(b []byte, length int) {
	const most = 30
	mark, more := "", ""
	if len(b) < length {
		mark = "!"
	}
	if length > most {
		more = "+"
	}
	p.printf(" [%sRST%s %s]", mark, more, visible(b[:min(len(b), length, most)]))
}

// visible writes bytes as cat -v does.
func visible(b []byte) string {
	var s strings.Builder
	for _, c := range b {
		if c >= 0x80 {
			s.WriteString("M-")
			c &= 0x7f
		}
		if c < 0x20 || c == 0x7f {
			s.WriteByte('^')
			c ^= 0x40
		}
		s.WriteByte(c)
	}
	return s.String()
}

// maxFlows bounds the connections that are remembered.
const maxFlows = 1 << 16

// relative returns sequence numbers counted from the first segment with an ACK that
// was seen of the connection, and what was taken off. That segment keeps its own.
func (p *packetPrinter) relative(f flow, seq, ack uint32, flags byte) (uint32, uint32, flowStart) {
	if p.flows == nil || len(p.flows) > 2*maxFlows {
		p.flows = make(map[flow]*flowStart)
	}
	back := flow{f.dst, f.src}
	start := p.flows[f]
	if start == nil || flags&wire.TCPSyn != 0 {
		start = &flowStart{seq, ack - 1}
		p.flows[f] = start
		p.flows[back] = &flowStart{ack - 1, seq}
		return seq, ack, *start
	}
	return seq - start.seq, ack - start.ack, *start
}

// tcpOptions shows the options of a segment; more says that not all were captured.
func (p *packetPrinter) tcpOptions(b []byte, more bool, start flowStart) {
	p.printf(", options [")
	sep := ""
	for len(b) > 0 {
		kind, n := b[0], 1
		p.printf("%s", sep)
		sep = ","
		if kind > wire.TCPOptNop && len(b) > 1 {
			n = int(b[1])
		}
		switch {
		case more && (n > len(b) || kind > wire.TCPOptNop && len(b) < 2):
			p.cut("tcp")
			return
		case kind > wire.TCPOptNop && n < 2 || n > len(b):
			p.printf("bad opt]")
			return
		}
		p.tcpOption(kind, b[min(n, 2):n], start)
		if kind == wire.TCPOptEnd {
			p.printf("]")
			return
		}
		b = b[n:]
	}
	if more {
		p.printf("%s", sep)
		p.cut("tcp")
	}
	p.printf("]")
}

func (p *packetPrinter) tcpOption(kind byte, v []byte, start flowStart) {
	be := binary.BigEndian
	switch {
	case kind == 0:
		p.printf("eol")
	case kind == 1:
		p.printf("nop")
	case kind == 2 && len(v) == 2:
		p.printf("mss %d", be.Uint16(v))
	case kind == 3 && len(v) == 1:
		p.printf("wscale %d", v[0])
	case kind == 4 && len(v) == 0:
		p.printf("sackOK")
	case kind == 5 && len(v)%8 == 0:
		p.printf("sack %d ", len(v)/8)
		for ; len(v) > 0; v = v[8:] {
			p.printf("{%d:%d}", be.Uint32(v)-start.ack, be.Uint32(v[4:])-start.ack)
		}
	case kind == 8 && len(v) == 8:
		p.printf("TS val %d ecr %d", be.Uint32(v), be.Uint32(v[4:]))
	case kind == 34:
		p.printf("tfo ")
		if len(v) == 0 {
			p.printf(" cookiereq")
		} else {
			p.printf(" cookie %x", v)
		}
	default:
		p.printf("unknown-%d", kind)
		if len(v) > 0 {
			p.printf(" 0x%x", v)
		}
	}
}
