package xlat

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/wire"
)

var protos4 = []uint8{wire.ProtoTCP, wire.ProtoUDP, wire.ProtoICMP}
var protos6 = []uint8{wire.ProtoTCP, wire.ProtoUDP, wire.ProtoICMPv6}

// TestHeaderTo4: RFC 7915 §5.1, field by field.
func TestHeaderTo4(t *testing.T) {
	p := newPool(t)
	for _, proto := range protos6 {
		for _, x := range []struct {
			size int // of the IPv4 packet
			df   bool
		}{{100, false}, {1260, false}, {1261, true}, {9000, true}} {
			tr := transport(proto, clientPort, serverPort, nil)
			tr = append(tr, make([]byte, x.size-wire.IPv4Len-len(tr))...)
			if proto == wire.ProtoUDP {
				wire.PutUDP(tr, clientPort, serverPort, len(tr)-wire.UDPLen)
			}
			out := mustTo4(t, p, build6(proto, tr, 61))
			h, _ := wire.ParseIPv4(out)
			want := wire.IPv4Fields{
				TOS: 0xb9, TTL: 61, Protocol: proto, TotalLen: uint16(x.size), DF: x.df, ID: 0x1234, Src: client4, Dst: server4,
			}
			if x.df {
				want.ID = 0
			}
			if proto == wire.ProtoICMPv6 {
				want.Protocol = wire.ProtoICMP
			}
			got := h.Fields()
			got.Options = nil
			if f := faults(out); f != "" || got.TOS != want.TOS || got.TTL != want.TTL || got.Protocol != want.Protocol ||
				got.TotalLen != want.TotalLen || got.DF != want.DF || got.MF || got.ID != want.ID || got.FragOffset != 0 ||
				got.Src != want.Src || got.Dst != want.Dst {
				t.Errorf("protocol %d, %d bytes: %q, %+v, want %+v", proto, x.size, f, got, want)
			}
		}
	}
}

// TestHeaderTo6: RFC 7915 §4.1, field by field: the flow label is zero, options are
// ignored, and there is no fragment header.
func TestHeaderTo6(t *testing.T) {
	p := newPool(t)
	for _, proto := range protos4 {
		for _, options := range [][]byte{nil, {7, 7, 4, 0, 0, 0, 0}, {131, 7, 8, 1, 2, 3, 4}} { // the route was followed
			in := build4(wire.IPv4Fields{TOS: 0xb9, TTL: 33, Protocol: proto, ID: 5, DF: true, Options: options},
				transport(proto, serverPort, outsidePort, []byte("some payload")))
			out := mustTo6(t, p, in)
			h, _ := wire.ParseIPv6(out)
			next := proto
			if proto == wire.ProtoICMP {
				next = wire.ProtoICMPv6
			}
			if f := faults(out); f != "" || h.TrafficClass() != 0xb9 || h.FlowLabel() != 0 || h.HopLimit() != 33 || h.NextHeader() != next ||
				h.Src16() != server6 || h.Dst16() != client6 {
				t.Errorf("protocol %d: %q, %+v", proto, f, h.Fields())
			}
		}
	}
}

// TestThereAndBack: whatever goes through both translations comes out as it was, but
// for the flow label, and all checksums on the way are right by the slow sum.
func TestThereAndBack(t *testing.T) {
	p := newPool(t)
	r := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		proto := protos6[r.IntN(3)]
		tr := transport(proto, clientPort, serverPort, random(r, r.IntN(1400)))
		in := build6(proto, tr, uint8(1+r.IntN(255)))
		mid, problem := to4(t, p, in, 48+r.IntN(200))
		if f := faults(mid); problem != Fine || f != "" {
			t.Fatalf("to IPv4: problem %d, %q", problem, f)
		}
		swap(mid)
		back, problem := to6(t, p, mid, 28+r.IntN(200))
		if problem != Fine {
			t.Fatalf("to IPv6: problem %d", problem)
		}
		swap(back)
		if f := faults(back); f != "" || !bytes.Equal(back, in) {
			t.Fatalf("%q\nbefore % x\nafter  % x", f, in, back)
		}
	}
}

