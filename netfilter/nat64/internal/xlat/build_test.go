package xlat

import (
	"encoding/hex"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/internal/leak"
	"github.com/knitnet/knit/wire"
)

func v6(s string) [16]byte { return netip.MustParseAddr(s).As16() }
func v4(s string) [4]byte  { return netip.MustParseAddr(s).As4() }

// The two ends of these tests, as either side sees them.
var (
	client6, server6 = v6("2001:db8::1"), v6("64:ff9b::808:808")
	client4, server4 = v4("9.9.9.9"), v4("8.8.8.8")
)

const clientPort, serverPort, outsidePort = 40000, 53, 61234

// out4 and in6 are what translates between them.
func out4(s *Six) *New4 {
	n := &New4{Src: client4, Dst: server4, SrcPort: outsidePort, DstPort: s.DstPort, ID: 0x1234}
	return n
}

func in6(s *Four) *New6 {
	return &New6{Src: server6, Dst: client6, SrcPort: s.SrcPort, DstPort: clientPort}
}

// pools returns a pool whose packets must all have ended at the end of the test.
func newPool(t testing.TB) *packet.Pool {
	p := new(packet.Pool)
	leak.Zero(t, "packets", p.Live)
	leak.Zero(t, "buffers", p.LiveBufs)
	return p
}

// packetOf puts bytes into a packet: the first head of them in its head, the others in
// a fragment.
func packetOf(p *packet.Pool, b []byte, head int) *packet.Packet {
	pkt := p.Get()
	head = min(head, len(b), pkt.Tailroom())
	copy(pkt.Extend(head), b)
	if rest := b[head:]; len(rest) > 0 {
		buf := p.Buf(len(rest))
		copy(buf.Bytes(), rest)
		pkt.AddFrag(buf, 0, len(rest))
	}
	return pkt
}

func bytesOf(pkt *packet.Packet) []byte {
	b := make([]byte, pkt.Len())
	pkt.CopyOut(0, b)
	return b
}

// slowSum is the Internet checksum as RFC 1071 §1 defines it, one word at a time.
func slowSum(parts ...[]byte) uint16 {
	var all []byte
	for _, p := range parts {
		all = append(all, p...)
	}
	if len(all)%2 == 1 {
		all = append(all, 0)
	}
	sum := uint32(0)
	for i := 0; i < len(all); i += 2 {
		sum += uint32(all[i])<<8 | uint32(all[i+1])
		sum = sum&0xffff + sum>>16
	}
	return uint16(sum)
}

// faults returns what is wrong with a whole IP packet that is no fragment: lengths and
// checksums.
func faults(b []byte) string {
	var t, pseudo []byte
	var proto uint8
	if b[0]>>4 == 4 {
		h, ok := wire.ParseIPv4(b)
		if !ok || h.TotalLen() != len(b) || slowSum(h.Header()) != 0xffff {
			return "IPv4 header"
		}
		proto, t = h.Protocol(), h.Payload()
		pseudo = append(append(pseudo, b[12:20]...), 0, proto, byte(len(t)>>8), byte(len(t)))
		if proto == wire.ProtoICMP {
			pseudo = nil
		}
	} else {
		h, ok := wire.ParseIPv6(b)
		if !ok || h.TotalLen() != len(b) {
			return "IPv6 header"
		}
		p, off, _, ok := h.Upper()
		if !ok {
			return "IPv6 extension headers"
		}
		proto, t = p, b[off:]
		pseudo = append(append(pseudo, b[8:40]...), 0, 0, byte(len(t)>>8), byte(len(t)), 0, 0, 0, proto)
	}
	if proto == wire.ProtoUDP && b[0]>>4 == 4 && t[6] == 0 && t[7] == 0 {
		return ""
	}
	if slowSum(pseudo, t) != 0xffff {
		return "checksum of protocol " + string(rune('0'+proto/10)) + string(rune('0'+proto%10))
	}
	return ""
}

