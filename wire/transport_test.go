package wire

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"pgregory.net/rapid"
)

func TestUDPAgainstGopacket(t *testing.T) {
	src, dst := [4]byte{192, 0, 2, 1}, [4]byte{192, 0, 2, 2}
	payload := []byte("odd")
	want := gopacket.NewSerializeBuffer()
	u := &layers.UDP{SrcPort: 53, DstPort: 65535}
	if err := u.SetNetworkLayerForChecksum(&layers.IPv4{SrcIP: src[:], DstIP: dst[:], Protocol: layers.IPProtocolUDP}); err != nil {
		t.Fatal(err)
	}
	err := gopacket.SerializeLayers(want, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, u, gopacket.Payload(payload))
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, UDPLen, 64)
	PutUDP(b, 53, 65535, len(payload))
	b = append(b, payload...)
	h, ok := ParseUDP(b)
	if !ok {
		t.Fatal("own header is not ok")
	}
	h.SetChecksum(Sum(b, PseudoIPv4(src, dst, ProtoUDP, len(b))).FinishUDP())
	if !bytes.Equal(b, want.Bytes()) {
		t.Errorf("% x\nwant % x", b, want.Bytes())
	}
	if h.SrcPort() != 53 || h.DstPort() != 65535 || h.Len() != 11 || string(h.Payload()) != "odd" {
		t.Errorf("%d %d %d %q", h.SrcPort(), h.DstPort(), h.Len(), h.Payload())
	}
}

func TestUDPLength(t *testing.T) {
	b := make([]byte, 12)
	PutUDP(b, 1, 2, 0)
	if h, ok := ParseUDP(b); !ok || len(h.Payload()) != 0 {
		t.Error("a surplus area behind the datagram is not payload, and no error")
	}
	b[5] = 7
	if _, ok := ParseUDP(b); ok {
		t.Error("a length that does not cover the header is ok")
	}
	b[5] = 200
	if h, ok := ParseUDP(b); !ok || h.Len() != 200 || len(h.Payload()) != 4 {
		t.Error("a payload that lies elsewhere is the caller's matter")
	}
}

func FuzzUDP(f *testing.F) {
	f.Add(unhex("0035 ffff 000b 1234 6f6464"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, ok := ParseUDP(b)
		if !ok {
			return
		}
		again := make([]byte, UDPLen)
		PutUDP(again, h.SrcPort(), h.DstPort(), h.Len()-UDPLen)
		h2, _ := ParseUDP(again)
		h2.SetChecksum(h.Checksum())
		if !bytes.Equal(again, b[:UDPLen]) {
			t.Fatalf("% x became % x", b[:UDPLen], again)
		}
		h2.SetSrcPort(h.DstPort())
		h2.SetDstPort(h.SrcPort())
		if h2.SrcPort() != h.DstPort() || h2.DstPort() != h.SrcPort() || h2.Len() != h.Len() {
			t.Fatalf("ports swapped: % x", again)
		}
		h.Payload()
	})
}