// swap turns a packet round: who sent it has it answered by itself. No sum changes.
func swap(b []byte) {
	at, n, l4 := 8, 16, wire.IPv6Len
	if b[0]>>4 == 4 {
		at, n, l4 = 12, 4, wire.IPv4Len
	}
	src := slices.Clone(b[at : at+n])
	copy(b[at:], b[at+n:at+2*n])
	copy(b[at+n:], src)
	if proto := b[6]; b[0]>>4 == 6 && proto == wire.ProtoICMPv6 || b[0]>>4 == 4 && b[9] == wire.ProtoICMP {
		return
	}
	t := b[l4:]
	t[0], t[1], t[2], t[3] = t[2], t[3], t[0], t[1]
}

// TestChecksumLeftToDevice: packets whose checksum is still to be completed stay such,
// and what completes it gets it right (see packet.CsumPartial).
func TestChecksumLeftToDevice(t *testing.T) {
	p := newPool(t)
	for _, proto := range protos6 {
		in := build6(proto, transport(proto, clientPort, serverPort, []byte("odd payload")), 64)
		at := checksumAt(proto)
		be.PutUint16(in[wire.IPv6Len+at:], wire.PseudoIPv6(client6, server6, proto, len(in)-wire.IPv6Len).Fold())
		pkt := packetOf(p, in, 300)
		pkt.Csum, pkt.CsumStart, pkt.CsumOffset = packet.CsumPartial, uint16(pkt.Offset()+wire.IPv6Len), uint16(at)
		s, _ := Parse6(pkt.Head())
		if problem := To4(pkt, &s, out4(&s)); problem != Fine {
			t.Fatal(problem)
		}
		round := pkt.Clone()
		if !link.CompleteChecksum(pkt) || faults(bytesOf(pkt)) != "" {
			t.Errorf("protocol %d to IPv4: %q", proto, faults(bytesOf(pkt)))
		}
		pkt.Consume()
		swap(round.Head())
		q, _ := Parse4(round.Head())
		if problem := To6(round, &q, in6(&q)); problem != Fine {
			t.Fatal(problem)
		}
		if !link.CompleteChecksum(round) || faults(bytesOf(round)) != "" {
			t.Errorf("protocol %d back to IPv6: %q", proto, faults(bytesOf(round)))
		}
		round.Consume()
	}
}

// TestUDPWithoutChecksum: RFC 7915 §4.5: IPv6 has none without, so it is computed;
// what lies behind the datagram is not of it.
func TestUDPWithoutChecksum(t *testing.T) {
	p := newPool(t)
	for _, surplus := range []int{0, 5} {
		in := build4(wire.IPv4Fields{TTL: 64, Protocol: wire.ProtoUDP},
			append(transport(wire.ProtoUDP, serverPort, outsidePort, []byte("odd payload")), make([]byte, surplus)...))
		be.PutUint16(in[wire.IPv4Len+6:], 0)
		out := mustTo6(t, p, in)
		if f := faults(out); f != "" || len(out) != len(in)-surplus+growth {
			t.Errorf("%d bytes behind the datagram: %q, %d bytes became %d", surplus, f, len(in), len(out))
		}
	}
	in := build4(wire.IPv4Fields{TTL: 64, Protocol: wire.ProtoUDP}, transport(wire.ProtoUDP, serverPort, outsidePort, []byte("cut off")))
	be.PutUint16(in[wire.IPv4Len+6:], 0)
	be.PutUint16(in[wire.IPv4Len+4:], 100)
	if _, problem := to6(t, p, in, 100); problem != Truncated {
		t.Errorf("a datagram longer than its packet: problem %d", problem)
	}
}

