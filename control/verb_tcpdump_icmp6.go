package control

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/knitnet/knit/wire"
)

// icmp6 shows a message of RFC 4443, RFC 4861 and RFC 3810.
func (p *packetPrinter) icmp6(d datagram) {
	if p.verbose > 0 {
		if want, got, ok := d.checksum(2, true); ok && want == got {
			p.printf("[icmp6 sum ok] ")
		} else if ok {
			p.printf("[bad icmp6 cksum 0x%04x -> 0x%04x!] ", got, want)
		}
	}
	b := d.body
	if len(b) < wire.ICMPLen {
		p.cut("icmp6")
		return
	}
	p.printf("ICMP6, ")
	options := -1
	switch typ := b[0]; typ {
	case wire.ICMP6Unreachable:
		p.unreachable6(b[1], b)
		if b[1] > 4 {
			if p.verbose < 2 {
				p.hex(b, false, "\n\t")
			}
			return
		}
	case wire.ICMP6PacketTooBig:
		p.printf("packet too big, mtu %d", binary.BigEndian.Uint32(b[4:]))
	case wire.ICMP6TimeExceeded:
		p.printf("time exceeded ")
		switch dst, _, _, _ := quote6(b[8:]); {
		case b[1] == 0 && dst == "":
			p.printf("in-transit")
			p.cut("icmp6")
		case b[1] == 0:
			p.printf("in-transit for %s", dst)
		case b[1] == 1:
			p.printf("in-transit (reassembly)")
		default:
			p.printf("in-transit, unknown code (%d)", b[1])
		}
	case wire.ICMP6ParamProblem:
		what := [...]string{"erroneous", "next header", "option", "incomplete header chain"}
		if int(b[1]) < len(what) {
			p.printf("parameter problem, %s - octet %d", what[b[1]], binary.BigEndian.Uint32(b[4:]))
		} else {
			p.printf("parameter problem, code-#%d", b[1])
		}
	case wire.ICMP6Echo:
		p.printf("echo request, id %d, seq %d", binary.BigEndian.Uint16(b[4:]), binary.BigEndian.Uint16(b[6:]))
	case wire.ICMP6EchoReply:
		p.printf("echo reply, id %d, seq %d", binary.BigEndian.Uint16(b[4:]), binary.BigEndian.Uint16(b[6:]))
	case 130, 131, 132, 143:
		p.listener(typ, b, d.length)
	case 133, 134, 135, 136, 137:
		options = p.neighbour(typ, b, d.length)
	default:
		p.printf("unknown icmp6 type (%d)", typ)
	}
	if p.verbose == 0 {
		p.printf(", length %d", d.length)
	}
	if p.verbose > 0 && options >= 0 && options <= len(b) {
		p.ndpOptions(b[options:])
	}
}

// quote6 finds the destination, protocol and port of the IPv6 packet in an error;
// ok is as with quote.
func quote6(b []byte) (dst string, proto uint8, port uint16, ok bool) {
	if len(b) < wire.IPv6Len {
		return "", 0, 0, false
	}
	if len(b) < wire.IPv6Len+4 {
		return ipText(b[24:40]), b[6], 0, false
	}
	return ipText(b[24:40]), b[6], binary.BigEndian.Uint16(b[wire.IPv6Len+2:]), true
}

func (p *packetPrinter) unreachable6(code uint8, b []byte) {
	p.printf("destination unreachable, ")
	b = b[8:]
	dst, proto, port, ok := quote6(b)
	if dst == "" || !ok && code == 4 {
		p.cut("icmp6")
		return
	}
	switch code {
	case 0:
		p.printf("unreachable route %s", dst)
	case 1:
		p.printf(" unreachable prohibited %s", dst) // with tcpdump's two spaces
	case 2:
		p.printf("beyond scope %s, source address %s", dst, ipText(b[8:24]))
	case 3:
		p.printf("unreachable address %s", dst)
	case 4:
		switch proto {
		case wire.ProtoTCP:
			p.printf("unreachable port, %s tcp port %d", dst, port)
		case wire.ProtoUDP:
			p.printf("unreachable port, %s udp port %d", dst, port)
		default:
			p.printf("unreachable port, %s protocol %d port %d", dst, proto, port)
		}
	default:
		p.printf("unknown unreach code (%d)", code)
	}
}

