package raw

import (
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/transport"
	"github.com/knitnet/knit/transport/datagram"
	"github.com/knitnet/knit/wire"
)

// RawInput implements network.RawHandler.
func (s *socket) RawInput(v network.Version, pkt *packet.Packet) (wanted bool) {
	src, dst := datagram.Addrs(pkt.At(pkt.L3))
	if s.ends.Index() == 0 && !s.raw.net.Hears(0, pkt.In, s.raw.l3mdevAccept.Load()) || !s.ends.Match(src, dst, pkt.In) || dst.IsMulticast() && !s.opts.Wants(dst, pkt.In, src) {
		return false
	}
	c := pkt.Clone()
	c.GSO = packet.GSONone // the reader gets the packet, however it came to be so large
	if !s.complete(v, c) {
		c.Drop(stat.ICMPCsum)
		return true
	}
	if v == network.V4 {
		c.Unpull(int(c.L4 - c.L3))
	}
	s.queue.Put(c)
	return true
}

// complete makes the checksum in c the one that it has on a medium, and reports
// whether it is right as far as the kernel answers for it: "The kernel will [...]
// verify the checksum of received packets" of ICMPv6 (RFC 3542 §3.1).
func (s *socket) complete(v network.Version, c *packet.Packet) bool {
	if c.Csum == packet.CsumPartial {
		if end := int(c.CsumStart) + int(c.CsumOffset) + 2 - c.Offset(); end > 0 && end <= c.Len() {
			c.Ensure(end)
		}
		return link.CompleteChecksum(c)
	}
	if v == network.V4 || s.proto != wire.ProtoICMPv6 || c.Csum != packet.CsumNone {
		return true
	}
	ip, ok := wire.ParseIPv6(c.At(c.L3))
	return ok && link.ChecksumFrom(c, 0, ip.PseudoSum(s.proto, c.Len())).Valid()
}

// RawError implements network.RawHandler.
func (s *socket) RawError(e *network.Error) {
	if e.Kind.Hard() && s.ends.MatchError(e) {
		s.queue.Fail(e.Kind.Errno())
	}
}

// RecvFrom implements transport.Datagram.
func (s *socket) RecvFrom(b []byte, m *transport.Message) (int, error) {
	pkt, err := s.queue.Take()
	if err != nil {
		return 0, err
	}
	s.ends.Describe(pkt, m)
	return s.queue.Read(pkt, b, m), nil
}
