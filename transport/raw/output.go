package raw

import (
	"encoding/binary"
	"syscall"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/route"
	"github.com/knitnet/knit/transport"
	"github.com/knitnet/knit/wire"
)

// SendTo implements transport.Datagram: b goes behind an IP header of the kernel's
// making, or has its own, and m.Dst then only says which way.
func (s *socket) SendTo(b []byte, m *transport.Message) (int, error) {
	if err := s.queue.TakeError(); err != nil {
		return 0, err
	}
	p, err := s.ends.Way(m.Dst.Addr())
	if err != nil {
		return 0, err
	}
	if p.Type == route.Broadcast && !s.opts.Broadcast() {
		return 0, syscall.EACCES
	}
	if err := s.check(b, p); err != nil {
		return 0, err
	}
	pkt := s.raw.net.Pool.Get()
	pkt.Append(b)
	if s.proto == wire.ProtoICMPv6 && s.ends.Version() == network.V6 && !s.included {
		sumLater(pkt, p)
	}
	s.raw.out.Send(s.raw.net, p, &s.opts, network.Send{Proto: s.proto, HeaderIncluded: s.included}, pkt)
	return len(b), nil
}

// check holds the length of a packet against what IP and the headers want.
// Packets with a header of their own are never fragmented.
func (s *socket) check(b []byte, p *network.Path) error {
	v4 := s.ends.Version() == network.V4
	header := wire.IPv6Len
	if v4 {
		header = wire.IPv4Len
	}
	switch {
	case s.included && len(b) < header:
		return syscall.EINVAL
	case s.included && len(b) > p.Device.MTU():
		return syscall.EMSGSIZE
	case v4 && !s.included && len(b) > wire.IPv4MaxTotal-wire.IPv4Len, len(b) > wire.IPv6MaxPayload:
		return syscall.EMSGSIZE
	case !s.included && s.opts.TooBig(len(b)+header, p):
		return syscall.EMSGSIZE
	case !v4 && s.proto == wire.ProtoICMPv6 && len(b) < 4:
		return syscall.EINVAL
	}
	return nil
}

// sumLater asks for the checksum of an ICMPv6 message: "The kernel will calculate
// and insert the ICMPv6 checksum for ICMPv6 raw sockets" (RFC 3542 §3.1).
func sumLater(pkt *packet.Packet, p *network.Path) {
	const offset = 2
	pkt.Ensure(offset + 2)
	sum := wire.Pseudo(p.Src, p.Dst, wire.ProtoICMPv6, pkt.Len()).Fold()
	binary.BigEndian.PutUint16(pkt.Head()[offset:], sum)
	pkt.Csum, pkt.CsumStart, pkt.CsumOffset = packet.CsumPartial, uint16(pkt.Offset()), offset
}