// TestUDPNeverLosesChecksum: a sum of zero is written as 0xffff (RFC 768).
func TestUDPNeverLosesChecksum(t *testing.T) {
	p := newPool(t)
	payload := make([]byte, 2)
	for v := range 1 << 16 {
		be.PutUint16(payload, uint16(v))
		out := mustTo4(t, p, build6(wire.ProtoUDP, transport(wire.ProtoUDP, clientPort, serverPort, payload), 9))
		if out[wire.IPv4Len+6] == 0 && out[wire.IPv4Len+7] == 0 {
			t.Fatalf("payload %04x: no checksum", v)
		}
	}
}

// chain puts extension headers in front of a datagram.
func chain(headers ...[]byte) []byte {
	types := map[int]uint8{}
	all := []byte{}
	for i, h := range headers {
		types[i] = h[0]
		all = append(all, h[1:]...)
	}
	tr := transport(wire.ProtoUDP, clientPort, serverPort, []byte("payload"))
	whole := build6(wire.ProtoUDP, tr, 64)
	b := append(slices.Clone(whole[:wire.IPv6Len]), all...)
	at, named := wire.IPv6Len, 6
	for i, h := range headers {
		b[named] = types[i]
		named = at
		at += len(h) - 1
	}
	b[named] = wire.ProtoUDP
	b = append(b, whole[wire.IPv6Len:]...)
	be.PutUint16(b[4:], uint16(len(b)-wire.IPv6Len))
	return b
}

