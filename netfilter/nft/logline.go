package nft

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"github.com/knitnet/knit/netfilter/rule"
	"github.com/knitnet/knit/wire"
)

// A logLine writes headers in the words of Linux's nf_log, which tools that read such
// lines know.
type logLine struct {
	b     strings.Builder
	flags rule.LogFlags
	// nested: it is the packet that an ICMP error is about.
	nested bool
}

func (l *logLine) f(format string, args ...any) { fmt.Fprintf(&l.b, format, args...) }

// incomplete says how much there is of a header that is cut off.
func (l *logLine) incomplete(n int) { l.f("INCOMPLETE [%d bytes] ", max(n, 0)) }

// link writes the Ethernet header h, which is nil on devices without.
func (l *logLine) link(h []byte) {
	switch {
	case h == nil:
		l.f("MAC= ")
	case l.flags&rule.LogEther != 0:
		l.f("MACSRC=%s MACDST=%s MACPROTO=%x ", colons(h[6:12]), colons(h[:6]), h[12:14])
	default:
		l.f("MAC=%s ", colons(h))
	}
}

// colons writes octets as a hardware address.
func colons(b []byte) string {
	return strings.ReplaceAll(strings.TrimSpace(fmt.Sprintf("% x", b)), " ", ":")
}

// ip4 writes an IPv4 packet of n bytes, of which b are the first.
func (l *logLine) ip4(b []byte, n int) {
	if len(b) < wire.IPv4Len {
		l.f("TRUNCATED")
		return
	}
	src, dst := netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
	l.f("SRC=%s DST=%s LEN=%d TOS=0x%02X PREC=0x%02X TTL=%d ID=%d ", src, dst, number(b[2:4]), b[1]&0x1e, b[1]&0xe0, b[8], number(b[4:6]))
	off := binary.BigEndian.Uint16(b[6:])
	for i, name := range [...]string{"CE", "DF", "MF"} {
		if off&(0x8000>>i) != 0 {
			l.f("%s ", name)
		}
	}
	if off &= 0x1fff; off != 0 {
		l.f("FRAG:%d ", off)
	}
	head := min(int(b[0]&0xf)*4, len(b))
	if l.flags&rule.LogIPOptions != 0 && head > wire.IPv4Len && !l.nested {
		l.f("OPT (%X) ", b[wire.IPv4Len:head])
	}
	head = max(head, wire.IPv4Len)
	l.transport(b[9], b[head:], n-head, off != 0)
}

// ip6 writes an IPv6 packet of n bytes, of which b are the first.
func (l *logLine) ip6(b []byte, n int) {
	h, ok := wire.ParseIPv6(b)
	if !ok {
		l.f("TRUNCATED")
		return
	}
	l.f("SRC=%s DST=%s LEN=%d ", h.Src().StringExpanded(), h.Dst().StringExpanded(), h.TotalLen())
	l.f("TC=%d HOPLIMIT=%d FLOWLBL=%d ", h.TrafficClass(), h.HopLimit(), h.FlowLabel())
	w := h.WalkExts()
	for x, ok := w.Next(); ok; x, ok = w.Next() {
		if x.Type() == wire.ProtoAH {
			l.transport(wire.ProtoAH, x.Bytes(), n-x.Offset(), false)
			return
		}
		if x.Type() == wire.ProtoFragment {
			f, _ := wire.ParseIPv6Fragment(x.Bytes())
			l.f("FRAG:%d ", f.Offset())
			if f.More() {
				l.f("INCOMPLETE ")
			}
			l.f("ID:%08x ", number(x.Bytes()[4:8]))
		}
	}
	proto, at := w.Upper()
	l.transport(proto, b[min(at, len(b)):], n-at, w.NotFirst())
}

// arp writes an ARP packet of Ethernet and IPv4.
func (l *logLine) arp(b []byte) {
	if len(b) < 8 {
		l.f("TRUNCATED")
		return
	}
	l.f("ARP HTYPE=%d PTYPE=0x%04x OPCODE=%d ", number(b[:2]), number(b[2:4]), number(b[6:8]))
	if len(b) >= 28 && number(b[:2]) == 1 && b[4] == 6 && b[5] == 4 {
		l.f("MACSRC=%s IPSRC=%s ", colons(b[8:14]), netip.AddrFrom4([4]byte(b[14:18])))
		l.f("MACDST=%s IPDST=%s ", colons(b[18:24]), netip.AddrFrom4([4]byte(b[24:28])))
	}
}

