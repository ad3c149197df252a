package xlat

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/knitnet/knit/wire"
)

// wide are next hops that set no limit.
var wide = MTUs{Four: 65535, Six: 65535}

// error4of returns an ICMP error about a packet.
func error4of(typ, code uint8, rest uint32, quoted []byte) []byte {
	b := make([]byte, wire.ICMPLen, wire.ICMPLen+len(quoted))
	wire.PutICMP4(b, typ, code, rest)
	return append(b, quoted...)
}

func error6of(typ, code uint8, rest uint32, quoted []byte) []byte {
	b := make([]byte, wire.ICMPLen, wire.ICMPLen+len(quoted))
	wire.PutICMP6(b, typ, code, rest)
	return append(b, quoted...)
}

// sent4 is what the client has sent, as the outside has seen it; sent6 what the server
// has sent, as the inside has.
func sent4(proto uint8, size int) []byte {
	f := wire.IPv4Fields{TOS: 3, TTL: 60, Protocol: proto, DF: true, Src: client4, Dst: server4}
	t := transport(proto, outsidePort, serverPort, make([]byte, size))
	if proto == wire.ProtoICMP {
		wire.PutICMP4(t, wire.ICMP4Echo, 0, wire.ICMPEchoRest(outsidePort, 7))
	}
	f.TotalLen = uint16(wire.IPv4Len + len(t))
	b := make([]byte, wire.IPv4Len)
	wire.PutIPv4(b, &f)
	sum := wire.Sum(t, wire.PseudoIPv4(client4, server4, proto, len(t)))
	if proto == wire.ProtoICMP {
		sum = wire.Sum(t, 0)
	}
	be.PutUint16(t[checksumAt(proto):], sum.Finish())
	return append(b, t...)
}

func sent6(proto uint8, size int) []byte {
	t := transport(proto, serverPort, clientPort, make([]byte, size))
	if proto == wire.ProtoICMPv6 {
		wire.PutICMP6(t, wire.ICMP6EchoReply, 0, wire.ICMPEchoRest(clientPort, 7))
	}
	b := make([]byte, wire.IPv6Len)
	wire.PutIPv6(b, &wire.IPv6Fields{NextHeader: proto, HopLimit: 60, PayloadLen: uint16(len(t)), Src: server6, Dst: client6})
	be.PutUint16(t[checksumAt(proto):], wire.Sum(t, wire.PseudoIPv6(server6, client6, proto, len(t))).Finish())
	return append(b, t...)
}

// was6 and was4 are what translated back into what the ends know.
func was6(q *Four) *New6 {
	n := &New6{Src: client6, Dst: server6, SrcPort: clientPort, DstPort: q.DstPort}
	return n
}

func was4(q *Six) *New4 {
	n := &New4{Src: server4, Dst: client4, SrcPort: q.SrcPort, DstPort: outsidePort}
	if q.Proto == wire.ProtoICMPv6 {
		n.SrcPort = outsidePort
	}
	return n
}

func toError6(t *testing.T, in []byte, mtu MTUs) ([]byte, Problem) {
	t.Helper()
	m, _ := wire.ParseICMP4(in)
	quoted, _ := m.Quoted()
	q, p := Parse4(quoted)
	if p != Fine {
		return nil, p
	}
	out := make([]byte, MaxError)
	n, p := Error6(out, in, &q, was6(&q), mtu)
	return out[:n], p
}

func toError4(t *testing.T, in []byte, mtu MTUs) ([]byte, Problem) {
	t.Helper()
	m, _ := wire.ParseICMP6(in)
	quoted, _ := m.Quoted()
	q, p := Parse6(quoted)
	if p != Fine {
		return nil, p
	}
	out := make([]byte, MaxError)
	n, p := Error4(out, in, &q, was4(&q), mtu)
	return out[:n], p
}