func TestTCPAgainstGopacket(t *testing.T) {
	src, dst := [4]byte{10, 0, 0, 1}, [4]byte{10, 0, 0, 2}
	g := &layers.TCP{SrcPort: 5000, DstPort: 80, Seq: 0xfedcba98, Ack: 0x01020304, SYN: true, ECE: true, CWR: true, ACK: true, Window: 64240, Urgent: 7,
		Options: []layers.TCPOption{
			{OptionType: 2, OptionLength: 4, OptionData: []byte{5, 180}},
			{OptionType: 4, OptionLength: 2},
			{OptionType: 8, OptionLength: 10, OptionData: []byte{0, 0, 0, 1, 0, 0, 0, 2}},
			{OptionType: 1, OptionLength: 1},
			{OptionType: 3, OptionLength: 3, OptionData: []byte{7}},
		}}
	if err := g.SetNetworkLayerForChecksum(&layers.IPv4{SrcIP: src[:], DstIP: dst[:], Protocol: layers.IPProtocolTCP}); err != nil {
		t.Fatal(err)
	}
	want := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(want, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, g, gopacket.Payload("data")); err != nil {
		t.Fatal(err)
	}

	// The order is Linux's: mss, sackOK, TS, nop, wscale.
	o := TCPOptions{Present: TCPHasMSS | TCPHasSACKPermitted | TCPHasTimestamps | TCPHasWindowScale, MSS: 1460, WindowScale: 7, TSVal: 1, TSEcr: 2}
	f := TCPFields{SrcPort: 5000, DstPort: 80, Seq: 0xfedcba98, Ack: 0x01020304, Flags: TCPSyn | TCPEce | TCPCwr | TCPAck, Window: 64240, Urgent: 7}
	b := make([]byte, TCPMaxLen)
	n := o.Put(b[TCPLen:])
	PutTCP(b, &f, n)
	b = append(b[:TCPLen+n], "data"...)
	h, ok := ParseTCP(b)
	if !ok {
		t.Fatal("own header is not ok")
	}
	h.SetChecksum(Sum(b, PseudoIPv4(src, dst, ProtoTCP, len(b))).Finish())
	if !bytes.Equal(b, want.Bytes()) {
		t.Errorf("% x\nwant % x", b, want.Bytes())
	}
	f.Checksum = h.Checksum()
	if h.Fields() != f || h.HeaderLen() != 40 || string(h.Payload()) != "data" {
		t.Errorf("%+v, header %d, payload %q", h.Fields(), h.HeaderLen(), h.Payload())
	}
}

func TestTCPAccurateECNBit(t *testing.T) {
	b := make([]byte, TCPLen)
	PutTCP(b, &TCPFields{Flags: TCPAe | TCPCwr | TCPEce | TCPSyn}, 0)
	if b[12] != 0x51 || b[13] != 0xc2 {
		t.Errorf("octets 13, 14 = %#x %#x, want 0x51 0xc2 (RFC 9768 §3.1)", b[12], b[13])
	}
}

func TestParseTCPDataOffset(t *testing.T) {
	for _, c := range []struct {
		offset byte
		n      int
		want   bool
	}{{5, 20, true}, {4, 20, false}, {0, 60, false}, {5, 19, false}, {6, 23, false}, {6, 24, true}, {15, 59, false}, {15, 60, true}} {
		b := make([]byte, c.n)
		b[12] = c.offset << 4
		if _, ok := ParseTCP(b); ok != c.want {
			t.Errorf("data offset %d in %d bytes: ok = %v", c.offset, c.n, ok)
		}
	}
}

func FuzzTCP(f *testing.F) {
	b := make([]byte, 36)
	PutTCP(b, &TCPFields{SrcPort: 1, DstPort: 2, Flags: TCPAck}, (&TCPOptions{Present: TCPHasTimestamps}).Put(b[20:]))
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		h, ok := ParseTCP(b)
		if !ok {
			return
		}
		_ = h.Payload()
		again := make([]byte, TCPMaxLen)
		fields := h.Fields()
		PutTCP(again, &fields, copy(again[TCPLen:], h.Options()))
		h2, ok := ParseTCP(again)
		if !ok || h2.Fields() != fields || !bytes.Equal(h2.Options(), h.Options()) {
			t.Fatalf("%+v became %+v", fields, h2.Fields())
		}
		h2.SetSeq(1)
		h2.SetAck(2)
		h2.SetFlags(TCPAe | TCPFin)
		h2.SetWindow(3)
		h2.SetSrcPort(4)
		h2.SetDstPort(5)
		want := TCPFields{SrcPort: 4, DstPort: 5, Seq: 1, Ack: 2, Flags: TCPAe | TCPFin, Window: 3, Checksum: fields.Checksum, Urgent: fields.Urgent}
		if h2.Fields() != want || h2.HeaderLen() != h.HeaderLen() {
			t.Fatalf("setters: %+v, want %+v", h2.Fields(), want)
		}
	})
}

