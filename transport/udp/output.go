package udp

import (
	"net/netip"
	"syscall"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/route"
	"github.com/knitnet/knit/transport"
	"github.com/knitnet/knit/transport/datagram"
	"github.com/knitnet/knit/wire"
)

// maxSegments bounds the datagrams of one UDP_SEGMENT send (UDP_MAX_SEGMENTS).
const maxSegments = 128

// SendTo implements transport.Datagram.
func (s *socket) SendTo(b []byte, m *transport.Message) (int, error) {
	if err := s.queue.TakeError(); err != nil {
		return 0, err
	}
	to, p, err := s.way(datagram.Unmap(m.Dst))
	if err != nil {
		return 0, err
	}
	switch {
	case to.Port() == 0:
		return 0, syscall.EINVAL
	case p.Type == route.Broadcast && !s.opts.Broadcast():
		return 0, syscall.EACCES
	}
	if err := s.checkSize(len(b), m.Segment, p); err != nil {
		return 0, err
	}
	s.noteSize(len(b), m.Segment, p, to.Port())
	pkt := s.u.net.Pool.Get()
	pkt.Append(b)
	if m.Segment > 0 && len(b) > m.Segment {
		pkt.GSO, pkt.GSOSize = packet.GSOUDP, uint16(m.Segment)
		pkt.GSOSegs = uint16((len(b) + m.Segment - 1) / m.Segment)
	}
	s.pushHeader(pkt, p, to.Port())
	s.u.mib[network.VersionOf(p.Dst)].outDatagrams.Add(uint64(max(pkt.GSOSegs, 1)))
	s.u.out.Send(s.u.net, p, &s.opts, network.Send{Proto: wire.ProtoUDP}, pkt)
	return len(b), nil
}

// way returns the destination and the path to it, remembered from last time.
func (s *socket) way(to netip.AddrPort) (netip.AddrPort, *network.Path, error) {
	if !to.IsValid() {
		peer := s.peer.Load()
		if peer == nil {
			return to, nil, syscall.EDESTADDRREQ
		}
		to = peer.zoned(s)
	}
	d := s.destination(to)
	if p := s.path.To(d); p != nil {
		return to, p, nil
	}
	p, err := s.resolve(to)
	if err != nil {
		return to, nil, err
	}
	s.path.Set(d, p)
	return to, p, nil
}

// checkSize holds a payload against what fits into one IP packet, against the path
// MTU where the socket does not fragment, and segments always: they are never
// fragmented.
func (s *socket) checkSize(n, segment int, p *network.Path) error {
	header, most := wire.UDPLen+headerLen(p.Dst), wire.IPv4MaxTotal
	if p.Dst.Is6() {
		most = wire.IPv6Len + wire.IPv6MaxPayload
	}
	switch {
	case n+header > most:
		return syscall.EMSGSIZE
	case segment == 0:
		if s.opts.TooBig(n+header, p) {
			return syscall.EMSGSIZE
		}
	case segment < 0, segment+header > p.MTU(), (n+segment-1)/segment > maxSegments:
		return syscall.EINVAL
	}
	return nil
}

// noteSize remembers that a datagram was sent that may be too big for some link of
// the way. Every link takes the smallest MTU.
func (s *socket) noteSize(n, segment int, p *network.Path, port uint16) {
	if segment > 0 {
		n = min(n, segment)
	}
	n += wire.UDPLen
	if f := s.u.net.Family(network.VersionOf(p.Dst)); f != nil && n+headerLen(p.Dst) > f.MinMTU() {
		s.u.sent.note(s.port, netip.AddrPortFrom(p.Dst, port), n)
	}
}

// pushHeader puts the UDP header in front of pkt, with the checksum left to
// complete.
func (s *socket) pushHeader(pkt *packet.Packet, p *network.Path, port uint16) {
	n := pkt.Len()
	wire.PutUDP(pkt.Push(wire.UDPLen), s.port, port, n)
	h, _ := wire.ParseUDP(pkt.Head())
	h.SetChecksum(wire.Pseudo(p.Src, p.Dst, wire.ProtoUDP, n+wire.UDPLen).Fold())
	pkt.Csum = packet.CsumPartial
	pkt.CsumStart, pkt.CsumOffset = uint16(pkt.Offset()), 6
}
