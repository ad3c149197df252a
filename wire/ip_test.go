package wire

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

func routerAlert() []byte {
	b := make([]byte, IPv4RouterAlertLen)
	PutIPv4RouterAlert(b)
	return b
}

// unhex reads hexadecimal octets with spaces between them.
func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

func TestIPv4ExampleOfRFC791(t *testing.T) {
	// RFC 791 app. A, example 3 ("an internet datagram containing options"),
	// whose figures leave addresses and checksum open.
	b := make([]byte, 60)
	f := IPv4Fields{
		TotalLen: 576, ID: 111, MF: false, FragOffset: 0, TTL: 123, Protocol: 6,
		Src: [4]byte{192, 0, 2, 1}, Dst: [4]byte{192, 0, 2, 2},
		Options: []byte{0x9a, 3, 7, 0x9a, 4, 7, 8, 1, 0x9b, 3, 9},
	}
	if n := PutIPv4(b, &f); n != 32 || n != f.HeaderLen() {
		t.Fatalf("wrote %d bytes, HeaderLen %d, want 32", n, f.HeaderLen())
	}
	if want := unhex("48 00 02 40 00 6f 00 00 7b 06"); !bytes.Equal(b[:10], want) {
		t.Errorf("header % x, want % x", b[:10], want)
	}
	h, ok := ParseIPv4(b)
	if !ok || !h.ChecksumOK() || h.HeaderLen() != 32 || len(h.Options()) != 12 || h.Options()[11] != IPv4OptEnd {
		t.Errorf("ok %v, checksum %v, header %d bytes, options % x", ok, h.ChecksumOK(), h.HeaderLen(), h.Options())
	}
}

func TestIPv4AgainstGopacket(t *testing.T) {
	for _, f := range []IPv4Fields{
		{TOS: 0xb9, TTL: 64, Protocol: ProtoUDP, DF: true, TotalLen: 28, ID: 0xbeef, Src: [4]byte{10, 0, 0, 1}, Dst: [4]byte{10, 0, 0, 2}},
		{TTL: 255, Protocol: ProtoICMP, MF: true, TotalLen: 1500, ID: 1, FragOffset: 65528, Src: [4]byte{255, 255, 255, 255}, Dst: [4]byte{255, 255, 255, 255}},
		{TTL: 1, Protocol: ProtoIGMP, TotalLen: 32, Dst: [4]byte{224, 0, 0, 22}, Options: routerAlert()},
	} {
		want := gopacket.NewSerializeBuffer()
		g := layers.IPv4{Version: 4, TOS: f.TOS, TTL: f.TTL, Protocol: layers.IPProtocol(f.Protocol), Length: f.TotalLen,
			Id: f.ID, FragOffset: f.FragOffset / 8, SrcIP: f.Src[:], DstIP: f.Dst[:], IHL: uint8(f.HeaderLen() / 4)}
		if f.DF {
			g.Flags |= layers.IPv4DontFragment
		}
		if f.MF {
			g.Flags |= layers.IPv4MoreFragments
		}
		if f.Options != nil {
			g.Options = []layers.IPv4Option{{OptionType: 148, OptionLength: 4, OptionData: []byte{0, 0}}}
		}
		if err := g.SerializeTo(want, gopacket.SerializeOptions{ComputeChecksums: true}); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, f.HeaderLen())
		PutIPv4(got, &f)
		if !bytes.Equal(got, want.Bytes()) {
			t.Errorf("% x\nwant % x", got, want.Bytes())
		}
	}
}

func TestParseIPv4ChecksTheHeaderOnly(t *testing.T) {
	ok := func(change func(b []byte) []byte) bool {
		b := make([]byte, 40)
		PutIPv4(b, &IPv4Fields{TotalLen: 30, TTL: 1, Protocol: 17})
		_, ok := ParseIPv4(change(b))
		return ok
	}
	for name, c := range map[string]struct {
		want   bool
		change func(b []byte) []byte
	}{
		"link padding behind":          {true, func(b []byte) []byte { return b }},
		"header only":                  {true, func(b []byte) []byte { return b[:20] }},
		"a byte less than a header":    {false, func(b []byte) []byte { return b[:19] }},
		"nothing":                      {false, func(b []byte) []byte { return nil }},
		"version 6":                    {false, func(b []byte) []byte { b[0] = 0x65; return b }},
		"header of 16 bytes":           {false, func(b []byte) []byte { b[0] = 0x44; return b }},
		"options beyond the slice":     {false, func(b []byte) []byte { b[0] = 0x46; return b[:23] }},
		"total length below header":    {false, func(b []byte) []byte { b[3] = 19; return b }},
		"total length without payload": {true, func(b []byte) []byte { b[3] = 20; return b }},
	} {
		if got := ok(c.change); got != c.want {
			t.Errorf("%s: ok = %v, want %v", name, got, c.want)
		}
	}
}

