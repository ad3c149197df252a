package wire

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"testing"
)

// slowSum is the definition in RFC 1071 §1: 16-bit words, end-around carry.
func slowSum(b []byte) uint16 {
	var s uint32
	for i, v := range b {
		if i%2 == 0 {
			s += uint32(v) << 8
		} else {
			s += uint32(v)
		}
		s = s&0xffff + s>>16
	}
	return uint16(s)
}

// same reports whether two sums are the same number in one's complement,
// which has two zeros.
func same(a, b uint16) bool { return a%0xffff == b%0xffff }

func TestSumExampleOfRFC1071(t *testing.T) {
	b := []byte{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}
	if got := Sum(b, 0).Fold(); got != 0xddf2 { // RFC 1071 §3
		t.Errorf("sum = %#04x, want 0xddf2", got)
	}
	if got := Checksum(b); got != 0x220d {
		t.Errorf("checksum = %#04x, want 0x220d", got)
	}
}

func TestSumEveryLengthAgainstSlowTwin(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, 700)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	ones := bytes.Repeat([]byte{0xff}, len(b))
	for n := range len(b) + 1 {
		if got, want := Sum(b[:n], 0).Fold(), slowSum(b[:n]); got != want {
			t.Fatalf("sum of %d bytes = %#04x, want %#04x", n, got, want)
		}
		// Every addition carries; a lost carry would show.
		for _, initial := range []PartialSum{0, 1, ^PartialSum(0)} {
			got := Sum(ones[:n], initial).Fold()
			want := slowSum(append(bytes.Clone(ones[:n&^1]), ones[n&^1:n]...))
			if !same(got, uint16((uint32(want)+uint32(initial.Fold()))%0xffff)) {
				t.Fatalf("sum of %d ones from %#x = %#04x", n, uint64(initial), got)
			}
		}
	}
}

func FuzzSum(f *testing.F) {
	f.Add([]byte("an odd length"), uint16(3), uint64(0))
	f.Add(bytes.Repeat([]byte{0xff}, 300), uint16(129), ^uint64(0))
	f.Fuzz(func(t *testing.T, b []byte, cut uint16, initial uint64) {
		whole := Sum(b, 0)
		if got, want := whole.Fold(), slowSum(b); got != want {
			t.Fatalf("sum = %#04x, want %#04x", got, want)
		}
		k := int(cut) % (len(b) + 1)
		pieces := Sum(b[:k], 0).Combine(Sum(b[k:], 0), k)
		if got, want := pieces.Fold(), whole.Fold(); !same(got, want) {
			t.Fatalf("pieces of %d and %d bytes = %#04x, want %#04x", k, len(b)-k, got, want)
		}
		i := PartialSum(initial)
		if got, want := Sum(b, i).Fold(), i.Add(whole).Fold(); !same(got, want) {
			t.Fatalf("with initial %#x: %#04x, want %#04x", initial, got, want)
		}
	})
}

func TestWordsInHostOrder(t *testing.T) {
	b := []byte{0x12, 0x34, 0xfe, 0xdc, 0xba, 0x98}
	got := PartialSum(0).Uint16(0x1234).Uint32(0xfedcba98).Fold()
	if want := slowSum(b); got != want {
		t.Errorf("sum = %#04x, want %#04x", got, want)
	}
}

func TestZeroUDPChecksumIsSentAsOnes(t *testing.T) {
	s := Sum([]byte{0xff, 0xff}, 0)
	if s.FinishAt(TCPChecksumOffset) != 0 || s.FinishAt(UDPChecksumOffset) != 0xffff {
		t.Errorf("FinishAt = %#04x for TCP, %#04x for UDP", s.FinishAt(TCPChecksumOffset), s.FinishAt(UDPChecksumOffset))
	}
	if s.Finish() != 0 || s.FinishUDP() != 0xffff {
		t.Errorf("Finish = %#04x, FinishUDP = %#04x, want 0 and 0xffff", s.Finish(), s.FinishUDP())
	}
}

func TestPseudoHeaders(t *testing.T) {
	src4, dst4 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("255.255.255.255")
	a, b := src4.As4(), dst4.As4()
	hdr4 := append(append(append([]byte{}, a[:]...), b[:]...), 0, ProtoTCP, 0xff, 0xeb)
	if got, want := Pseudo(src4, dst4, ProtoTCP, 65515).Fold(), slowSum(hdr4); got != want {
		t.Errorf("IPv4: %#04x, want %#04x", got, want)
	}
	src6, dst6 := netip.MustParseAddr("2001:db8::ffff"), netip.MustParseAddr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")
	c, d := src6.As16(), dst6.As16()
	hdr6 := append(append(append([]byte{}, c[:]...), d[:]...), 0, 1, 0, 2, 0, 0, 0, ProtoICMPv6)
	if got, want := Pseudo(src6, dst6, ProtoICMPv6, 65538).Fold(), slowSum(hdr6); got != want {
		t.Errorf("IPv6: %#04x, want %#04x", got, want)
	}
}

