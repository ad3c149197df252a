package nat_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/knitnet/knit/wire"
)

// A message is a packet of the tests, as its sender means it.
type message struct {
	proto    uint8
	src, dst netip.AddrPort
	// typ, code and rest are those of ICMP, where the ports mean nothing.
	typ, code uint8
	rest      uint32
	flags     uint16 // of TCP
	seq, ack  uint32
	data      []byte
	ttl       uint8 // 0: 64
	df        bool
	noSum     bool // UDP without a checksum
	options   []byte
}

func ap(s string) netip.AddrPort {
	if p, err := netip.ParseAddrPort(s); err == nil {
		return p
	}
	return netip.AddrPortFrom(netip.MustParseAddr(s), 0)
}

func udp(src, dst, data string) message {
	return message{proto: wire.ProtoUDP, src: ap(src), dst: ap(dst), data: []byte(data)}
}

func tcp(src, dst string, flags uint16, seq, ack uint32, data string) message {
	return message{proto: wire.ProtoTCP, src: ap(src), dst: ap(dst), flags: flags, seq: seq, ack: ack, data: []byte(data)}
}

// echo is an echo request.
func echo(src, dst string, id, seq uint16) message {
	m := message{proto: wire.ProtoICMP, src: ap(src), dst: ap(dst), typ: wire.ICMP4Echo, rest: wire.ICMPEchoRest(id, seq), data: []byte("ping")}
	if m.src.Addr().Is6() {
		m.proto, m.typ = wire.ProtoICMPv6, 128
	}
	return m
}

// failure is an ICMP error about a packet.
func failure(src, dst string, typ, code uint8, rest uint32, about []byte) message {
	m := message{proto: wire.ProtoICMP, src: ap(src), dst: ap(dst), typ: typ, code: code, rest: rest, data: about}
	if m.src.Addr().Is6() {
		m.proto = wire.ProtoICMPv6
	}
	return m
}

func (m message) bytes() []byte {
	l4 := m.transport()
	src, dst := m.src.Addr(), m.dst.Addr()
	ttl := m.ttl
	if ttl == 0 {
		ttl = 64
	}
	if src.Is6() {
		b := make([]byte, wire.IPv6Len, wire.IPv6Len+len(l4))
		wire.PutIPv6(b, &wire.IPv6Fields{PayloadLen: uint16(len(l4)), NextHeader: m.proto, HopLimit: ttl, Src: src.As16(), Dst: dst.As16()})
		return append(b, l4...)
	}
	f := wire.IPv4Fields{ID: 0x1234, DF: m.df, TTL: ttl, Protocol: m.proto, Src: src.As4(), Dst: dst.As4(), Options: m.options}
	f.TotalLen = uint16(f.HeaderLen() + len(l4))
	b := make([]byte, f.HeaderLen(), int(f.TotalLen))
	wire.PutIPv4(b, &f)
	return append(b, l4...)
}

func (m message) transport() []byte {
	src, dst := m.src.Addr(), m.dst.Addr()
	var b []byte
	sumAt := 0
	switch m.proto {
	case wire.ProtoUDP:
		b = make([]byte, wire.UDPLen)
		wire.PutUDP(b, m.src.Port(), m.dst.Port(), len(m.data))
		sumAt = 6
	case wire.ProtoTCP:
		b = make([]byte, wire.TCPLen)
		wire.PutTCP(b, &wire.TCPFields{SrcPort: m.src.Port(), DstPort: m.dst.Port(), Seq: m.seq, Ack: m.ack, Flags: m.flags, Window: 1000}, 0)
		sumAt = 16
	case wire.ProtoICMP, wire.ProtoICMPv6:
		b = []byte{m.typ, m.code, 0, 0}
		b = binary.BigEndian.AppendUint32(b, m.rest)
		sumAt = 2
	}
	b = append(b, m.data...)
	switch {
	case sumAt == 0, m.noSum:
	case m.proto == wire.ProtoICMP:
		binary.BigEndian.PutUint16(b[sumAt:], wire.Checksum(b))
	default:
		sum := wire.Sum(b, wire.Pseudo(src, dst, m.proto, len(b)))
		binary.BigEndian.PutUint16(b[sumAt:], sum.FinishUDP())
	}
	return b
}