func TestTooManyIPv4OptionsPanic(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("41 bytes of options were written")
		}
	}()
	PutIPv4(make([]byte, 100), &IPv4Fields{Options: make([]byte, IPv4MaxOptions+1)})
}

func TestIPv4SettersKeepTheChecksum(t *testing.T) {
	b := make([]byte, 24)
	PutIPv4(b, &IPv4Fields{TotalLen: 100, TTL: 64, Protocol: 6, ID: 7, Src: [4]byte{10, 1, 2, 3}, Dst: [4]byte{10, 4, 5, 6}, Options: []byte{1, 1}})
	h, _ := ParseIPv4(b)
	for name, set := range map[string]func(){
		"DecrementTTL": h.DecrementTTL,
		"SetTTL":       func() { h.SetTTL(200) },
		"SetTOS":       func() { h.SetTOS(0xff) },
		"SetTotalLen":  func() { h.SetTotalLen(40000) },
		"SetID":        func() { h.SetID(0xffff) },
		"SetSrc4":      func() { h.SetSrc4([4]byte{255, 254, 253, 252}) },
		"SetDst4":      func() { h.SetDst4([4]byte{0, 0, 0, 1}) },
	} {
		set()
		if !h.ChecksumOK() {
			t.Errorf("%s: checksum is wrong", name)
		}
	}
	// A damaged header stays damaged: that is the point of RFC 1624.
	b[10] ^= 0x10
	h.DecrementTTL()
	if h.ChecksumOK() {
		t.Error("a setter repaired a checksum that was wrong before")
	}
	h.UpdateHeaderChecksum()
	if !h.ChecksumOK() {
		t.Error("UpdateHeaderChecksum did not")
	}
}

func FuzzIPv4(f *testing.F) {
	b := make([]byte, 60)
	PutIPv4(b, &IPv4Fields{TotalLen: 100, TTL: 64, Protocol: 6, Options: []byte{7, 7, 4, 0, 0, 0, 0, 148, 4, 0, 0, 68, 12, 5, 1}})
	f.Add(b)
	f.Fuzz(func(t *testing.T, input []byte) {
		h, ok := ParseIPv4(bytes.Clone(input))
		if !ok {
			return
		}
		_, _, _ = h.IsFragment(), h.Payload(), h.PseudoSum(1)
		if want := slowSum(h.Header()) == 0xffff; h.ChecksumOK() != want {
			t.Fatalf("ChecksumOK = %v, want %v", !want, want)
		}
		fields := h.Fields()
		again := make([]byte, IPv4MaxLen)
		n := PutIPv4(again, &fields)
		h2, ok := ParseIPv4(again[:n])
		if !ok || !h2.ChecksumOK() || !reflect.DeepEqual(h2.Fields(), fields) {
			t.Fatalf("%+v became %+v", fields, h2.Fields())
		}
		walk := h.WalkOptions()
		for {
			o, ok := walk.Next()
			if !ok {
				break
			}
			if p, ok := o.Check(); !ok {
				if p < o.Offset() || p >= h.HeaderLen() {
					t.Fatalf("pointer %d outside of the option at %d", p, o.Offset())
				}
				continue
			}
			use(o)
		}
		if p, bad := walk.Bad(); bad && (p < IPv4Len || p >= h.HeaderLen()) {
			t.Fatalf("pointer %d outside of the options", p)
		}
	})
}

// use does with an option that passed Check what a router would.
func use(o IPv4Option) {
	switch o.Type() {
	case IPv4OptRecordRoute:
		o.Record([4]byte{1, 2, 3, 4})
	case IPv4OptLooseRoute, IPv4OptStrictRoute:
		if !o.Full() {
			o.Hop()
			o.Record([4]byte{1, 2, 3, 4})
		}
	case IPv4OptTimestamp:
		o.Stamp([4]byte{1, 2, 3, 4}, 5)
	}
}

