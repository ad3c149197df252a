package nftcase

import (
	"encoding/binary"
	"net/netip"
	"strings"

	"github.com/knitnet/knit/netfilter/rule"
	"github.com/knitnet/knit/wire"
)

// A seen is a packet that came out: to the host, or to the wire behind a device.
type seen struct {
	b    []byte // from the network header on
	at   site
	mark uint32
}

// headers finds the transport header: at is where it begins, 0 if there is none.
func headers(b []byte) (proto uint8, at int) {
	if h, ok := wire.ParseIPv4(b); ok {
		if binary.BigEndian.Uint16(b[6:])&0x1fff != 0 {
			return 0, 0
		}
		return b[9], h.HeaderLen()
	}
	if h, ok := wire.ParseIPv6(b); ok {
		if proto, at, first, ok := h.Upper(); ok && first {
			return proto, at
		}
	}
	return 0, 0
}

// field reads a field of the packet, nil if it has none.
func (s *seen) field(f *rule.Field) []byte {
	v6 := len(s.b) > 0 && s.b[0]>>4 == 6
	switch f.Base {
	case rule.NetworkHeader:
		if f.Header == "ip6" != v6 && f.Header != "arp" {
			return nil
		}
		return getBits(s.b, f.Offset, f.Bits)
	case rule.TransportHeader:
		proto, at := headers(s.b)
		if at == 0 || f.Header != "th" && protocols[f.Header] != proto {
			return nil
		}
		return getBits(s.b, at*8+f.Offset, f.Bits)
	}
	return nil
}

// option returns a TCP option, the first of its kind, with kind and length; nil if
// there is none.
func (s *seen) option(kind byte) []byte {
	proto, at := headers(s.b)
	if at == 0 || proto != wire.ProtoTCP || len(s.b) < at+wire.TCPLen {
		return nil
	}
	end := min(at+int(s.b[at+12]>>4)*4, len(s.b))
	for b := s.b[min(at+wire.TCPLen, end):end]; len(b) > 0 && b[0] != 0; {
		n := 1
		if b[0] != 1 {
			if len(b) < 2 || b[1] < 2 || int(b[1]) > len(b) {
				return nil
			}
			n = int(b[1])
		}
		if b[0] == kind {
			return b[:n]
		}
		b = b[n:]
	}
	return nil
}

// payload is what is behind the transport header.
func (s *seen) payload() []byte {
	proto, at := headers(s.b)
	n := at + headerLens[protocolName(proto)]
	if proto == wire.ProtoTCP && len(s.b) >= at+wire.TCPLen {
		n = at + int(s.b[at+12]>>4)*4
	}
	if at == 0 || n > len(s.b) {
		return nil
	}
	return s.b[n:]
}

// ends returns the addresses and ports; a protocol without ports has zeros, ICMP its
// identifier twice.
func ends(b []byte) (src, dst netip.AddrPort) {
	from, to := netip.Addr{}, netip.Addr{}
	if h, ok := wire.ParseIPv4(b); ok {
		from, to = h.Src(), h.Dst()
	} else if h, ok := wire.ParseIPv6(b); ok {
		from, to = h.Src(), h.Dst()
	}
	proto, at := headers(b)
	sport, dport := uint16(0), uint16(0)
	switch {
	case at == 0 || len(b) < at+8:
	case proto == wire.ProtoTCP || proto == wire.ProtoUDP || proto == 33 || proto == 132 || proto == 136:
		sport, dport = binary.BigEndian.Uint16(b[at:]), binary.BigEndian.Uint16(b[at+2:])
	case proto == wire.ProtoICMP || proto == wire.ProtoICMPv6:
		sport = binary.BigEndian.Uint16(b[at+4:])
		dport = sport
	}
	return netip.AddrPortFrom(from, sport), netip.AddrPortFrom(to, dport)
}

// answers says what a packet tells the sender of another one: `tcp reset`, `icmp
// port-unreachable`; "" if it is no such message.
func answers(b []byte) string {
	proto, at := headers(b)
	if at == 0 || len(b) < at+2 {
		return ""
	}
	switch proto {
	case wire.ProtoTCP:
		if len(b) >= at+wire.TCPLen && b[at+13]&wire.TCPRst != 0 {
			return "tcp reset"
		}
	case wire.ProtoICMP:
		if wire.IsICMP4Error(b[at]) {
			return icmpName("icmp", b[at], b[at+1], 3, rule.ICMPTypeType, rule.ICMPCodeType)
		}
	case wire.ProtoICMPv6:
		if b[at] < 128 {
			return icmpName("icmpv6", b[at], b[at+1], 1, rule.ICMPv6TypeType, rule.ICMPv6CodeType)
		}
	}
	return ""
}

// icmpName names an error by its code if it says that something is unreachable, else
// by its type.
func icmpName(proto string, typ, code, unreachable uint8, types, codes *rule.Type) string {
	f := &rule.Field{Header: proto, Bits: 8, Type: types}
	v := typ
	if typ == unreachable {
		f.Type, v = codes, code
	}
	return proto + " " + text(f, []byte{v})
}

// isAnswerName reports whether icmpName can return proto and what.
func isAnswerName(proto, what string) bool {
	types, codes := rule.ICMPTypeType, rule.ICMPCodeType
	switch proto {
	case "icmpv6":
		types, codes = rule.ICMPv6TypeType, rule.ICMPv6CodeType
	case "icmp":
	default:
		return false
	}
	_, isType := types.Lookup(what)
	_, isCode := codes.Lookup(what)
	return isType || isCode
}

// describe writes a packet for people.
func (s *seen) describe() string {
	src, dst := ends(s.b)
	if !src.Addr().IsValid() {
		return "a packet without addresses at " + s.at.String()
	}
	proto, at := headers(s.b)
	var b strings.Builder
	name := protocolName(proto)
	b.WriteString(name)
	one := func(ap netip.AddrPort) string {
		if at == 0 || name == "icmp" || name == "icmpv6" || ap.Port() == 0 {
			return ap.Addr().String()
		}
		return ap.String()
	}
	b.WriteString(" " + one(src) + " > " + one(dst))
	return b.String()
}

func protocolName(proto uint8) string {
	for name, n := range protocols {
		if n == proto {
			return name
		}
	}
	f := &rule.Field{Bits: 8, Type: rule.InetProtoType}
	return "protocol " + text(f, []byte{proto})
}