// TestErrorsTo6: RFC 7915 §4.2: every type and code of ICMP, and what becomes of it.
func TestErrorsTo6(t *testing.T) {
	want := map[string]string{
		"3/0": "1/0", "3/1": "1/0", "3/2": "4/1 6", "3/3": "1/4", "3/4": "2/0 1320", "3/5": "1/0", "3/6": "1/0", "3/7": "1/0",
		"3/8": "1/0", "3/9": "1/1", "3/10": "1/1", "3/11": "1/0", "3/12": "1/0", "3/13": "1/1", "3/15": "1/1",
		"11/0": "3/0", "11/1": "3/1", "12/0": "4/0 0", "12/2": "4/0 0",
	}
	for typ := range 256 {
		for code := range 20 {
			rest := uint32(0)
			if typ == 3 && code == 4 {
				rest = wire.ICMP4MTURest(1300)
			}
			if typ == 11 && code > 1 || !wire.IsICMP4Error(uint8(typ)) {
				continue
			}
			name := fmt.Sprintf("%d/%d", typ, code)
			got := ""
			if out, p := toError6(t, error4of(uint8(typ), uint8(code), rest, sent4(wire.ProtoUDP, 10)), wide); p == Fine {
				got = describe(out, out[0] == wire.ICMP6PacketTooBig || out[0] == wire.ICMP6ParamProblem)
			}
			if got != want[name] {
				t.Errorf("type/code %s becomes %q, want %q", name, got, want[name])
			}
		}
	}
}

func describe(m []byte, rest bool) string {
	s := fmt.Sprintf("%d/%d", m[0], m[1])
	if rest {
		s += fmt.Sprintf(" %d", be.Uint32(m[4:]))
	}
	return s
}

// TestErrorsTo4: RFC 7915 §5.2.
func TestErrorsTo4(t *testing.T) {
	want := map[string]string{
		"1/0": "3/1", "1/1": "3/10", "1/2": "3/1", "1/3": "3/1", "1/4": "3/3", "2/0": "3/4 1380", "3/0": "11/0", "3/1": "11/1",
		"4/0": "12/0 0", "4/1": "3/2",
	}
	for typ := range 128 {
		for code := range 8 {
			rest := uint32(0)
			if typ == wire.ICMP6PacketTooBig {
				rest = 1400
			}
			if (typ == 2 && code > 0) || typ == 3 && code > 1 {
				continue
			}
			name := fmt.Sprintf("%d/%d", typ, code)
			got := ""
			if out, p := toError4(t, error6of(uint8(typ), uint8(code), rest, sent6(wire.ProtoUDP, 10)), wide); p == Fine {
				got = describe(out, typ == wire.ICMP6PacketTooBig || typ == wire.ICMP6ParamProblem && code == 0)
			}
			if got != want[name] {
				t.Errorf("type/code %s becomes %q, want %q", name, got, want[name])
			}
		}
	}
}

// TestPointers: the tables of RFC 7915 §4.2 and §5.2.
func TestPointers(t *testing.T) {
	to6 := map[uint8]uint32{0: 0, 1: 1, 2: 4, 3: 4, 8: 7, 9: 6, 12: 8, 13: 8, 14: 8, 15: 8, 16: 24, 17: 24, 18: 24, 19: 24}
	for at := range uint8(255) {
		got, ok := pointer6(at)
		if want, known := to6[at]; ok != known || got != want {
			t.Errorf("IPv4's %d is %d, %v", at, got, ok)
		}
	}
	to4 := map[uint32]int{0: 0, 1: 1, 4: 2, 5: 2, 6: 9, 7: 8}
	for at := uint32(8); at < 40; at++ {
		to4[at] = 12
		if at >= 24 {
			to4[at] = 16
		}
	}
	for at := range uint32(300) {
		got, ok := pointer4(at)
		if want, known := to4[at]; ok != known || got != want {
			t.Errorf("IPv6's %d is %d, %v", at, got, ok)
		}
	}
}