// options returns a walk over the given option bytes.
func options(t *testing.T, opts []byte) IPv4Options {
	t.Helper()
	b := make([]byte, IPv4MaxLen)
	PutIPv4(b, &IPv4Fields{TotalLen: 60, Options: opts})
	h, ok := ParseIPv4(b)
	if !ok {
		t.Fatal("header is not ok")
	}
	return h.WalkOptions()
}

func TestIPv4OptionWalk(t *testing.T) {
	w := options(t, []byte{1, 1, 7, 3, 4, 148, 4, 0, 0, 0, 99})
	var types []uint8
	var at []int
	for o, ok := w.Next(); ok; o, ok = w.Next() {
		types, at = append(types, o.Type()), append(at, o.Offset())
	}
	if !reflect.DeepEqual(types, []uint8{7, 148}) || !reflect.DeepEqual(at, []int{22, 25}) {
		t.Errorf("types %v at %v, want [7 148] at [22 25]: NOP is padding, nothing counts after End", types, at)
	}
	if _, bad := w.Bad(); bad {
		t.Error("a well-formed area is called bad")
	}
}

func TestIPv4OptionMalformed(t *testing.T) {
	for name, c := range map[string]struct {
		opts    []byte
		pointer int
	}{
		"length zero":             {[]byte{1, 7, 0, 4}, 22},
		"length one":              {[]byte{7, 1, 4, 0}, 21},
		"beyond the header":       {[]byte{7, 5, 4, 0}, 21},
		"type in the last octet":  {[]byte{1, 1, 1, 7}, 23},
		"route pointer below 4":   {[]byte{7, 7, 3, 0, 0, 0, 0, 0}, 22},
		"route without a pointer": {[]byte{131, 2, 0, 0}, 21},
		"half a slot":             {[]byte{137, 6, 4, 0, 0, 0, 0, 0}, 22},
		"stamp pointer below 5":   {[]byte{68, 8, 4, 0, 0, 0, 0, 0}, 22},
		"stamp without flags":     {[]byte{68, 3, 5, 0}, 21},
		"stamp of unknown flag":   {[]byte{68, 8, 5, 2, 0, 0, 0, 0}, 23},
		"stamp, address, no room": {[]byte{68, 8, 5, 1, 0, 0, 0, 0}, 22},
		"router alert of six":     {[]byte{148, 6, 0, 0, 0, 0}, 21},
	} {
		w := options(t, c.opts)
		o, ok := w.Next()
		pointer, bad := w.Bad()
		if ok {
			pointer, ok = o.Check()
			bad = !ok
		}
		if !bad || pointer != c.pointer {
			t.Errorf("%s: bad %v, pointer %d, want %d", name, bad, pointer, c.pointer)
		}
	}
}

func TestIPv4RecordRouteAndTimestamp(t *testing.T) {
	w := options(t, []byte{7, 7, 4, 0, 0, 0, 0, 68, 12, 5, 0xe1, 0, 0, 0, 0, 0, 0, 0, 0})
	route, _ := w.Next()
	stamp, _ := w.Next()
	ip := [4]byte{192, 0, 2, 7}
	route.Record(ip)
	route.Record([4]byte{9, 9, 9, 9})
	if want := []byte{7, 7, 8, 192, 0, 2, 7}; !bytes.Equal(route.Bytes(), want) || !route.Full() {
		t.Errorf("route % x, want % x: a full one is left alone (RFC 791 §3.1)", route.Bytes(), want)
	}
	if !stamp.Stamp(ip, 0x01020304) {
		t.Error("the first stamp is refused")
	}
	if want := []byte{68, 12, 13, 0xe1, 192, 0, 2, 7, 1, 2, 3, 4}; !bytes.Equal(stamp.Bytes(), want) {
		t.Errorf("stamp % x, want % x", stamp.Bytes(), want)
	}
	if !stamp.Stamp(ip, 5) || stamp.Bytes()[3] != 0xf1 {
		t.Errorf("overflow octet %#x, want 0xf1", stamp.Bytes()[3])
	}
	if stamp.Stamp(ip, 5) {
		t.Error("an overflow count that overflows is an error (RFC 791 §3.1)")
	}
}

