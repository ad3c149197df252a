package offload

import (
	"math/rand/v2"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/wire"
)

// A shape says what a test packet looks like.
type shape struct {
	v6, udp  bool
	options  []byte // of TCP
	flags    uint16
	port     uint16 // source port
	seq, ack uint32
	id       uint16
	size     int // GSOSize
	ether    bool
	noDF     bool
	reserved bool // the bit beside DF
	ttl, tos uint8
	label    uint32 // IPv6
	urgent   uint16
	window   uint16
}

// build makes a packet with CsumPartial around payload.
func build(pool *packet.Pool, s shape, payload []byte) *packet.Packet {
	pkt := pool.Get()
	pkt.Proto = wire.EtherTypeIPv4
	if s.ttl == 0 {
		s.ttl = 64
	}
	transport := s.transport(len(payload))
	if len(payload) > 0 {
		buf := pool.Buf(len(payload))
		copy(buf.Bytes(), payload)
		pkt.AddFrag(buf, 0, len(payload))
	}
	copy(pkt.Push(len(transport)), transport)
	pkt.L4 = uint16(pkt.Offset())
	src4, dst4 := [4]byte{10, 0, 0, 1}, [4]byte{10, 0, 0, 2}
	src6, dst6 := [16]byte{0: 0xfd, 15: 1}, [16]byte{0: 0xfd, 15: 2}
	proto := uint8(wire.ProtoTCP)
	pkt.CsumOffset, pkt.GSO = wire.TCPChecksumOffset, packet.GSOTCP4
	if s.udp {
		proto, pkt.CsumOffset, pkt.GSO = wire.ProtoUDP, wire.UDPChecksumOffset, packet.GSOUDP
	}
	l4 := pkt.Len()
	pseudo := wire.PseudoIPv4(src4, dst4, proto, l4)
	if s.v6 {
		pseudo = wire.PseudoIPv6(src6, dst6, proto, l4)
		pkt.Proto = wire.EtherTypeIPv6
		if !s.udp {
			pkt.GSO = packet.GSOTCP6
		}
		wire.PutIPv6(pkt.Push(wire.IPv6Len), &wire.IPv6Fields{TrafficClass: s.tos, FlowLabel: s.label, NextHeader: proto, HopLimit: s.ttl, PayloadLen: uint16(l4), Src: src6, Dst: dst6})
	} else {
		wire.PutIPv4(pkt.Push(wire.IPv4Len), &wire.IPv4Fields{
			TOS: s.tos, TTL: s.ttl, Protocol: proto, DF: !s.noDF, ID: s.id, TotalLen: uint16(l4 + wire.IPv4Len), Src: src4, Dst: dst4})
		if s.reserved {
			h, _ := wire.ParseIPv4(pkt.Head())
			pkt.Head()[6] |= 0x80
			h.UpdateHeaderChecksum()
		}
	}
	pkt.L3 = uint16(pkt.Offset())
	pkt.Csum, pkt.CsumStart = packet.CsumPartial, pkt.L4
	be16(pkt.At(pkt.CsumStart)[pkt.CsumOffset:], pseudo.Fold())
	pkt.GSOSize = uint16(s.size)
	if s.size == 0 {
		pkt.GSO = packet.GSONone
	} else {
		pkt.GSOSegs = uint16((len(payload) + s.size - 1) / s.size)
	}
	if s.ether {
		wire.PutEthernet(pkt.Push(wire.EthernetLen), wire.MAC{2}, wire.MAC{4}, pkt.Proto)
		pkt.L2 = uint16(pkt.Offset())
	}
	return pkt
}

func (s shape) transport(n int) []byte {
	if s.udp {
		b := make([]byte, wire.UDPLen)
		wire.PutUDP(b, s.port, 40000, n)
		return b
	}
	b := make([]byte, wire.TCPLen+len(s.options))
	wire.PutTCP(b, &wire.TCPFields{SrcPort: s.port, DstPort: 80, Seq: s.seq, Ack: s.ack, Flags: s.flags, Window: 1000 + s.window, Urgent: s.urgent}, len(s.options))
	copy(b[wire.TCPLen:], s.options)
	return b
}

func be16(b []byte, v uint16) { b[0], b[1] = byte(v>>8), byte(v) }

func content(pkt *packet.Packet) []byte {
	b := make([]byte, pkt.Len())
	pkt.CopyOut(0, b)
	return b
}

func randomBytes(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

var timestamps = []byte{1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2}

// complete finishes the checksums of a batch, as a device without offload does.
func complete(q *packet.Queue) {
	for p := q.Front(); p != nil; p = p.Next() {
		link.CompleteChecksum(p)
	}
}