// TestPathMTU: the formulas of RFC 7915 §4.2 and §5.2, and the plateaus of RFC 1191
// for routers that tell nothing.
func TestPathMTU(t *testing.T) {
	for _, x := range []struct {
		told, total int
		mtu         MTUs
		want        int
	}{
		{1300, 1500, wide, 1320}, {1480, 1500, wide, 1500}, {1480, 1500, MTUs{Four: 1500, Six: 1400}, 1400},
		{9000, 9000, MTUs{Four: 1500, Six: 9000}, 1520}, {576, 1500, wide, 1280}, {1260, 1500, wide, 1280}, {1261, 1500, wide, 1281},
		{0, 1500, wide, 1512}, {0, 1492, wide, 1280}, {0, 9000, wide, 8186}, {0, 60, wide, 1280},
	} {
		if got := mtu6(x.told, x.total, x.mtu); got != x.want {
			t.Errorf("IPv4 tells %d of a packet of %d bytes, next hops %+v: %d, want %d", x.told, x.total, x.mtu, got, x.want)
		}
	}
	for _, x := range []struct {
		told uint32
		mtu  MTUs
		want int
	}{
		{1500, wide, 1480}, {1280, wide, 1260}, {100, wide, 1260}, {9000, MTUs{Four: 1500, Six: 9000}, 1500},
		{9000, MTUs{Four: 9000, Six: 1500}, 1480}, {1<<32 - 1, wide, 65515},
	} {
		if got := mtu4(x.told, x.mtu); got != x.want {
			t.Errorf("IPv6 tells %d, next hops %+v: %d, want %d", x.told, x.mtu, got, x.want)
		}
	}
}

// TestQuotedPacket: RFC 7915 §4.3, §5.3: the packet that an error quotes becomes what
// the receiver has sent, with all of its checksums.
func TestQuotedPacket(t *testing.T) {
	for i, proto := range protos4 {
		out, p := toError6(t, error4of(wire.ICMP4Unreachable, wire.ICMP4PortUnreachable, 0, sent4(proto, 33)), wide)
		if p != Fine {
			t.Fatal(p)
		}
		q := out[wire.ICMPLen:]
		s, p := Parse6(q)
		wantPort := uint16(serverPort)
		if proto == wire.ProtoICMP {
			wantPort = clientPort
		}
		if f := faults(q); f != "" || p != Fine || s.Src != client6 || s.Dst != server6 || s.SrcPort != clientPort || s.DstPort != wantPort {
			t.Errorf("protocol %d quoted in IPv6: %q, problem %d, %+v", proto, f, p, s)
		}
		out, p = toError4(t, error6of(wire.ICMP6Unreachable, wire.ICMP6PortUnreachable, 0, sent6(protos6[i], 33)), wide)
		if p != Fine {
			t.Fatal(p)
		}
		q = out[wire.ICMPLen:]
		s4, p := Parse4(q)
		wantPort = serverPort
		if proto == wire.ProtoICMP {
			wantPort = outsidePort
		}
		if f := faults(q); f != "" || p != Fine || s4.Src != server4 || s4.Dst != client4 || s4.SrcPort != wantPort || s4.DstPort != outsidePort {
			t.Errorf("protocol %d quoted in IPv4: %q, problem %d, %+v", proto, f, p, s4)
		}
	}
}