func TestTCPOptionsMalformed(t *testing.T) {
	for name, c := range map[string]struct {
		opts string
		ok   bool
		want TCPOptions
	}{
		"none":                       {"", true, TCPOptions{}},
		"end, then junk":             {"00 02 00 00", true, TCPOptions{}},
		"length zero":                {"02 00 05 b4", false, TCPOptions{}},
		"length one":                 {"08 01 01 01", false, TCPOptions{}},
		"beyond the area":            {"01 01 02 04", false, TCPOptions{}},
		"kind without a length":      {"01 01 01 02", false, TCPOptions{}},
		"good before bad":            {"02 04 05 b4 03 00 00 00", false, TCPOptions{Present: TCPHasMSS, MSS: 1460}},
		"unknown is skipped":         {"fd 06 aa bb cc dd 04 02", true, TCPOptions{Present: TCPHasSACKPermitted}},
		"wrong length is skipped":    {"02 03 05 01 03 04 01 01 04 03 00 01 08 06 00 00 00 00 01 01 05 02 01 01 05 09 00 00 00 00 00 00 00 00 00 00", true, TCPOptions{}},
		"timestamps, not aligned":    {"08 0a 00 00 00 05 00 00 00 06 01 01", true, TCPOptions{Present: TCPHasTimestamps, TSVal: 5, TSEcr: 6}},
		"timestamps, usual":          {"01 01 08 0a 00 00 00 05 00 00 00 06", true, TCPOptions{Present: TCPHasTimestamps, TSVal: 5, TSEcr: 6}},
		"shift count above 14":       {"01 03 03 ff", true, TCPOptions{Present: TCPHasWindowScale, WindowScale: 255}},
		"a SACK block, left > right": {"01 01 05 0a 00 00 00 09 00 00 00 03", true, TCPOptions{NumSACK: 1, SACK: [4]SACKBlock{{9, 3}}}},
	} {
		var got TCPOptions
		if ok := got.Parse(unhex(c.opts)); ok != c.ok || got != c.want {
			t.Errorf("%s: ok %v, %+v, want %+v", name, ok, got, c.want)
		}
	}
}

func TestTCPOptionsAreForgotten(t *testing.T) {
	o := TCPOptions{Present: TCPHasMSS | TCPHasTimestamps, NumSACK: 3}
	if o.Parse(nil); o.Present != 0 || len(o.Blocks()) != 0 {
		t.Errorf("options of an earlier segment are still there: %+v", o)
	}
}

func TestTCPOptionsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := TCPOptions{
			Present: TCPOptionSet(rapid.IntRange(0, 15).Draw(t, "present")),
			NumSACK: uint8(rapid.IntRange(0, 4).Draw(t, "blocks")),
		}
		if o.Present.Has(TCPHasMSS) {
			o.MSS = rapid.Uint16().Draw(t, "mss")
		}
		if o.Present.Has(TCPHasWindowScale) {
			o.WindowScale = rapid.Uint8().Draw(t, "wscale")
		}
		if o.Present.Has(TCPHasTimestamps) {
			o.TSVal, o.TSEcr = rapid.Uint32().Draw(t, "tsval"), rapid.Uint32().Draw(t, "tsecr")
		}
		for i := range o.NumSACK {
			o.SACK[i] = SACKBlock{rapid.Uint32().Draw(t, "left"), rapid.Uint32().Draw(t, "right")}
		}
		var b [TCPMaxOptions]byte
		n := o.Put(b[:])
		if n != o.Len() || n%4 != 0 {
			t.Fatalf("wrote %d bytes, Len says %d", n, o.Len())
		}
		var got TCPOptions
		if !got.Parse(b[:n]) {
			t.Fatalf("own options are not ok: % x", b[:n])
		}
		if got.NumSACK < o.NumSACK { // what did not fit is cut off at the end
			if n+8 <= TCPMaxOptions {
				t.Fatalf("%d of %d blocks in %d bytes", got.NumSACK, o.NumSACK, n)
			}
			clear(o.SACK[got.NumSACK:])
			o.NumSACK = got.NumSACK
		}
		if got != o {
			t.Fatalf("%+v became %+v", o, got)
		}
	})
}