func TestUpdateChecksumExampleOfRFC1624(t *testing.T) {
	// RFC 1624 §4: the sum must become 0x0000 and not 0xffff.
	if got := UpdateChecksum16(0xdd2f, 0x5555, 0x3285); got != 0 {
		t.Errorf("UpdateChecksum16 = %#04x, want 0", got)
	}
	before, after := PartialSum(0).Uint16(0x5555), PartialSum(0).Uint16(0x3285)
	if got := UpdateChecksum(0xdd2f, before, after); got != 0 {
		t.Errorf("UpdateChecksum = %#04x, want 0", got)
	}
}

func FuzzUpdateChecksum(f *testing.F) {
	f.Add([]byte("some header bytes that are covered"), []byte("NEWER"), uint8(4))
	f.Fuzz(func(t *testing.T, input, with []byte, at uint8) {
		b := bytes.Clone(input)
		i := int(at) &^ 1
		if i+len(with) > len(b) || len(with)%2 != 0 {
			return
		}
		sum := Checksum(b)
		before := Sum(b[i:i+len(with)], 0)
		copy(b[i:], with)
		if got, want := UpdateChecksum(sum, before, Sum(with, 0)), Checksum(b); !same(got, want) {
			t.Fatalf("updated to %#04x, want %#04x", got, want)
		}
	})
}

func TestCompleteChecksum(t *testing.T) {
	p := make([]byte, 61)
	for i := range p {
		p[i] = byte(i * 7)
	}
	src, dst := [4]byte{10, 0, 0, 1}, [4]byte{10, 0, 0, 2}
	pseudo := PseudoIPv4(src, dst, ProtoTCP, 41)
	be.PutUint16(p[36:], pseudo.Fold())
	if !CompleteChecksum(p, 20, TCPChecksumOffset) {
		t.Fatal("refused")
	}
	if !Sum(p[20:], pseudo).Valid() {
		t.Error("the completed checksum is wrong")
	}
	for _, bad := range [][2]int{{20, 40}, {60, 0}, {-1, 2}, {0, -1}} {
		if CompleteChecksum(p, bad[0], bad[1]) {
			t.Errorf("start %d offset %d: field is outside, yet completed", bad[0], bad[1])
		}
	}
}

func TestPacketPathDoesNotAllocate(t *testing.T) {
	p := make([]byte, 2048)
	src, dst := [4]byte{10, 0, 0, 1}, [4]byte{10, 0, 0, 2}
	var o TCPOptions
	n := testing.AllocsPerRun(100, func() {
		PutEthernet(p, MAC{1}, MAC{2}, EtherTypeIPv4)
		PutIPv4(p[14:], &IPv4Fields{TTL: 64, Protocol: ProtoTCP, TotalLen: 1500, Src: src, Dst: dst})
		o = TCPOptions{Present: TCPHasTimestamps, TSVal: 1, TSEcr: 2}
		PutTCP(p[34:], &TCPFields{Flags: TCPAck}, o.Put(p[54:]))
		e, _ := ParseEthernet(p)
		h, _ := ParseIPv4(e.Payload())
		if !h.ChecksumOK() || h.Src() == h.Dst() {
			t.Error("header damaged")
		}
		s, _ := ParseTCP(h.Payload())
		s.SetChecksum(Sum(h.Payload(), h.PseudoSum(1480)).Finish())
		if !o.Parse(s.Options()) || o.TSEcr != 2 {
			t.Error("options damaged")
		}
		PutUDP(p, 1, 2, 3)
		PutIPv6(p[14:], &IPv6Fields{NextHeader: ProtoHopByHop, PayloadLen: 40, Src: [16]byte{1}, Dst: [16]byte{2}})
		PutIPv6RouterAlert(p[54:], ProtoICMPv6, IPv6RouterAlertMLD)
		h6, _ := ParseIPv6(p[14:])
		if proto, at, _, ok := h6.Upper(); !ok || proto != ProtoICMPv6 || at != 48 {
			t.Error("chain damaged")
		}
	})
	if n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

// TestChecksumChange: a change that is noted once does what UpdateChecksum does, to both
// zeros of one's complement, too.
func TestChecksumChange(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	edge := func() uint16 { return []uint16{0, 0xffff, 1, 0xfffe, uint16(r.Uint32())}[r.IntN(5)] }
	for range 20000 {
		sum := edge()
		before, after := PartialSum(0).Uint16(edge()).Uint16(edge()), PartialSum(0).Uint16(edge()).Uint16(edge())
		if got, want := ChangeOf(before, after).Update(sum), UpdateChecksum(sum, before, after); got != want {
			t.Fatalf("%#04x with %#x for %#x is %#04x, want %#04x", sum, uint64(after), uint64(before), got, want)
		}
	}
}