func TestTimestampOfSpecifiedAddresses(t *testing.T) {
	w := options(t, []byte{68, 12, 5, 3, 192, 0, 2, 7, 0, 0, 0, 0})
	o, _ := w.Next()
	if o.Stamp([4]byte{192, 0, 2, 8}, 1); o.Bytes()[2] != 5 {
		t.Error("another module's slot was used")
	}
	if o.Stamp([4]byte{192, 0, 2, 7}, 1); o.Bytes()[2] != 13 || o.Bytes()[11] != 1 {
		t.Errorf("own slot was not used: % x", o.Bytes())
	}
}

func TestSourceRouteHop(t *testing.T) {
	w := options(t, []byte{131, 11, 4, 192, 0, 2, 1, 192, 0, 2, 2})
	o, _ := w.Next()
	for _, want := range []string{"192.0.2.1", "192.0.2.2"} {
		if got := o.Hop(); got != netip.MustParseAddr(want) {
			t.Errorf("hop %v, want %v", got, want)
		}
		o.Record([4]byte{10, 0, 0, 1})
	}
	if !o.Full() || !o.Copied() {
		t.Error("a used-up source route is full, and copied into fragments")
	}
}

func TestIPv6AgainstGopacket(t *testing.T) {
	f := IPv6Fields{TrafficClass: 0xb9, FlowLabel: 0xabcde, PayloadLen: 1234, NextHeader: ProtoTCP, HopLimit: 63,
		Src: netip.MustParseAddr("2001:db8::1").As16(), Dst: netip.MustParseAddr("ff02::fb").As16()}
	want := gopacket.NewSerializeBuffer()
	g := layers.IPv6{Version: 6, TrafficClass: 0xb9, FlowLabel: 0xabcde, Length: 1234, NextHeader: layers.IPProtocolTCP,
		HopLimit: 63, SrcIP: f.Src[:], DstIP: f.Dst[:]}
	if err := g.SerializeTo(want, gopacket.SerializeOptions{}); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, IPv6Len)
	PutIPv6(b, &f)
	if !bytes.Equal(b, want.Bytes()) {
		t.Errorf("% x\nwant % x", b, want.Bytes())
	}
	h, ok := ParseIPv6(b)
	if !ok || h.Fields() != f || h.TotalLen() != 1274 {
		t.Errorf("ok %v, %+v", ok, h.Fields())
	}
	if h.Src().String() != "2001:db8::1" || h.Dst().String() != "ff02::fb" {
		t.Errorf("addresses %v %v", h.Src(), h.Dst())
	}
	if h.PseudoSum(ProtoUDP, 9) != PseudoIPv6(f.Src, f.Dst, ProtoUDP, 9) {
		t.Error("PseudoSum is not that of the addresses")
	}
	h.SetTrafficClass(0x42)
	h.SetHopLimit(9)
	h.SetPayloadLen(8)
	h.SetNextHeader(ProtoUDP)
	h.SetSrc16(f.Dst)
	h.SetDst16(f.Src)
	f.Src, f.Dst = f.Dst, f.Src
	f.TrafficClass, f.HopLimit, f.PayloadLen, f.NextHeader = 0x42, 9, 8, ProtoUDP
	if h.Fields() != f {
		t.Errorf("setters: %+v, want %+v", h.Fields(), f)
	}
}

func TestSolicitedNodeExampleOfRFC4291(t *testing.T) {
	got := SolicitedNode(netip.MustParseAddr("4037::01:800:200e:8c6c"))
	if want := netip.MustParseAddr("ff02::1:ff0e:8c6c"); got != want {
		t.Errorf("%v, want %v", got, want)
	}
}

// chain returns an IPv6 packet with the given bytes behind the fixed header.
func chain(first uint8, payload string) IPv6 {
	p := unhex(payload)
	b := make([]byte, IPv6Len, IPv6Len+len(p))
	PutIPv6(b, &IPv6Fields{NextHeader: first, PayloadLen: uint16(len(p))})
	h, _ := ParseIPv6(append(b, p...))
	return h
}