// TestExtensionHeaders: RFC 7915 §5.1: hop-by-hop and destination options and a
// routing header with nothing left are ignored; one with something left stops the
// packet, and the error points to the Segments Left field.
func TestExtensionHeaders(t *testing.T) {
	p := newPool(t)
	hop := []byte{wire.ProtoHopByHop, 0, 0, 1, 4, 0, 0, 0, 0}
	dst := []byte{wire.ProtoDstOpts, 0, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	done := []byte{wire.ProtoRouting, 0, 0, 4, 0, 0, 0, 0, 0}
	left := []byte{wire.ProtoRouting, 0, 0, 4, 1, 0, 0, 0, 0}
	atomic := []byte{wire.ProtoFragment, 0, 0, 0, 0, 0xde, 0xad, 0xbe, 0xef}
	for _, headers := range [][][]byte{{hop}, {dst}, {done}, {hop, dst, done, dst}, {hop, atomic}} {
		out := mustTo4(t, p, chain(headers...))
		if f := faults(out); f != "" || out[9] != wire.ProtoUDP || len(out) != wire.IPv4Len+wire.UDPLen+7 {
			t.Errorf("%v: %q, % x", headers, f, out)
		}
		if h, _ := wire.ParseIPv4(out); len(headers) == 2 && (h.ID() != 0xbeef || h.DF()) {
			t.Errorf("§5.1.1: the identification is %x, DF %v", h.ID(), h.DF())
		}
	}
	s, problem := Parse6(chain(hop, left))
	if problem != SourceRoute || s.Pointer != wire.IPv6Len+8+3 {
		t.Errorf("segments left: problem %d, pointer %d", problem, s.Pointer)
	}
	if _, problem := to4(t, p, chain(dst)[:wire.IPv6Len+8], 100); problem != Truncated {
		t.Errorf("cut in a header: problem %d", problem)
	}
}

// TestSourceRoute: RFC 7915 §4.1: a packet with an unexpired source route is discarded.
func TestSourceRoute(t *testing.T) {
	for _, x := range []struct {
		options []byte
		want    Problem
	}{
		{[]byte{131, 7, 4, 1, 2, 3, 4}, SourceRoute}, {[]byte{137, 7, 4, 1, 2, 3, 4}, SourceRoute},
		{[]byte{1, 137, 7, 4, 1, 2, 3, 4}, SourceRoute}, {[]byte{137, 7, 8, 1, 2, 3, 4}, Fine}, {[]byte{7, 7, 4, 0, 0, 0, 0}, Fine},
	} {
		in := build4(wire.IPv4Fields{TTL: 64, Protocol: wire.ProtoUDP, Options: x.options}, transport(wire.ProtoUDP, 1, 2, nil))
		if _, problem := Parse4(in); problem != x.want {
			t.Errorf("% x: problem %d, want %d", x.options, problem, x.want)
		}
	}
}

// TestLengths: what the other version cannot say is not said.
func TestLengths(t *testing.T) {
	p := newPool(t)
	long := build6(wire.ProtoUDP, transport(wire.ProtoUDP, clientPort, serverPort, make([]byte, 65527)), 64)
	if _, problem := to4(t, p, long, 100); problem != TooLong {
		t.Errorf("65535 bytes of payload to IPv4: problem %d", problem)
	}
	long = build4(wire.IPv4Fields{TTL: 64, Protocol: wire.ProtoUDP}, transport(wire.ProtoUDP, serverPort, outsidePort, make([]byte, 65507)))
	if out, problem := to6(t, p, long, 100); problem != Fine || faults(out) != "" {
		t.Errorf("65535 bytes to IPv6: problem %d", problem)
	}
}

// TestOtherProtocols: RFC 6146 §3.5: TCP, UDP and ICMP, each of its own version.
func TestOtherProtocols(t *testing.T) {
	for proto := range 256 {
		b := build6(wire.ProtoUDP, transport(wire.ProtoUDP, 1, 2, make([]byte, 40)), 64)
		b[6] = uint8(proto)
		_, problem := Parse6(b)
		ours := slices.Contains(protos6, uint8(proto))
		if ours && problem != Fine || !ours && problem == Fine && !wire.IsIPv6Ext(uint8(proto)) {
			t.Errorf("next header %d: problem %d", proto, problem)
		}
		b = build4(wire.IPv4Fields{TTL: 64, Protocol: wire.ProtoUDP}, transport(wire.ProtoUDP, 1, 2, make([]byte, 40)))
		b[9] = uint8(proto)
		if _, problem := Parse4(b); (problem == Fine) != slices.Contains(protos4, uint8(proto)) {
			t.Errorf("protocol %d: problem %d", proto, problem)
		}
	}
}

// TestSegments: a packet that is cut later says so, in terms of the new version, and
// DF goes by the length of the pieces.
func TestSegments(t *testing.T) {
	p := newPool(t)
	for _, x := range []struct {
		size uint16
		df   bool
	}{{1220, false}, {1221, true}} {
		pkt := packetOf(p, build6(wire.ProtoTCP, transport(wire.ProtoTCP, clientPort, serverPort, make([]byte, 20000)), 64), 60)
		pkt.GSO, pkt.GSOSize = packet.GSOTCP6, x.size
		s, _ := Parse6(pkt.Head())
		if problem := To4(pkt, &s, out4(&s)); problem != Fine {
			t.Fatal(problem)
		}
		h, _ := wire.ParseIPv4(pkt.Head())
		if pkt.GSO != packet.GSOTCP4 || h.DF() != x.df {
			t.Errorf("segments of %d: GSO %d, DF %v", x.size, pkt.GSO, h.DF())
		}
		q, _ := Parse4(pkt.Head())
		if problem := To6(pkt, &q, in6(&q)); problem != Fine || pkt.GSO != packet.GSOTCP6 {
			t.Errorf("back: problem %d, GSO %d", problem, pkt.GSO)
		}
		pkt.Consume()
	}
}

// TestNoAllocation: translating costs no memory.
func TestNoAllocation(t *testing.T) {
	p := newPool(t)
	pkt := packetOf(p, build6(wire.ProtoTCP, transport(wire.ProtoTCP, clientPort, serverPort, make([]byte, 100)), 64), 300)
	defer pkt.Consume()
	n4 := New4{Src: client4, Dst: server4, SrcPort: outsidePort, DstPort: serverPort}
	n6 := New6{Src: client6, Dst: server6, SrcPort: clientPort, DstPort: serverPort}
	if n := testing.AllocsPerRun(1000, func() {
		s, _ := Parse6(pkt.Head())
		To4(pkt, &s, &n4)
		q, _ := Parse4(pkt.Head())
		To6(pkt, &q, &n6)
	}); n != 0 {
		t.Errorf("%v allocations for a packet there and back", n)
	}
}