// transport returns a TCP segment, UDP datagram or echo message with a checksum of
// zero.
func transport(proto uint8, src, dst uint16, payload []byte) []byte {
	switch proto {
	case wire.ProtoTCP:
		b := make([]byte, wire.TCPLen, wire.TCPLen+len(payload))
		wire.PutTCP(b, &wire.TCPFields{SrcPort: src, DstPort: dst, Seq: 1, Ack: 2, Flags: wire.TCPAck, Window: 1000}, 0)
		return append(b, payload...)
	case wire.ProtoUDP:
		b := make([]byte, wire.UDPLen, wire.UDPLen+len(payload))
		wire.PutUDP(b, src, dst, len(payload))
		return append(b, payload...)
	case wire.ProtoICMP:
		b := make([]byte, wire.ICMPLen, wire.ICMPLen+len(payload))
		wire.PutICMP4(b, wire.ICMP4EchoReply, 0, wire.ICMPEchoRest(dst, 7))
		return append(b, payload...)
	}
	b := make([]byte, wire.ICMPLen, wire.ICMPLen+len(payload))
	wire.PutICMP6(b, wire.ICMP6Echo, 0, wire.ICMPEchoRest(src, 7))
	return append(b, payload...)
}

// build6 returns an IPv6 packet from the client to the server.
func build6(proto uint8, t []byte, hops uint8) []byte {
	b := make([]byte, wire.IPv6Len, wire.IPv6Len+len(t))
	wire.PutIPv6(b, &wire.IPv6Fields{
		TrafficClass: 0xb9, NextHeader: proto, HopLimit: hops, PayloadLen: uint16(len(t)), Src: client6, Dst: server6,
	})
	sum := wire.Sum(t, wire.PseudoIPv6(client6, server6, proto, len(t)))
	be.PutUint16(t[checksumAt(proto):], update(proto, sum.Finish(), 0, 0))
	return append(b, t...)
}

// build4 returns an IPv4 packet from the server to the client.
func build4(f wire.IPv4Fields, t []byte) []byte {
	f.Src, f.Dst = server4, client4
	f.TotalLen = uint16(f.HeaderLen() + len(t))
	b := make([]byte, f.HeaderLen(), f.HeaderLen()+len(t))
	wire.PutIPv4(b, &f)
	sum := wire.Sum(t, wire.PseudoIPv4(server4, client4, f.Protocol, len(t)))
	if f.Protocol == wire.ProtoICMP {
		sum = wire.Sum(t, 0)
	}
	be.PutUint16(t[checksumAt(f.Protocol):], update(f.Protocol, sum.Finish(), 0, 0))
	return append(b, t...)
}

func random(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// to4 and to6 translate bytes.
func to4(t testing.TB, p *packet.Pool, b []byte, head int) ([]byte, Problem) {
	t.Helper()
	pkt := packetOf(p, b, head)
	defer pkt.Consume()
	if !Ensure(pkt) {
		return nil, Truncated
	}
	s, problem := Parse6(pkt.Head())
	if problem == Fine {
		problem = To4(pkt, &s, out4(&s))
	}
	return bytesOf(pkt), problem
}

func to6(t testing.TB, p *packet.Pool, b []byte, head int) ([]byte, Problem) {
	t.Helper()
	pkt := packetOf(p, b, head)
	defer pkt.Consume()
	if !Ensure(pkt) {
		return nil, Truncated
	}
	s, problem := Parse4(pkt.Head())
	if problem == Fine {
		problem = To6(pkt, &s, in6(&s))
	}
	return bytesOf(pkt), problem
}

func mustTo4(t testing.TB, p *packet.Pool, b []byte) []byte {
	t.Helper()
	out, problem := to4(t, p, b, 100)
	if problem != Fine {
		t.Fatalf("problem %d with %s", problem, hex.EncodeToString(b))
	}
	return out
}

func mustTo6(t testing.TB, p *packet.Pool, b []byte) []byte {
	t.Helper()
	out, problem := to6(t, p, b, 100)
	if problem != Fine {
		t.Fatalf("problem %d with %s", problem, hex.EncodeToString(b))
	}
	return out
}