func TestIPv6Chain(t *testing.T) {
	for name, c := range map[string]struct {
		first   uint8
		payload string
		proto   uint8
		offset  int
		named   int
		err     IPv6ExtError
		pointer int
	}{
		"none":                    {ProtoTCP, "ff", ProtoTCP, 40, 6, 0, 0},
		"no next header":          {ProtoNoNext, "", ProtoNoNext, 40, 6, 0, 0},
		"nothing promised as TCP": {ProtoTCP, "", ProtoTCP, 40, 6, IPv6ExtTruncated, 40},
		"hop-by-hop":              {ProtoHopByHop, "3a00050200000100 ff", ProtoICMPv6, 48, 40, 0, 0},
		"hop-by-hop twice":        {ProtoHopByHop, "0000050200000100 3a00050200000100 ff", ProtoHopByHop, 48, 40, IPv6ExtMisplaced, 40},
		"hop-by-hop second":       {ProtoDstOpts, "0000010400000000 3a00050200000100 ff", ProtoHopByHop, 48, 40, IPv6ExtMisplaced, 40},
		"all":                     {ProtoHopByHop, "3c00010400000000 2b00010400000000 3c02000100000000 00000000000000000000000000000000 3300010400000000 0604000000000001 0000000100000000 0000000000000000 ff", ProtoTCP, 112, 88, 0, 0},
		"length beyond packet":    {ProtoDstOpts, "0602010400000000 ff", ProtoDstOpts, 40, 6, IPv6ExtTruncated, 40},
		"seven bytes":             {ProtoRouting, "06000104000000", ProtoRouting, 40, 6, IPv6ExtTruncated, 40},
		"first fragment":          {ProtoFragment, "0600000100000007 ff", ProtoTCP, 48, 40, 0, 0},
		"first fragment, cut":     {ProtoFragment, "3c00000100000007 0601010400000000", ProtoDstOpts, 48, 40, IPv6ExtIncomplete, 48},
		"later fragment":          {ProtoFragment, "3c00001000000007 ffff", ProtoDstOpts, 48, 40, 0, 0},
		"later fragment, empty":   {ProtoFragment, "0600001000000007", ProtoTCP, 48, 40, 0, 0},
		"atomic fragment, cut":    {ProtoFragment, "3c00000000000007 0601010400000000", ProtoDstOpts, 48, 40, IPv6ExtTruncated, 48},
		"ESP ends the walk":       {ProtoESP, "0000000100000001", ProtoESP, 40, 6, 0, 0},
	} {
		h := chain(c.first, c.payload)
		w := h.WalkExts()
		for _, ok := w.Next(); ok; _, ok = w.Next() {
		}
		proto, offset := w.Upper()
		err, pointer := w.Err()
		if proto != c.proto || offset != c.offset || w.NamedAt() != c.named || err != c.err || pointer != c.pointer {
			t.Errorf("%s: proto %d at %d named at %d, %v at %d", name, proto, offset, w.NamedAt(), err, pointer)
		}
		if w.NotFirst() != strings.HasPrefix(name, "later") {
			t.Errorf("%s: NotFirst = %v", name, w.NotFirst())
		}
		p, o, first, ok := h.Upper()
		if p != proto || o != offset || ok != (c.err == 0) || first == strings.HasPrefix(name, "later") {
			t.Errorf("%s: Upper = %d, %d, %v, %v", name, p, o, first, ok)
		}
	}
}

func TestRoutingHeader(t *testing.T) {
	h := chain(ProtoRouting, "0602000100000000 20010db8000000000000000000000001 ff")
	w := h.WalkExts()
	x, ok := w.Next()
	if !ok || x.Type() != ProtoRouting || x.Offset() != 40 || x.RoutingType() != 0 || x.SegmentsLeft() != 1 ||
		x.NextHeader() != ProtoTCP || len(x.Bytes()) != 24 {
		t.Errorf("ok %v, %+v", ok, x)
	}
}

