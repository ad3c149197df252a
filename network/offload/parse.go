package offload

import (
	"bytes"
	"encoding/binary"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/wire"
)

// A key tells flows apart.
type key struct {
	ports uint64 // ports, protocol and IP version
	addrs [4]uint64
}

// sameDF is DF in the field same of an IPv4 segment.
const sameDF = 0x40 << 8

// equal is == without a call: nearly always the first words decide.
func (k *key) equal(o *key) bool {
	return k.ports == o.ports && k.addrs[0] == o.addrs[0] && k.addrs[1] == o.addrs[1] &&
		k.addrs[2] == o.addrs[2] && k.addrs[3] == o.addrs[3]
}

// A segment is what Merge has to know of a packet. parse sets every field that has
// a meaning for the packet's protocol.
type segment struct {
	key  key
	same uint64 // header fields in which merged packets agree
	bits uint32 // TCP: the flags in which they agree, and the window
	seq  uint32 // TCP
	ack  uint32 // TCP
	id   uint16 // IPv4
	l4   int    // offset of the transport header from the start of the data
	n    int    // length of all headers
	pay  int    // payload bytes
	tcp  bool
	v6   bool
	last bool // nothing may be merged behind it: PSH
	fits bool // it may be merged at all
}

// parse looks at a packet that begins with its IP header, and cuts link padding
// off. It reports false when the packet belongs to no flow that is merged.
func (s *segment) parse(pkt *packet.Packet, udp bool) bool {
	if pkt.HeadLen() < wire.IPv4Len && !pkt.Ensure(wire.IPv4Len) {
		return false
	}
	var proto uint8
	var ok bool
	switch pkt.Head()[0] {
	case 0x45: // no options
		proto, ok = s.parse4(pkt)
	case 0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f:
		proto, ok = s.parse6(pkt)
	}
	switch {
	case !ok:
		return false
	case proto == wire.ProtoTCP:
		return s.parseTCP(pkt)
	case proto == wire.ProtoUDP && udp:
		return s.parseUDP(pkt)
	}
	return false
}

func (s *segment) parse4(pkt *packet.Packet) (proto uint8, ok bool) {
	h, ok := wire.ParseIPv4(pkt.Head())
	if !ok || h.IsFragment() || h.TotalLen() > pkt.Len() || !h.ChecksumOK() {
		return 0, false
	}
	pkt.TrimTo(h.TotalLen())
	b := pkt.Head()[:wire.IPv4Len]
	proto = b[9]
	s.key = key{ports: uint64(proto)<<8 | 4, addrs: [4]uint64{binary.BigEndian.Uint64(b[12:20])}}
	s.same = uint64(b[1])<<16 | uint64(b[6]&0xc0)<<8 | uint64(b[8]) // TOS, reserved bit and DF, TTL
	s.id = binary.BigEndian.Uint16(b[ip4ID:])
	s.v6, s.l4 = false, wire.IPv4Len
	return proto, true
}

func (s *segment) parse6(pkt *packet.Packet) (proto uint8, ok bool) {
	if !pkt.Ensure(wire.IPv6Len) {
		return 0, false
	}
	h, _ := wire.ParseIPv6(pkt.Head())
	if h.TotalLen() > pkt.Len() {
		return 0, false
	}
	pkt.TrimTo(h.TotalLen())
	b := pkt.Head()[:wire.IPv6Len]
	proto = b[6]
	s.key.ports = uint64(proto)<<8 | 6
	for i := range 4 {
		s.key.addrs[i] = binary.BigEndian.Uint64(b[8+8*i:])
	}
	s.same = uint64(binary.BigEndian.Uint32(b[0:4]))<<8 | uint64(b[7]) // class, flow label, hop limit
	s.v6, s.l4, s.id = true, wire.IPv6Len, 0
	return proto, true
}

func (s *segment) parseTCP(pkt *packet.Packet) bool {
	if !pkt.Ensure(s.l4 + wire.TCPLen) {
		return false
	}
	b := pkt.Head()[s.l4:]
	n := int(b[12]>>4) * 4
	if n < wire.TCPLen || !pkt.Ensure(s.l4+n) {
		return false
	}
	b = pkt.Head()[s.l4:][:n]
	s.key.ports |= uint64(binary.BigEndian.Uint32(b[0:4])) << 32
	s.tcp = true
	s.seq, s.ack = binary.BigEndian.Uint32(b[tcpSeq:]), binary.BigEndian.Uint32(b[8:])
	flags := binary.BigEndian.Uint32(b[12:16])
	s.last = flags&(wire.TCPPsh<<16) != 0
	s.bits = flags &^ (wire.TCPPsh << 16)
	s.n = s.l4 + n
	s.pay = pkt.Len() - s.n
	const extra = (wire.TCPAe | wire.TCPCwr | wire.TCPUrg | wire.TCPRst | wire.TCPSyn | wire.TCPFin) << 16
	s.fits = s.bits&(extra|wire.TCPAck<<16) == wire.TCPAck<<16 && s.pay > 0 && b[18]|b[19] == 0 && // no urgent pointer
		pkt.GSO == packet.GSONone && s.sumOK(pkt)
	return true
}

func (s *segment) parseUDP(pkt *packet.Packet) bool {
	if !pkt.Ensure(s.l4 + wire.UDPLen) {
		return false
	}
	b := pkt.Head()[s.l4:][:wire.UDPLen]
	s.key.ports |= uint64(binary.BigEndian.Uint32(b[0:4])) << 32
	s.tcp, s.last, s.bits, s.ack, s.seq = false, false, 0, 0, 0
	s.n = s.l4 + wire.UDPLen
	s.pay = pkt.Len() - s.n
	s.fits = s.pay > 0 && int(binary.BigEndian.Uint16(b[udpLen:])) == pkt.Len()-s.l4 &&
		binary.BigEndian.Uint16(b[wire.UDPChecksumOffset:]) != 0 && pkt.GSO == packet.GSONone && s.sumOK(pkt)
	return true
}

// sumOK checks the transport checksum of a packet that nobody has checked, and
// notes that it is right: the transport need not sum again.
func (s *segment) sumOK(pkt *packet.Packet) bool {
	if pkt.Csum != packet.CsumNone {
		return true
	}
	if !link.ChecksumFrom(pkt, s.l4, s.pseudo(pkt)).Valid() {
		return false
	}
	pkt.Csum = packet.CsumUnnecessary
	return true
}

// pseudo returns the sum of the pseudo header of a packet that begins with its IP
// header.
func (s *segment) pseudo(pkt *packet.Packet) wire.PartialSum {
	if s.v6 {
		h, _ := wire.ParseIPv6(pkt.Head())
		return h.PseudoSum(uint8(s.key.ports>>8), pkt.Len()-s.l4)
	}
	h, _ := wire.ParseIPv4(pkt.Head())
	return h.PseudoSum(pkt.Len() - s.l4)
}

// sameOptions reports whether two TCP headers have the same options.
func sameOptions(a, b *packet.Packet, l4, n int) bool {
	if l4+wire.TCPLen == n {
		return true
	}
	x, y := a.Head()[l4+wire.TCPLen:n], b.Head()[l4+wire.TCPLen:n]
	if len(x) == wire.TCPTimestampsLen && len(y) == len(x) {
		return binary.BigEndian.Uint64(x) == binary.BigEndian.Uint64(y) &&
			binary.BigEndian.Uint32(x[8:]) == binary.BigEndian.Uint32(y[8:])
	}
	return bytes.Equal(x, y)
}
