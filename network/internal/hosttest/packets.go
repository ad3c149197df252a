package hosttest

import (
	"net/netip"
	"testing"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/wire"
)

// A4 parses an IPv4 address.
func A4(s string) [4]byte { return netip.MustParseAddr(s).As4() }

// IPv4 returns a packet: f's TotalLen is computed, a TTL of 0 becomes 64.
func IPv4(f wire.IPv4Fields, payload []byte) []byte {
	if f.TTL == 0 {
		f.TTL = 64
	}
	b := make([]byte, f.HeaderLen()+len(payload))
	f.TotalLen = uint16(len(b))
	copy(b[wire.PutIPv4(b, &f):], payload)
	return b
}

// UDP returns a UDP datagram in an IPv4 packet, with checksum.
func UDP(f wire.IPv4Fields, sport, dport uint16, payload []byte) []byte {
	d := make([]byte, wire.UDPLen+len(payload))
	wire.PutUDP(d, sport, dport, len(d))
	copy(d[wire.UDPLen:], payload)
	f.Protocol = wire.ProtoUDP
	sum := wire.Sum(d, wire.PseudoIPv4(f.Src, f.Dst, f.Protocol, len(d))).FinishUDP()
	d[wire.UDPChecksumOffset], d[wire.UDPChecksumOffset+1] = byte(sum>>8), byte(sum)
	return IPv4(f, d)
}

// ICMP4 returns an ICMP message in an IPv4 packet.
func ICMP4(f wire.IPv4Fields, typ, code uint8, rest uint32, payload []byte) []byte {
	m := make([]byte, wire.ICMPLen+len(payload))
	wire.PutICMP4(m, typ, code, rest)
	copy(m[wire.ICMPLen:], payload)
	wire.FinishICMP4(m)
	f.Protocol = wire.ProtoICMP
	return IPv4(f, m)
}

// A Sink is a Handler that keeps what it gets.
type Sink struct {
	net *network.Layer

	Packets [][]byte // from the IP header on
	Metas   []packet.Meta
	Errors  []network.Error
}

// Input implements network.Handler.
func (s *Sink) Input(q *packet.Queue) {
	for pkt := q.Pop(); pkt != nil; pkt = q.Pop() {
		s.Metas = append(s.Metas, pkt.Meta)
		pkt.Unpull(pkt.Offset() - int(pkt.L3))
		s.Packets = append(s.Packets, Bytes(pkt))
		pkt.Consume()
	}
}

// Error implements network.Handler.
func (s *Sink) Error(e *network.Error) {
	x := *e
	x.Payload = append([]byte(nil), e.Payload...)
	s.Errors = append(s.Errors, x)
	if e.Kind == network.PacketTooBig {
		s.net.LearnMTU(e.Dst, e.Index, e.MTU)
	}
}

// Sink makes a Sink the handler of an IPv4 protocol.
func (h *Host) Sink(t testing.TB, proto uint8) *Sink {
	t.Helper()
	s := &Sink{net: h.Net}
	undo, err := h.Net.Handle(network.V4, proto, s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(undo)
	return s
}

// Send sends one packet with a payload that begins with its transport header.
func (h *Host) Send(t testing.TB, s network.Send, dst string, payload []byte) {
	t.Helper()
	if s.Path == nil {
		p, err := h.Net.Resolve(network.Flow{Dst: netip.MustParseAddr(dst)})
		if err != nil {
			t.Fatalf("resolve %s: %v", dst, err)
		}
		s.Path = p
	}
	pkt := h.Pool.Get()
	pkt.Append(payload)
	var q packet.Queue
	q.Push(pkt)
	h.Net.Send(&s, &q)
}