// listener shows a message of multicast listener discovery (RFC 2710, RFC 3810).
func (p *packetPrinter) listener(typ uint8, b []byte, length int) {
	name := map[uint8]string{130: "query", 131: "report", 132: "done", 143: "report v2"}[typ]
	p.printf("multicast listener %s", name)
	switch {
	case typ == 143:
		p.groups(b, 16, "icmp6")
	case len(b) < wire.MLDLen:
		p.cut("icmp6")
	case typ == 130 && length >= 28:
		p.printf(" v2")
		if p.verbose > 0 {
			p.printf(" [max resp delay=%d]", binary.BigEndian.Uint16(b[4:]))
		}
		p.printf(" [gaddr %s", ipText(b[8:24]))
		if len(b) < 28 {
			p.cut("icmp6")
			return
		}
		if p.verbose > 0 {
			if b[24]&8 != 0 {
				p.printf(" sflag")
			}
			p.printf(" robustness=%d qqi=%d", b[24]&7, b[25])
		}
		if n := int(binary.BigEndian.Uint16(b[26:])); n > 0 {
			p.sources(b[28:], n, 16)
		}
		p.printf("]")
	default:
		p.printf("max resp delay: %d addr: %s", binary.BigEndian.Uint16(b[4:]), ipText(b[8:24]))
	}
}

// neighbour shows a message of RFC 4861 without its options, whose offset it
// returns; -1 if they were not captured.
func (p *packetPrinter) neighbour(typ uint8, b []byte, length int) (options int) {
	need := map[uint8]int{133: 8, 134: 16, 135: 24, 136: 24, 137: 40}[typ]
	name := map[uint8]string{
		133: "router solicitation", 134: "router advertisement", 135: "neighbor solicitation",
		136: "neighbor advertisement", 137: "redirect",
	}[typ]
	p.printf("%s", name)
	if p.verbose > 0 {
		p.printf(", length %d", length)
	}
	if len(b) < need {
		p.cut("icmp6")
		return -1
	}
	switch typ {
	case 134:
		p.routerAdvert(b)
	case 135:
		p.printf(", who has %s", ipText(b[8:24]))
	case 136:
		p.printf(", tgt is %s", ipText(b[8:24]))
		if p.verbose > 0 {
			p.printf(", Flags [%s]", bitNames(b[4], "router", "solicited", "override"))
		}
	case 137:
		p.printf(", %s to %s", ipText(b[24:40]), ipText(b[8:24]))
	}
	return need
}

// routerAdvert shows the fields of a router advertisement.
func (p *packetPrinter) routerAdvert(b []byte) {
	if p.verbose == 0 {
		return
	}
	be := binary.BigEndian
	preference := [...]string{"medium", "high", "rsv", "low"}[b[5]>>3&3]
	p.printf("\n\thop limit %d, Flags [%s], pref %s, router lifetime %ds, reachable time %dms, retrans timer %dms",
		b[4], bitNames(b[5], "managed", "other stateful", "home agent", "", "", "", "ipv6 only"), preference, be.Uint16(b[6:]), be.Uint32(b[8:]), be.Uint32(b[12:]))
}

// bitNames names the bits that are set, from the highest on; those without a name are
// left out.
func bitNames(b byte, names ...string) string {
	var set []string
	for i, n := range names {
		if n != "" && b&(0x80>>i) != 0 {
			set = append(set, n)
		}
	}
	if set == nil {
		return "none"
	}
	return strings.Join(set, ", ")
}

// ndpOptions shows the options of neighbour discovery (RFC 4861 §4.6).
func (p *packetPrinter) ndpOptions(b []byte) {
	names := map[byte]string{
		1: "source link-address", 2: "destination link-address", 3: "prefix info", 4: "redirected header", 5: "mtu", 25: "rdnss",
	}
	for len(b) >= 8 {
		n := int(b[1]) * 8
		if n == 0 || n > len(b) {
			p.cut("icmp6")
			return
		}
		name := names[b[0]]
		if name == "" {
			name = "unknown"
		}
		p.printf("\n\t  %s option (%d), length %d (%d): ", name, b[0], n, b[1])
		switch b[0] {
		case 1, 2:
			p.printf("%s", macText(b[2:]))
		case 3:
			p.prefixOption(b[:n])
		case 5:
			p.printf(" %d", binary.BigEndian.Uint32(b[4:]))
		case 25:
			p.printf(" lifetime %ds,", binary.BigEndian.Uint32(b[4:]))
			for list := b[8:n]; len(list) >= 16; list = list[16:] {
				p.printf(" addr: %s", ipText(list[:16]))
			}
		}
		if p.verbose > 1 {
			p.hex(b[2:n], false, "\n\t    ")
		} else if names[b[0]] == "" {
			p.hex(b[2:n], false, "\n\t  ")
			return // tcpdump goes no further either
		}
		b = b[n:]
	}
}

// prefixOption shows a prefix (RFC 4861 §4.6.2).
func (p *packetPrinter) prefixOption(b []byte) {
	if len(b) < 32 {
		p.cut("icmp6")
		return
	}
	p.printf("%s/%d, Flags [%s], valid time %s, pref. time %s", ipText(b[16:32]), b[2], bitNames(b[3], "onlink", "auto", "router"),
		lifetime(binary.BigEndian.Uint32(b[4:])), lifetime(binary.BigEndian.Uint32(b[8:])))
}

func lifetime(seconds uint32) string {
	if seconds == wire.NDPInfinite {
		return "infinity"
	}
	return fmt.Sprintf("%ds", seconds)
}