// parse reads a packet that the tests or a gateway have made, and whether its
// checksums are right.
func parse(b []byte) (m message, sound bool) {
	var l4 []byte
	sound = true
	if b[0]>>4 == 4 {
		h, ok := wire.ParseIPv4(b)
		if !ok {
			return m, false
		}
		m.src, m.dst = netip.AddrPortFrom(h.Src(), 0), netip.AddrPortFrom(h.Dst(), 0)
		m.proto, m.ttl, m.df, l4 = h.Protocol(), h.TTL(), h.DF(), h.Payload()
		m.options = h.Options()
		sound = h.ChecksumOK()
		if h.IsFragment() {
			return m, sound
		}
	} else {
		h, ok := wire.ParseIPv6(b)
		if !ok {
			return m, false
		}
		m.src, m.dst = netip.AddrPortFrom(h.Src(), 0), netip.AddrPortFrom(h.Dst(), 0)
		m.proto, m.ttl, l4 = h.NextHeader(), h.HopLimit(), h.Payload()
	}
	return m, m.parseTransport(l4) && sound
}

func (m *message) parseTransport(b []byte) bool {
	if len(b) < 8 {
		return false
	}
	ports := func() {
		m.src = netip.AddrPortFrom(m.src.Addr(), binary.BigEndian.Uint16(b))
		m.dst = netip.AddrPortFrom(m.dst.Addr(), binary.BigEndian.Uint16(b[2:]))
	}
	pseudo := wire.Pseudo(m.src.Addr(), m.dst.Addr(), m.proto, len(b))
	switch m.proto {
	case wire.ProtoUDP:
		ports()
		m.data, m.noSum = b[wire.UDPLen:], b[6]|b[7] == 0
		return int(binary.BigEndian.Uint16(b[4:])) == len(b) && (m.noSum || wire.Sum(b, pseudo).Valid())
	case wire.ProtoTCP:
		ports()
		h, ok := wire.ParseTCP(b)
		if !ok {
			return false
		}
		m.flags, m.seq, m.ack, m.data = h.Flags(), h.Seq(), h.Ack(), h.Payload()
		return wire.Sum(b, pseudo).Valid()
	case wire.ProtoICMP:
		pseudo = 0
		fallthrough
	case wire.ProtoICMPv6:
		m.typ, m.code, m.rest, m.data = b[0], b[1], binary.BigEndian.Uint32(b[4:]), b[8:]
		return wire.Sum(b, pseudo).Valid()
	}
	return true
}

// answer is what the receiver of m sends back.
func (m message) answer(data string) message {
	r := m
	r.src, r.dst, r.ttl, r.data = m.dst, m.src, 0, []byte(data)
	switch {
	case m.proto == wire.ProtoTCP:
		r.seq, r.ack = m.ack, m.seq+uint32(len(m.data))+uint32(m.flags&wire.TCPSyn>>1)
		r.flags = wire.TCPAck
		if m.flags == wire.TCPSyn {
			r.seq, r.flags = 9000, wire.TCPSyn|wire.TCPAck
		}
	case m.proto == wire.ProtoICMP && m.typ == wire.ICMP4Echo:
		r.typ, r.data = wire.ICMP4EchoReply, m.data
	case m.proto == wire.ProtoICMPv6 && m.typ == 128:
		r.typ, r.data = 129, m.data
	}
	return r
}

func (m message) String() string {
	switch m.proto {
	case wire.ProtoICMP, wire.ProtoICMPv6:
		return fmt.Sprintf("icmp type %d code %d rest %#x %v > %v ttl %d", m.typ, m.code, m.rest, m.src.Addr(), m.dst.Addr(), m.ttl)
	case wire.ProtoTCP:
		return fmt.Sprintf("tcp flags %#x seq %d ack %d %v > %v ttl %d", m.flags, m.seq, m.ack, m.src, m.dst, m.ttl)
	}
	return fmt.Sprintf("proto %d %v > %v ttl %d", m.proto, m.src, m.dst, m.ttl)
}