// TestQuotationIsCut: an error has the length of a packet that every link takes (RFC
// 4443 §2.4 (c)), of IPv4 576 bytes, and the quoted packet tells its whole length.
func TestQuotationIsCut(t *testing.T) {
	in := error4of(wire.ICMP4TimeExceeded, 0, 0, sent4(wire.ProtoTCP, 1400))
	out, p := toError6(t, in, wide)
	if h, ok := wire.ParseIPv6(out[wire.ICMPLen:]); p != Fine || len(out) != MaxError6 || !ok || h.TotalLen() != 1400+60 {
		t.Errorf("problem %d, %d bytes, quoted length %d", p, len(out), h.TotalLen())
	}
	in = error6of(wire.ICMP6TimeExceeded, 0, 0, sent6(wire.ProtoTCP, 1100))
	out, p = toError4(t, in, wide)
	if h, ok := wire.ParseIPv4(out[wire.ICMPLen:]); p != Fine || len(out) != MaxError4 || !ok || h.TotalLen() != 1100+40 {
		t.Errorf("problem %d, %d bytes, quoted length %d", p, len(out), h.TotalLen())
	}
	// Eight bytes of transport header are enough (RFC 792).
	out, p = toError6(t, error4of(wire.ICMP4TimeExceeded, 0, 0, sent4(wire.ProtoTCP, 100)[:28]), wide)
	if p != Fine || len(out) != wire.ICMPLen+wire.IPv6Len+8 {
		t.Errorf("8 bytes quoted: problem %d, %d bytes", p, len(out))
	}
	if _, p = toError6(t, error4of(wire.ICMP4TimeExceeded, 0, 0, sent4(wire.ProtoTCP, 100)[:27]), wide); p != Truncated {
		t.Errorf("7 bytes quoted: problem %d", p)
	}
}

// TestErrorAboutError: RFC 7915 §4.3 allows one level of quotation.
func TestErrorAboutError(t *testing.T) {
	in := sent4(wire.ProtoICMP, 100)
	in[wire.IPv4Len] = wire.ICMP4Unreachable
	if _, p := toError6(t, error4of(wire.ICMP4TimeExceeded, 0, 0, in), wide); p != Nested {
		t.Errorf("to IPv6: problem %d", p)
	}
	in = sent6(wire.ProtoICMPv6, 100)
	in[wire.IPv6Len] = wire.ICMP6Unreachable
	if _, p := toError4(t, error6of(wire.ICMP6TimeExceeded, 0, 0, in), wide); p != Nested {
		t.Errorf("to IPv4: problem %d", p)
	}
}

// TestExtensions: RFC 7915 §4.2, §5.2: extensions (RFC 4884) are passed on as they are;
// the length field has units of its own in each version.
func TestExtensions(t *testing.T) {
	ext := make([]byte, wire.ICMPExtHeaderLen+wire.ICMPExtObjectLen+4)
	wire.PutICMPExtObject(ext[wire.ICMPExtHeaderLen:], wire.ICMPExtMPLS, 1, []byte{1, 2, 3, 4})
	wire.FinishICMPExt(ext)
	for _, size := range []int{50, 100, 300, 1100} {
		quoted := sent4(wire.ProtoUDP, size)
		quoted = append(quoted, make([]byte, wire.ICMPExtQuoteLen(len(quoted), false)-len(quoted))...)
		in := error4of(wire.ICMP4TimeExceeded, 0, 0, append(quoted, ext...))
		if len(quoted) > 1020 { // more than the length field can say
			in = in[:wire.ICMPLen+1020]
			in = append(in, ext...)
			quoted = quoted[:1020]
		}
		m, _ := wire.ParseICMP4(in)
		m.SetQuoteLen(len(quoted))
		out, p := toError6(t, in, wide)
		m6, _ := wire.ParseICMP6(out)
		q, e := m6.Quoted()
		if s, p2 := Parse6(q); p != Fine || !bytes.Equal(e, ext) || len(q)%8 != 0 || p2 != Fine || s.Src != client6 || len(out) > MaxError6 {
			t.Errorf("%d bytes to IPv6: problem %d, %d, %d bytes quoted, extensions % x", size, p, p2, len(q), e)
		}
		quoted = sent6(wire.ProtoUDP, size)
		quoted = append(quoted, make([]byte, wire.ICMPExtQuoteLen(len(quoted), true)-len(quoted))...)
		in = error6of(wire.ICMP6TimeExceeded, 0, 0, append(slices.Clone(quoted), ext...))
		m6, _ = wire.ParseICMP6(in)
		m6.SetQuoteLen(len(quoted))
		out, p = toError4(t, in, wide)
		m, _ = wire.ParseICMP4(out)
		q, e = m.Quoted()
		if s, p2 := Parse4(q); p != Fine || !bytes.Equal(e, ext) || len(q)%4 != 0 || p2 != Fine || s.Dst != client4 || len(out) > MaxError4 {
			t.Errorf("%d bytes to IPv4: problem %d, %d, %d bytes quoted, extensions % x", size, p, p2, len(q), e)
		}
	}
}