func TestThreeSACKBlocksFitBesideTimestamps(t *testing.T) {
	o := TCPOptions{Present: TCPHasTimestamps, NumSACK: 4} // RFC 2018 §3
	var b [TCPMaxOptions]byte
	if n := o.Put(b[:]); n != 40 {
		t.Errorf("wrote %d bytes, want 40", n)
	}
}

func FuzzTCPOptions(f *testing.F) {
	f.Add(unhex("0204 05b4 0402 080a 00000001 00000002 01 0303 07"))
	f.Add(unhex("0101 080a 00000001 00000002 0101 051a 0000000100000002 0000000300000004 0000000500000006"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var slow, fast TCPOptions
		okSlow := slow.parseAny(b)
		if ok := fast.Parse(b); ok != okSlow || !reflect.DeepEqual(fast, slow) {
			t.Fatalf("fast path %v %+v, slow %v %+v", ok, fast, okSlow, slow)
		}
		if len(b) > TCPMaxOptions {
			return // duplicates of this many options may not fit
		}
		var again [TCPMaxOptions]byte
		var got TCPOptions
		if !got.Parse(again[:slow.Put(again[:])]) || got.Present != slow.Present || got.TSEcr != slow.TSEcr || got.MSS != slow.MSS || got.WindowScale != slow.WindowScale {
			t.Fatalf("%+v became %+v", slow, got)
		}
	})
}

func TestVNetLayout(t *testing.T) {
	h := VNet{Flags: VNetNeedsCsum, GSOType: VNetGSOTCPv6 | VNetGSOECN, HdrLen: 0x0102, GSOSize: 0x0304, CsumStart: 0x0506, CsumOffset: 0x0708, NumBuffers: 0x090a}
	b := make([]byte, VNetV1Len)
	PutVNetV1(b, h)
	if want := unhex("01 84 0201 0403 0605 0807 0a09"); !bytes.Equal(b, want) { // virtio 1.2 §5.1.6
		t.Errorf("% x, want % x", b, want)
	}
	if got, ok := ParseVNetV1(b); !ok || got != h {
		t.Errorf("%+v, want %+v", got, h)
	}
	h.NumBuffers = 0
	if got, ok := ParseVNet(b[:VNetLen]); !ok || got != h {
		t.Errorf("%+v, want %+v", got, h)
	}
	if _, ok := ParseVNetV1(b[:11]); ok {
		t.Error("11 bytes are ok")
	}
}

func TestVNetFits(t *testing.T) {
	for name, c := range map[string]struct {
		h    VNet
		n    int
		want bool
	}{
		"nothing asked":      {VNet{CsumStart: 9999}, 0, true},
		"field at the end":   {VNet{Flags: VNetNeedsCsum, CsumStart: 20, CsumOffset: 16}, 38, true},
		"field cut":          {VNet{Flags: VNetNeedsCsum, CsumStart: 20, CsumOffset: 16}, 37, false},
		"offsets overflow":   {VNet{Flags: VNetNeedsCsum, CsumStart: 0xffff, CsumOffset: 0xffff}, 100, false},
		"pieces of nothing":  {VNet{GSOType: VNetGSOTCPv4}, 1000, false},
		"pieces":             {VNet{GSOType: VNetGSOTCPv4, GSOSize: 1460}, 1000, true},
		"ECN without a type": {VNet{GSOType: VNetGSOECN}, 1000, true},
	} {
		if got := c.h.Fits(c.n); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func FuzzVNet(f *testing.F) {
	f.Add(unhex("01 84 0201 0403 0605 0807 0a09"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, ok := ParseVNetV1(b)
		if !ok {
			return
		}
		again := make([]byte, VNetV1Len)
		PutVNetV1(again, h)
		if !bytes.Equal(again, b[:VNetV1Len]) {
			t.Fatalf("% x became % x", b[:VNetV1Len], again)
		}
		if h.Flags&VNetNeedsCsum != 0 && h.Fits(len(b)) && !CompleteChecksum(bytes.Clone(b), int(h.CsumStart), int(h.CsumOffset)) {
			t.Fatal("fits, yet cannot be completed")
		}
	})
}
