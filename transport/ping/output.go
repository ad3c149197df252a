package ping

import (
	"encoding/binary"
	"syscall"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/route"
	"github.com/knitnet/knit/transport"
	"github.com/knitnet/knit/wire"
)

// SendTo implements transport.Datagram: b is an ICMP echo request, of which the
// kernel sets identifier and checksum. Anything else is EINVAL.
func (s *socket) SendTo(b []byte, m *transport.Message) (int, error) {
	if err := s.queue.TakeError(); err != nil {
		return 0, err
	}
	v := s.ends.Version()
	switch {
	case len(b) > wire.IPv4MaxTotal-wire.IPv4Len && v == network.V4, len(b) > wire.IPv6MaxPayload:
		return 0, syscall.EMSGSIZE
	case len(b) < wire.ICMPLen, b[0] != requestType[v], b[1] != 0:
		return 0, syscall.EINVAL
	}
	p, err := s.ends.Way(m.Dst.Addr())
	if err != nil {
		return 0, err
	}
	if p.Type == route.Broadcast && !s.opts.Broadcast() {
		return 0, syscall.EACCES
	}
	proto, header, pseudo := uint8(wire.ProtoICMP), wire.IPv4Len, wire.PartialSum(0)
	if v == network.V6 {
		proto, header = wire.ProtoICMPv6, wire.IPv6Len
		pseudo = wire.Pseudo(p.Src, p.Dst, proto, len(b))
	}
	if s.opts.TooBig(len(b)+header, p) {
		return 0, syscall.EMSGSIZE
	}
	pkt := s.ping.net.Pool.Get()
	pkt.Append(b)
	pkt.Ensure(wire.ICMPLen)
	h := pkt.Head()
	binary.BigEndian.PutUint16(h[4:], s.ident)
	binary.BigEndian.PutUint16(h[2:], pseudo.Fold())
	pkt.Csum, pkt.CsumStart, pkt.CsumOffset = packet.CsumPartial, uint16(pkt.Offset()), 2
	s.ping.out.Send(s.ping.net, p, &s.opts, network.Send{Proto: proto}, pkt)
	return len(b), nil
}