// TestQuotedFragment: an error about a first fragment quotes it as one.
func TestQuotedFragment(t *testing.T) {
	in := sent4(wire.ProtoUDP, 100)
	in[6] = 0x20 // more fragments, DF not set
	be.PutUint16(in[4:], 0xbeef)
	out, p := toError6(t, error4of(wire.ICMP4TimeExceeded, 0, 0, in), wide)
	s, _ := Parse6(out[wire.ICMPLen:])
	if p != Fine || s.Fragment != (Fragment{Present: true, More: true, ID: 0xbeef}) || s.SrcPort != clientPort {
		t.Errorf("problem %d, %+v", p, s)
	}
	back, p := toError4(t, append(out[:wire.ICMPLen:wire.ICMPLen], turn6(out[wire.ICMPLen:])...), wide)
	s4, _ := Parse4(back[wire.ICMPLen:])
	if p != Fine || !s4.Fragment.More || s4.Fragment.ID != 0xbeef || s4.DF {
		t.Errorf("back: problem %d, %+v", p, s4)
	}
}

// turn6 makes the packet one that came from the server.
func turn6(b []byte) []byte {
	b = slices.Clone(b)
	copy(b[8:], server6[:])
	copy(b[24:], client6[:])
	return b
}

// TestInfoMessages: RFC 7915 §4.2, §5.2: of messages that are no errors only echo
// requests and replies are translated.
func TestInfoMessages(t *testing.T) {
	p := newPool(t)
	for typ := range 256 {
		in := build4(wire.IPv4Fields{TTL: 64, Protocol: wire.ProtoICMP}, transport(wire.ProtoICMP, 0, outsidePort, nil))
		in[wire.IPv4Len] = uint8(typ)
		_, problem := to6(t, p, in, 100)
		if echo := typ == wire.ICMP4Echo || typ == wire.ICMP4EchoReply; echo != (problem == Fine) {
			t.Errorf("ICMP type %d: problem %d", typ, problem)
		}
		in = build6(wire.ProtoICMPv6, transport(wire.ProtoICMPv6, clientPort, 0, nil), 64)
		in[wire.IPv6Len] = uint8(typ)
		_, problem = to4(t, p, in, 100)
		if echo := typ == wire.ICMP6Echo || typ == wire.ICMP6EchoReply; echo != (problem == Fine) {
			t.Errorf("ICMPv6 type %d: problem %d", typ, problem)
		}
	}
}

// TestRandomErrors: errors with random quotations, both ways, keep their bounds.
func TestRandomErrors(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 3000 {
		in := error4of(uint8(3+8*r.IntN(2)), uint8(r.IntN(16)), r.Uint32(), append(sent4(protos4[r.IntN(3)], r.IntN(1200)), random(r, r.IntN(200))...))
		if out, p := toError6(t, in, wide); p == Fine && len(out) > MaxError6 {
			t.Fatalf("% x becomes %d bytes", in, len(out))
		}
		in = error6of(uint8(1+r.IntN(4)), uint8(r.IntN(5)), r.Uint32(), append(sent6(protos6[r.IntN(3)], r.IntN(1200)), random(r, r.IntN(200))...))
		if out, p := toError4(t, in, wide); p == Fine && len(out) > MaxError4 {
			t.Fatalf("% x becomes %d bytes", in, len(out))
		}
	}
}
