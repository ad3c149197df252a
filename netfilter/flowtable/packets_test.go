package flowtable_test

import (
	"encoding/binary"
	"net/netip"

	"github.com/knitnet/knit/wire"
)

// A seg is a packet to be made.
type seg struct {
	src, dst string // address:port
	tcp      bool
	flags    uint16
	seq, ack uint32
	ttl      uint8
	df       bool
	tos      uint8
	data     int
	noSum    bool // UDP without a checksum
	options  int  // bytes of IPv4 options
	frag     uint16
	partial  bool // the checksum holds the pseudo header only
}

func udp(src, dst string, data int) []byte { return seg{src: src, dst: dst, data: data}.bytes() }

func tcp(src, dst string, flags uint16, seq, ack uint32, data int) []byte {
	return segment(src, dst, flags, seq, ack, data).bytes()
}

func segment(src, dst string, flags uint16, seq_, ack uint32, data int) seg {
	return seg{src: src, dst: dst, tcp: true, flags: flags, seq: seq_, ack: ack, data: data}
}

// bytes makes the packet.
func (s seg) bytes() []byte {
	from, to := netip.MustParseAddrPort(s.src), netip.MustParseAddrPort(s.dst)
	l4 := s.transport(from, to)
	if s.ttl == 0 {
		s.ttl = 64
	}
	proto := uint8(wire.ProtoUDP)
	if s.tcp {
		proto = wire.ProtoTCP
	}
	if from.Addr().Is6() {
		b := make([]byte, wire.IPv6Len+len(l4))
		wire.PutIPv6(b, &wire.IPv6Fields{
			TrafficClass: s.tos, NextHeader: proto, HopLimit: s.ttl, PayloadLen: uint16(len(l4)), Src: from.Addr().As16(), Dst: to.Addr().As16(),
		})
		copy(b[wire.IPv6Len:], l4)
		return b
	}
	f := wire.IPv4Fields{TOS: s.tos, TTL: s.ttl, Protocol: proto, ID: uint16(s.seq + uint32(s.data)), Src: from.Addr().As4(), Dst: to.Addr().As4()}
	f.Options = make([]byte, s.options)
	for i := range f.Options {
		f.Options[i] = 1 // no operation
	}
	b := make([]byte, f.HeaderLen()+len(l4))
	f.TotalLen = uint16(len(b))
	n := wire.PutIPv4(b, &f)
	copy(b[n:], l4)
	binary.BigEndian.PutUint16(b[6:], s.frag)
	if s.df {
		b[6] |= 0x40
	}
	h, _ := wire.ParseIPv4(b)
	h.UpdateHeaderChecksum()
	return b
}

func (s seg) transport(from, to netip.AddrPort) []byte {
	n, at, proto := wire.UDPLen, 6, uint8(wire.ProtoUDP)
	if s.tcp {
		n, at, proto = wire.TCPLen, 16, wire.ProtoTCP
	}
	b := make([]byte, n+s.data)
	for i := range b[n:] {
		b[n+i] = byte(i*7 + int(s.seq))
	}
	if s.tcp {
		wire.PutTCP(b, &wire.TCPFields{SrcPort: from.Port(), DstPort: to.Port(), Seq: s.seq, Ack: s.ack, Flags: s.flags, Window: 60000}, 0)
	} else {
		wire.PutUDP(b, from.Port(), to.Port(), s.data)
	}
	if s.noSum && !s.tcp {
		return b
	}
	pseudo := wire.PseudoIPv6(from.Addr().As16(), to.Addr().As16(), proto, len(b))
	if from.Addr().Is4() {
		pseudo = wire.PseudoIPv4(from.Addr().As4(), to.Addr().As4(), proto, len(b))
	}
	sum := wire.Sum(b, pseudo).Finish()
	switch {
	case s.partial:
		sum = pseudo.Fold()
	case !s.tcp && sum == 0:
		sum = 0xffff
	}
	binary.BigEndian.PutUint16(b[at:], sum)
	return b
}