func TestIPv6OptionWalk(t *testing.T) {
	for name, c := range map[string]struct {
		payload string
		types   []uint8
		pointer int
	}{
		"padding only": {"3a00010400000000", nil, 0},
		"Pad1 eight":   {"3a00000000000000", nil, 0},
		"router alert": {"3a00050200000100", []uint8{IPv6OptRouterAlert}, 0},
		"too long":     {"3a00050500000100", nil, 43},
		"no length":    {"3a00010300000005", nil, 47},
		"jumbo":        {"3a00c20400010000", []uint8{IPv6OptJumbo}, 0},
	} {
		h := chain(ProtoHopByHop, c.payload+"ff")
		exts := h.WalkExts()
		x, ok := exts.Next()
		if !ok {
			t.Fatalf("%s: header is not ok", name)
		}
		var types []uint8
		w := x.WalkOptions()
		for o, ok := w.Next(); ok; o, ok = w.Next() {
			types = append(types, o.Type())
			if o.Offset() != 42 {
				t.Errorf("%s: option at %d, want 42", name, o.Offset())
			}
		}
		pointer, bad := w.Bad()
		if !reflect.DeepEqual(types, c.types) || pointer != c.pointer || bad != (c.pointer != 0) {
			t.Errorf("%s: types %v, bad %v at %d", name, types, bad, pointer)
		}
	}
}

func TestIPv6OptionAction(t *testing.T) {
	// RFC 8200 §4.2: the two highest-order bits.
	for typ, want := range map[uint8]IPv6OptAction{
		0x3e: IPv6OptSkip, 0x7e: IPv6OptDiscard, 0xbe: IPv6OptReport, 0xfe: IPv6OptReportUnicast,
	} {
		if got := (IPv6Option{typ: typ}).Action(); got != want {
			t.Errorf("type %#x: action %d, want %d", typ, got, want)
		}
	}
}

func TestIPv6RouterAlertIsReadByGopacket(t *testing.T) {
	b := make([]byte, IPv6Len+IPv6RouterAlertLen+ICMPLen)
	PutIPv6(b, &IPv6Fields{NextHeader: ProtoHopByHop, HopLimit: 1, PayloadLen: 16})
	PutIPv6RouterAlert(b[IPv6Len:], ProtoICMPv6, IPv6RouterAlertMLD)
	p := gopacket.NewPacket(b, layers.LayerTypeIPv6, gopacket.Default)
	l, ok := p.Layer(layers.LayerTypeIPv6HopByHop).(*layers.IPv6HopByHop)
	if !ok || l.NextHeader != layers.IPProtocolICMPv6 || len(l.Options) != 2 || l.Options[0].OptionType != 5 {
		t.Errorf("gopacket reads %+v", l)
	}
}

func FuzzIPv6(f *testing.F) {
	f.Add(unhex("6000000000103aff 00000000000000000000000000000000 00000000000000000000000000000000 8000000000000000"))
	b := chain(ProtoHopByHop, "2c00050200000100 3c00000100000007 0600c20400010000 ff").b
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		h, ok := ParseIPv6(b)
		if !ok {
			return
		}
		fields := h.Fields()
		again := make([]byte, IPv6Len)
		PutIPv6(again, &fields)
		if !bytes.Equal(again, b[:IPv6Len]) {
			t.Fatalf("% x became % x", b[:IPv6Len], again)
		}
		w := h.WalkExts()
		end := IPv6Len
		for x, ok := w.Next(); ok; x, ok = w.Next() {
			if x.Offset() != end {
				t.Fatalf("header at %d, want %d", x.Offset(), end)
			}
			end += len(x.Bytes())
			opts := x.WalkOptions()
			for o, ok := opts.Next(); ok; o, ok = opts.Next() {
				if o.Offset()+2+len(o.Data()) > end {
					t.Fatal("option beyond its header")
				}
			}
			if p, bad := opts.Bad(); bad && p >= end {
				t.Fatal("pointer beyond the header")
			}
			_, _ = x.RoutingType(), x.SegmentsLeft()
		}
		if _, offset := w.Upper(); offset != end || end > IPv6Len+len(h.Payload()) {
			t.Fatalf("upper layer at %d, headers end at %d of %d", offset, end, IPv6Len+len(h.Payload()))
		}
	})
}

func FuzzIPv6Fragment(f *testing.F) {
	f.Add(unhex("0600000100000007"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, ok := ParseIPv6Fragment(b)
		if !ok {
			return
		}
		again := make([]byte, IPv6FragmentLen)
		PutIPv6Fragment(again, h.NextHeader(), h.Offset(), h.More(), h.ID())
		h2, _ := ParseIPv6Fragment(again)
		if h2.NextHeader() != h.NextHeader() || h2.Offset() != h.Offset() || h2.More() != h.More() || h2.ID() != h.ID() || h2.IsAtomic() != h.IsAtomic() {
			t.Fatalf("% x became % x", b[:8], again)
		}
	})
}
