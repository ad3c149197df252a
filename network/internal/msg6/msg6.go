// Package msg6 sends and reads ICMPv6 messages for the modules whose protocols are
// made of them: Neighbour Discovery and MLD.
package msg6

import (
	"net/netip"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/wire"
)

// CountSymbol is the kernel symbol under which icmp6 exports its Count.
const CountSymbol = "icmp6_count"

// Count counts one message of a type as sent.
type Count func(typ uint8)

// A Sender sends messages on the links of this host. It is safe for concurrent use.
type Sender struct {
	Net   *network.Layer
	Paths *network.PathCache
	Count Count
}

// A Message says how one is sent. Src may be the unspecified address.
type Message struct {
	Device   *link.Device
	Src, Dst netip.Addr
	HopLimit uint8
	// RouterAlert puts a hop-by-hop header with that option in front (RFC 2711).
	RouterAlert bool
}

// Send sends a message of n bytes that put writes, with a checksum that Send
// computes; no member of the group on this host gets a copy. Without a way to the
// destination it sends nothing.
func (s *Sender) Send(m Message, n int, put func(b []byte)) {
	path, err := s.Paths.Resolve(network.Flow{Dst: m.Dst, Src: m.Src, Index: m.Device.Index()})
	if err != nil {
		return
	}
	pkt := s.Net.Pool.Get()
	var b []byte
	if n <= pkt.Tailroom() {
		b = pkt.Extend(n)
	} else {
		buf := s.Net.Pool.Buf(n)
		b = buf.Bytes()[:n]
		pkt.AddFrag(buf, 0, n)
	}
	clear(b)
	put(b)
	wire.FinishICMP6(b, path.Src.As16(), path.Dst.As16())
	s.Count(b[0])
	out := network.Send{Path: path, Proto: wire.ProtoICMPv6, TTL: m.HopLimit, NoLoop: true}
	if m.RouterAlert {
		out.Proto = wire.ProtoHopByHop
		wire.PutIPv6RouterAlert(pkt.Push(wire.IPv6RouterAlertLen), wire.ProtoICMPv6, wire.IPv6RouterAlertMLD)
	}
	var q packet.Queue
	q.Push(pkt)
	s.Net.Send(&out, &q)
}

// Bytes returns the bytes of a received message in one piece, until release is
// called.
func Bytes(pkt *packet.Packet) (b []byte, release func()) {
	if pkt.Frags() == 0 {
		return pkt.Head(), func() {}
	}
	buf := pkt.Pool().Buf(min(pkt.Len(), packet.MaxBuf))
	n := pkt.CopyOut(0, buf.Bytes()[:min(pkt.Len(), packet.MaxBuf)])
	return buf.Bytes()[:n], func() { buf.Release(1) }
}
