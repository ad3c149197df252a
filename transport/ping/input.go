package ping

import (
	"encoding/binary"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/transport"
	"github.com/knitnet/knit/transport/datagram"
	"github.com/knitnet/knit/wire"
)

// echo types by version.
var (
	requestType = [2]byte{network.V4: wire.ICMP4Echo, network.V6: wire.ICMP6Echo}
	replyType   = [2]byte{network.V4: wire.ICMP4EchoReply, network.V6: wire.ICMP6EchoReply}
)

// RawInput implements network.RawHandler: echo replies go to the socket that has
// their identifier; everything else is left to others.
func (p *ping) RawInput(v network.Version, pkt *packet.Packet) (wanted bool) {
	var h [wire.ICMPLen]byte
	if pkt.CopyOut(0, h[:]) < len(h) || h[0] != replyType[v] || h[1] != 0 {
		return false
	}
	ss := p.at(key{v, binary.BigEndian.Uint16(h[4:])})
	if len(ss) == 0 || !valid(v, pkt) {
		return false
	}
	src, dst := datagram.Addrs(pkt.At(pkt.L3))
	for _, s := range ss {
		if s.ends.Match(src, dst, pkt.In) {
			c := pkt.Clone()
			c.Ensure(len(h))
			link.CompleteChecksum(c)
			s.queue.Put(c)
			return true
		}
	}
	return false
}

// valid checks the checksum: raw handlers see messages before the protocol does.
func valid(v network.Version, pkt *packet.Packet) bool {
	if pkt.Csum != packet.CsumNone {
		return true
	}
	var pseudo wire.PartialSum
	if v == network.V6 {
		ip, ok := wire.ParseIPv6(pkt.At(pkt.L3))
		if !ok {
			return false
		}
		pseudo = ip.PseudoSum(wire.ProtoICMPv6, pkt.Len())
	}
	return link.ChecksumFrom(pkt, 0, pseudo).Valid()
}

// RawError implements network.RawHandler: a connected socket learns of errors about
// its requests.
func (p *ping) RawError(e *network.Error) {
	v := network.VersionOf(e.Dst)
	if !e.Kind.Hard() || len(e.Payload) < wire.ICMPLen || e.Payload[0] != requestType[v] {
		return
	}
	for _, s := range p.at(key{v, binary.BigEndian.Uint16(e.Payload[4:])}) {
		if s.ends.MatchError(e) {
			s.queue.Fail(e.Kind.Errno())
		}
	}
}

// RecvFrom implements transport.Datagram: b gets the ICMP message.
func (s *socket) RecvFrom(b []byte, m *transport.Message) (int, error) {
	pkt, err := s.queue.Take()
	if err != nil {
		return 0, err
	}
	s.ends.Describe(pkt, m)
	return s.queue.Read(pkt, b, m), nil
}