// transport writes a transport header of n bytes, of which b are the first. later: it is
// that of another fragment.
func (l *logLine) transport(proto uint8, b []byte, n int, later bool) {
	name, least := transportName(proto)
	if name == "" {
		l.f("PROTO=%d ", proto)
		return
	}
	l.f("PROTO=%s ", name)
	switch {
	case later:
	case len(b) < least:
		l.incomplete(n)
	case proto == wire.ProtoTCP:
		l.tcp(b)
	case proto == wire.ProtoUDP || proto == wire.ProtoUDPLite:
		l.f("SPT=%d DPT=%d LEN=%d ", number(b[:2]), number(b[2:4]), number(b[4:6]))
	case proto == wire.ProtoICMP:
		l.icmp(b, n)
	case proto == wire.ProtoICMPv6:
		l.icmp6(b, n)
	case proto == wire.ProtoESP:
		l.f("SPI=0x%x ", number(b[:4]))
	case proto == wire.ProtoAH:
		l.f("SPI=0x%x ", number(b[4:8]))
	}
}

// transportName is the name of a protocol whose header is written, and how much of it
// there must be.
func transportName(proto uint8) (name string, least int) {
	switch proto {
	case wire.ProtoTCP:
		return "TCP", wire.TCPLen
	case wire.ProtoUDP:
		return "UDP", wire.UDPLen
	case wire.ProtoUDPLite:
		return "UDPLITE", wire.UDPLen
	case wire.ProtoICMP:
		return "ICMP", wire.ICMPLen
	case wire.ProtoICMPv6:
		return "ICMPv6", wire.ICMPLen
	case wire.ProtoESP:
		return "ESP", 8
	case wire.ProtoAH:
		return "AH", 12
	}
	return "", 0
}

func (l *logLine) tcp(b []byte) {
	l.f("SPT=%d DPT=%d ", number(b[0:2]), number(b[2:4]))
	if l.flags&rule.LogTCPSeq != 0 {
		l.f("SEQ=%d ACK=%d ", number(b[4:8]), number(b[8:12]))
	}
	l.f("WINDOW=%d RES=0x%02x ", number(b[14:16]), b[12]&0xf<<2)
	for i, name := range [...]string{"CWR", "ECE", "URG", "ACK", "PSH", "RST", "SYN", "FIN"} {
		if b[13]&(0x80>>i) != 0 {
			l.f("%s ", name)
		}
	}
	l.f("URGP=%d ", number(b[18:20]))
	if n := min(int(b[12]>>4)*4, len(b)); l.flags&rule.LogTCPOptions != 0 && n > wire.TCPLen {
		l.f("OPT (%X) ", b[wire.TCPLen:n])
	}
}

// icmp writes an ICMP message, errors with the packet that they are about.
func (l *logLine) icmp(b []byte, n int) {
	l.f("TYPE=%d CODE=%d ", b[0], b[1])
	switch b[0] {
	case 0, 8:
		l.f("ID=%d SEQ=%d ", number(b[4:6]), number(b[6:8]))
	case 12:
		l.f("PARAMETER=%d ", b[4])
	case 3, 4, 5, 11:
		if b[0] == 5 {
			l.f("GATEWAY=%s ", netip.AddrFrom4([4]byte(b[4:8])))
		}
		l.about(func(x *logLine) { x.ip4(b[wire.ICMPLen:], n-wire.ICMPLen) })
		if b[0] == 3 && b[1] == 4 {
			l.f("MTU=%d ", number(b[6:8]))
		}
	}
}

// icmp6 is icmp for ICMPv6.
func (l *logLine) icmp6(b []byte, n int) {
	l.f("TYPE=%d CODE=%d ", b[0], b[1])
	switch b[0] {
	case 128, 129:
		l.f("ID=%d SEQ=%d ", number(b[4:6]), number(b[6:8]))
	case 1, 2, 3, 4:
		if b[0] == 4 {
			l.f("POINTER=%08x ", number(b[4:8]))
		}
		l.about(func(x *logLine) { x.ip6(b[wire.ICMPLen:], n-wire.ICMPLen) })
		if b[0] == 2 {
			l.f("MTU=%d ", number(b[4:8]))
		}
	}
}

// about writes the packet that an error is about in brackets, unless that is one itself.
func (l *logLine) about(write func(*logLine)) {
	if l.nested {
		return
	}
	x := &logLine{flags: l.flags, nested: true}
	write(x)
	l.f("[%s] ", x.b.String())
}
