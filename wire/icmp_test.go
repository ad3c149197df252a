package wire

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

func TestICMP4EchoAgainstGopacket(t *testing.T) {
	want := gopacket.NewSerializeBuffer()
	g := &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(8, 0), Id: 0x1234, Seq: 0xfffe}
	if err := gopacket.SerializeLayers(want, gopacket.SerializeOptions{ComputeChecksums: true}, g, gopacket.Payload("ping!")); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, ICMPLen+5)
	PutICMP4(b, ICMP4Echo, 0, ICMPEchoRest(0x1234, 0xfffe))
	copy(b[ICMPLen:], "ping!")
	FinishICMP4(b)
	if !bytes.Equal(b, want.Bytes()) {
		t.Errorf("% x\nwant % x", b, want.Bytes())
	}
	m, ok := ParseICMP4(b)
	if !ok || !m.ChecksumOK() || m.Type() != ICMP4Echo || m.ID() != 0x1234 || m.Seq() != 0xfffe || string(m.Payload()) != "ping!" || m.IsError() {
		t.Errorf("ok %v checksum %v type %d id %#x seq %#x", ok, m.ChecksumOK(), m.Type(), m.ID(), m.Seq())
	}
	m.SetID(0xffff)
	if m.ID() != 0xffff || !m.ChecksumOK() {
		t.Error("SetID spoils the checksum")
	}
}

func TestICMP6EchoAgainstGopacket(t *testing.T) {
	src, dst := netip.MustParseAddr("fe80::1").As16(), netip.MustParseAddr("ff02::1").As16()
	g := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(128, 0)}
	if err := g.SetNetworkLayerForChecksum(&layers.IPv6{SrcIP: src[:], DstIP: dst[:], NextHeader: layers.IPProtocolICMPv6}); err != nil {
		t.Fatal(err)
	}
	want := gopacket.NewSerializeBuffer()
	err := gopacket.SerializeLayers(want, gopacket.SerializeOptions{ComputeChecksums: true}, g, &layers.ICMPv6Echo{Identifier: 7, SeqNumber: 9}, gopacket.Payload("abc"))
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, ICMPLen+3)
	PutICMP6(b, ICMP6Echo, 0, ICMPEchoRest(7, 9))
	copy(b[ICMPLen:], "abc")
	FinishICMP6(b, src, dst)
	if !bytes.Equal(b, want.Bytes()) {
		t.Errorf("% x\nwant % x", b, want.Bytes())
	}
	m, ok := ParseICMP6(b)
	if !ok || m.Type() != ICMP6Echo || m.Code() != 0 || !m.ChecksumOK(src, dst) || m.ChecksumOK(dst, dst) || m.ID() != 7 || m.Seq() != 9 {
		t.Errorf("ok %v checksum %v", ok, m.ChecksumOK(src, dst))
	}
	m.SetID(8)
	if m.ID() != 8 || !m.ChecksumOK(src, dst) {
		t.Error("SetID spoils the checksum")
	}
}

func TestICMPErrorFields(t *testing.T) {
	b := make([]byte, ICMPLen)
	PutICMP4(b, ICMP4Unreachable, ICMP4FragNeeded, ICMP4MTURest(1400))
	if m, _ := ParseICMP4(b); m.MTU() != 1400 || b[4] != 0 || b[5] != 0 || m.Code() != ICMP4FragNeeded {
		t.Errorf("MTU %d in % x (RFC 1191 §4)", m.MTU(), b)
	}
	if ICMP4MTURest(70000) != 65535 {
		t.Error("an MTU beyond the field does not become the most it holds")
	}
	PutICMP4(b, ICMP4ParamProblem, ICMP4BadOctet, ICMP4PointerRest(22))
	if m, _ := ParseICMP4(b); m.Pointer() != 22 {
		t.Errorf("pointer %d", m.Pointer())
	}
	PutICMP4(b, ICMP4Redirect, ICMP4RedirectHost, 0xc0000201)
	if m, _ := ParseICMP4(b); m.Gateway() != netip.MustParseAddr("192.0.2.1") {
		t.Errorf("gateway %v", m.Gateway())
	}
	PutICMP6(b, ICMP6PacketTooBig, 0, 1280)
	if m, _ := ParseICMP6(b); m.MTU() != 1280 || m.Pointer() != 1280 || !m.IsError() {
		t.Errorf("MTU %d", m.MTU())
	}
}

func TestICMPExtensions(t *testing.T) {
	quote := bytes.Repeat([]byte{0x45}, 60)
	for _, v6 := range []bool{false, true} {
		n := ICMPExtQuoteLen(len(quote), v6)
		if n != 128 {
			t.Fatalf("quote of 60 bytes takes %d, want 128 (RFC 4884 §5.3)", n)
		}
		b := make([]byte, ICMPLen+n+ICMPExtHeaderLen+8+8)
		copy(b[ICMPLen:], quote)
		at := ICMPLen + n + ICMPExtHeaderLen
		at += PutICMPExtObject(b[at:], ICMPExtMPLS, 1, []byte{1, 2, 3, 4})
		at += PutICMPExtObject(b[at:], ICMPExtInterface, 9, []byte{5, 6})
		if at != len(b) {
			t.Fatalf("objects end at %d of %d", at, len(b))
		}
		FinishICMPExt(b[ICMPLen+n:])
		packet, ext := quoted(b, n, v6)
		if len(packet) != n || !bytes.HasPrefix(packet, quote) || len(ext) != 20 {
			t.Errorf("v6 %v: packet of %d bytes, extensions of %d", v6, len(packet), len(ext))
		}
		w, ok := ParseICMPExt(ext)
		if !ok {
			t.Fatal("own extensions are not ok")
		}
		class, typ, data, ok := w.Next()
		if !ok || class != ICMPExtMPLS || typ != 1 || !bytes.Equal(data, []byte{1, 2, 3, 4}) {
			t.Errorf("object %d %d % x %v", class, typ, data, ok)
		}
		class, typ, data, ok = w.Next()
		if !ok || class != ICMPExtInterface || typ != 9 || !bytes.Equal(data, []byte{5, 6, 0, 0}) {
			t.Errorf("object %d %d % x %v", class, typ, data, ok)
		}
		if _, _, _, ok = w.Next(); ok {
			t.Error("a third object")
		}
		b[len(b)-1] ^= 1 // the checksum of the structure no longer fits
		if _, ext = quoted(b, n, v6); ext != nil {
			t.Error("damaged extensions are handed out")
		}
	}
}

// quoted writes the head of an error whose quote takes n bytes and splits it.
func quoted(b []byte, n int, v6 bool) (packet, ext []byte) {
	if v6 {
		PutICMP6(b, ICMP6Unreachable, ICMP6NoRoute, 0)
		m, _ := ParseICMP6(b)
		m.SetQuoteLen(n)
		return m.Quoted()
	}
	PutICMP4(b, ICMP4TimeExceeded, ICMP4TTLExceeded, 0)
	m, _ := ParseICMP4(b)
	m.SetQuoteLen(n)
	return m.Quoted()
}

func TestQuoteLengthUnits(t *testing.T) {
	for _, c := range []struct {
		n    int
		v6   bool
		want int
	}{{0, false, 128}, {129, false, 132}, {129, true, 136}, {548, false, 548}, {548, true, 552}} {
		if got := ICMPExtQuoteLen(c.n, c.v6); got != c.want {
			t.Errorf("ICMPExtQuoteLen(%d, %v) = %d, want %d", c.n, c.v6, got, c.want)
		}
	}
}

func TestMessagesWithoutLengthFieldQuoteAll(t *testing.T) {
	b := make([]byte, ICMPLen+200)
	PutICMP4(b, ICMP4Redirect, 0, 0x00200000) // the octet is a part of the gateway here
	m, _ := ParseICMP4(b)
	if packet, ext := m.Quoted(); len(packet) != 200 || ext != nil {
		t.Errorf("redirect: %d bytes, % x", len(packet), ext)
	}
	PutICMP6(b, ICMP6PacketTooBig, 0, 0x10000500) // a part of the MTU
	m6, _ := ParseICMP6(b)
	if packet, ext := m6.Quoted(); len(packet) != 200 || ext != nil {
		t.Errorf("packet too big: %d bytes, % x", len(packet), ext)
	}
	PutICMP4(b, ICMP4Echo, 0, 0)
	if packet, _ := m.Quoted(); packet != nil {
		t.Error("an echo quotes a packet")
	}
}

func FuzzICMP(f *testing.F) {
	f.Add(append(unhex("0b00 0000 0020 0000"), make([]byte, 140)...))
	f.Add(append(unhex("0100 0000 1000 0000"), make([]byte, 140)...))
	f.Fuzz(func(t *testing.T, input []byte) {
		b := bytes.Clone(input)
		m, ok := ParseICMP4(b)
		m6, ok6 := ParseICMP6(b)
		if ok != ok6 || ok != (len(b) >= ICMPLen) {
			t.Fatalf("%d bytes: ok %v, %v", len(b), ok, ok6)
		}
		if !ok {
			return
		}
		again := make([]byte, ICMPLen)
		PutICMP4(again, m.Type(), m.Code(), ICMPEchoRest(m.ID(), m.Seq()))
		if g, _ := ParseICMP4(again); g.Type() != m.Type() || g.Code() != m.Code() || g.ID() != m.ID() || g.Seq() != m.Seq() || g.Checksum() != 0 {
			t.Fatalf("% x became % x", b[:ICMPLen], again)
		}
		p4, e4 := m.Quoted()
		p6, e6 := m6.Quoted()
		if len(p4)+len(e4) > len(b)-ICMPLen || len(p6)+len(e6) > len(b)-ICMPLen {
			t.Fatal("quoted more than there is")
		}
		for _, ext := range [][]byte{e4, e6, m.Payload()} {
			w, _ := ParseICMPExt(ext)
			n := ICMPExtHeaderLen
			for _, _, data, ok := w.Next(); ok; _, _, data, ok = w.Next() {
				n += ICMPExtObjectLen + len(data)
			}
			if n > max(len(ext), ICMPExtHeaderLen) {
				t.Fatalf("objects of %d bytes in %d", n, len(ext))
			}
		}
		id := uint16(len(b))
		was := Sum(b, 0)
		m.SetID(id)
		if m.ID() != id || !same(Sum(b, 0).Fold(), was.Fold()) {
			t.Fatal("SetID changed the sum over the message")
		}
	})
}

func TestNeighborMessagesAgainstGopacket(t *testing.T) {
	target := netip.MustParseAddr("fe80::1:2:3:4")
	mac := MAC{2, 3, 4, 5, 6, 7}
	b := make([]byte, NeighborAdvertLen+NDPLinkAddrLen)
	PutNeighborAdvert(b, NeighborAdvertFields{Solicited: true, Override: true, Target: target.As16()})
	PutNDPLinkAddr(b[NeighborAdvertLen:], NDPOptTargetLink, mac)
	p := gopacket.NewPacket(b, layers.LayerTypeICMPv6, gopacket.Default)
	g, ok := p.Layer(layers.LayerTypeICMPv6NeighborAdvertisement).(*layers.ICMPv6NeighborAdvertisement)
	if !ok || g.Router() || !g.Solicited() || !g.Override() || g.TargetAddress.String() != target.String() ||
		len(g.Options) != 1 || g.Options[0].Type != layers.ICMPv6OptTargetAddress || MAC(g.Options[0].Data) != mac {
		t.Errorf("gopacket reads %+v", g)
	}
	m, ok := ParseNeighborAdvert(b)
	if !ok || m.Router() || !m.Solicited() || !m.Override() || m.Target() != target {
		t.Errorf("ok %v, %+v", ok, m.Fields())
	}
	w := m.Options()
	o, _ := w.Next()
	if got, ok := o.LinkAddr(); !ok || got != mac || o.Type() != NDPOptTargetLink {
		t.Errorf("link address %v, %v", got, ok)
	}
	if _, ok := w.Next(); ok {
		t.Error("a second option")
	}
	if _, ok := o.MTU(); ok {
		t.Error("a link address is read as an MTU")
	}

	PutNeighborSolicit(b, target.As16())
	PutNDPLinkAddr(b[NeighborSolicitLen:], NDPOptSourceLink, mac)
	p = gopacket.NewPacket(b, layers.LayerTypeICMPv6, gopacket.Default)
	s, ok := p.Layer(layers.LayerTypeICMPv6NeighborSolicitation).(*layers.ICMPv6NeighborSolicitation)
	if !ok || s.TargetAddress.String() != target.String() || len(s.Options) != 1 || s.Options[0].Type != layers.ICMPv6OptSourceAddress {
		t.Errorf("gopacket reads %+v", s)
	}
	if m, ok := ParseNeighborSolicit(b); !ok || m.Target() != target {
		t.Error("own solicitation is not ok")
	}
}

func TestNDPValidity(t *testing.T) {
	good := func() []byte {
		b := make([]byte, NeighborSolicitLen+NDPLinkAddrLen)
		PutNeighborSolicit(b, [16]byte{0xfe, 0x80, 15: 1})
		PutNDPLinkAddr(b[NeighborSolicitLen:], NDPOptSourceLink, MAC{2})
		return b
	}
	for name, change := range map[string]func(b []byte) []byte{ // RFC 4861 §7.1.1
		"code is not 0":       func(b []byte) []byte { b[1] = 1; return b },
		"23 octets":           func(b []byte) []byte { return b[:23] },
		"target is multicast": func(b []byte) []byte { b[8] = 0xff; return b },
		"option of length 0":  func(b []byte) []byte { b[25] = 0; return b },
		"option too long":     func(b []byte) []byte { b[25] = 2; return b },
		"half an option":      func(b []byte) []byte { return b[:28] },
		"another type":        func(b []byte) []byte { b[0] = ICMP6NeighborAdvert; return b },
	} {
		if _, ok := ParseNeighborSolicit(change(good())); ok {
			t.Errorf("%s: ok", name)
		}
	}
	if _, ok := ParseNeighborSolicit(good()); !ok {
		t.Error("a good one is not ok")
	}
}

func TestRouterAdvert(t *testing.T) {
	f := RouterAdvertFields{HopLimit: 64, Managed: true, Preference: PreferenceLow, Lifetime: 1800, ReachableTime: 30000, RetransmitTime: 1000}
	prefix := NDPPrefix{Bits: 64, OnLink: true, Autonomous: true, Valid: NDPInfinite, Preferred: 3600, Prefix: netip.MustParseAddr("2001:db8::").As16()}
	routes := []NDPRoute{
		{Bits: 0, Preference: PreferenceHigh, Lifetime: 1},
		{Bits: 48, Lifetime: 2, Prefix: netip.MustParseAddr("2001:db8:1::").As16()},
		{Bits: 65, Preference: PreferenceLow, Lifetime: 3, Prefix: netip.MustParseAddr("2001:db8:1:2:8000::").As16()},
	}
	dns := [][16]byte{netip.MustParseAddr("2001:db8::53").As16(), netip.MustParseAddr("fe80::53").As16()}
	b := make([]byte, 512)
	PutRouterAdvert(b, f)
	n := RouterAdvertLen
	PutNDPPrefix(b[n:], prefix)
	n += NDPPrefixLen
	PutNDPMTU(b[n:], 1400)
	n += NDPMTULen
	for _, r := range routes {
		n += PutNDPRoute(b[n:], r)
	}
	n += PutNDPRDNSS(b[n:], 600, dns...)
	if want := 16 + 32 + 8 + 8 + 16 + 24 + 40; n != want {
		t.Fatalf("%d bytes, want %d", n, want)
	}

	p := gopacket.NewPacket(b[:n], layers.LayerTypeICMPv6, gopacket.Default)
	g, ok := p.Layer(layers.LayerTypeICMPv6RouterAdvertisement).(*layers.ICMPv6RouterAdvertisement)
	if !ok || g.HopLimit != 64 || !g.ManagedAddressConfig() || g.OtherConfig() || g.RouterLifetime != 1800 || g.ReachableTime != 30000 || g.RetransTimer != 1000 || len(g.Options) != 6 {
		t.Errorf("gopacket reads %+v", g)
	}

	m, ok := ParseRouterAdvert(b[:n])
	if !ok || m.Fields() != f {
		t.Fatalf("ok %v, %+v", ok, m.Fields())
	}
	var seen int
	w := m.Options()
	for o, ok := w.Next(); ok; o, ok = w.Next() {
		seen++
		switch o.Type() {
		case NDPOptPrefix:
			if got, ok := o.Prefix(); !ok || got != prefix {
				t.Errorf("prefix %+v, %v", got, ok)
			}
		case NDPOptMTU:
			if got, ok := o.MTU(); !ok || got != 1400 {
				t.Errorf("MTU %d, %v", got, ok)
			}
		case NDPOptRoute:
			if got, ok := o.Route(); !ok || got != routes[0] {
				t.Errorf("route %+v, want %+v, %v", got, routes[0], ok)
			}
			routes = routes[1:]
		case NDPOptRDNSS:
			s, ok := o.RDNSS()
			if !ok || s.Lifetime() != 600 || s.Len() != 2 || s.At(0).As16() != dns[0] || s.At(1).As16() != dns[1] {
				t.Errorf("servers: %d, %v", s.Len(), ok)
			}
		}
	}
	if seen != 6 {
		t.Errorf("%d options, want 6", seen)
	}
}

func TestReservedRouterPreference(t *testing.T) {
	b := make([]byte, RouterAdvertLen)
	PutRouterAdvert(b, RouterAdvertFields{Preference: 2})
	if m, _ := ParseRouterAdvert(b); m.Fields().Preference != PreferenceMedium {
		t.Error("the reserved value is not taken as medium (RFC 4191 §2.2)")
	}
}

// option returns the first option of a Router Advertisement with these.
func option(t *testing.T, opts string) NDPOption {
	t.Helper()
	m, ok := ParseRouterAdvert(append(unhex("8600 0000 4000 0000 00000000 00000000"), unhex(opts)...))
	if !ok {
		t.Fatal("message is not ok")
	}
	w := m.Options()
	o, _ := w.Next()
	return o
}

func TestNDPOptionsThatDoNotMakeSense(t *testing.T) {
	if _, ok := option(t, "0304 81c0 00000000 00000000 00000000 00000000000000000000000000000000").Prefix(); ok {
		t.Error("a prefix of 129 bits is ok")
	}
	if _, ok := option(t, "0301 40c0 00000000").Prefix(); ok {
		t.Error("a prefix option of 8 bytes is ok")
	}
	if _, ok := option(t, "1801 4000 00000000").Route(); ok {
		t.Error("a route of 64 bits without a prefix is ok (RFC 4191 §2.3)")
	}
	if _, ok := option(t, "1801 0010 00000000").Route(); ok {
		t.Error("a route of the reserved preference is not ignored (RFC 4191 §2.3)")
	}
	if _, ok := option(t, "1901 0000 00000000").RDNSS(); ok {
		t.Error("no server at all is ok (RFC 8106 §5.3.1)")
	}
	if _, ok := option(t, "1904 0000 00000000 00000000000000000000000000000000 0000000000000000").RDNSS(); ok {
		t.Error("one server and a half are ok (RFC 8106 §5.3.1)")
	}
	if mtu, ok := option(t, "0502 0000 00000578 0000000000000000").MTU(); !ok || mtu != 1400 {
		t.Error("what lies beyond the known length is not ignored (RFC 4861 §9)")
	}
}

func TestNDPRedirect(t *testing.T) {
	target, dst := netip.MustParseAddr("fe80::9"), netip.MustParseAddr("2001:db8::9")
	b := make([]byte, 4096)
	PutNDPRedirect(b, target.As16(), dst.As16())
	n := NDPRedirectLen + PutNDPRedirected(b[NDPRedirectLen:], []byte("123456789"))
	m, ok := ParseNDPRedirect(b[:n])
	if !ok || m.Target() != target || m.Destination() != dst {
		t.Fatalf("ok %v, %v %v", ok, m.Target(), m.Destination())
	}
	w := m.Options()
	o, _ := w.Next()
	if p, ok := o.Redirected(); !ok || string(p) != "123456789\x00\x00\x00\x00\x00\x00\x00" {
		t.Errorf("%q, %v", p, ok)
	}
	if n := PutNDPRedirected(b, make([]byte, 3000)); n != 255*8 {
		t.Errorf("a long packet takes %d bytes, want %d", n, 255*8)
	}
	PutNDPRedirect(b, target.As16(), [16]byte{0xff, 2})
	if _, ok := ParseNDPRedirect(b[:NDPRedirectLen]); ok {
		t.Error("a multicast destination is ok (RFC 4861 §8.1)")
	}
	PutRouterSolicit(b)
	if m, ok := ParseRouterSolicit(b[:RouterSolicitLen]); !ok || len(m.Options().rest) != 0 {
		t.Error("own Router Solicitation is not ok")
	}
}

func FuzzNDP(f *testing.F) {
	f.Add(unhex("8600 0000 4000 0708 00000000 00000000 0502 0000 00000578 0000000000000000"))
	f.Add(unhex("8700 0000 00000000 fe800000000000000000000000000001 0101 020000000001"))
	f.Add(unhex("8800 0000 e0000000 fe800000000000000000000000000001 0201 020000000001"))
	f.Add(unhex("8900 0000 00000000 fe800000000000000000000000000009 20010db8000000000000000000000009 0402 000000000000 4500000000000000"))
	f.Add(unhex("8600 0000 40d8 0708 00000000 00000000"))
	f.Add(unhex("8500 0000 00000000 1903 0000 00000000 20010db8000000000000000000000001"))
	f.Add(unhex("8500 0000 00000000 1802 4000 00000000 20010db800000000"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, ok := ParseRouterSolicit(b); ok {
			walkNDP(t, m.Options())
		}
		if m, ok := ParseRouterAdvert(b); ok {
			again := make([]byte, RouterAdvertLen)
			PutRouterAdvert(again, m.Fields())
			if g, ok := ParseRouterAdvert(again); !ok || g.Fields() != m.Fields() {
				t.Fatalf("%+v became %+v", m.Fields(), g.Fields())
			}
			walkNDP(t, m.Options())
		}
		if m, ok := ParseNeighborSolicit(b); ok {
			again := make([]byte, NeighborSolicitLen)
			PutNeighborSolicit(again, m.Target().As16())
			if g, ok := ParseNeighborSolicit(again); !ok || g.Target() != m.Target() {
				t.Fatalf("%v became %v", m.Target(), g.Target())
			}
			walkNDP(t, m.Options())
		}
		if m, ok := ParseNeighborAdvert(b); ok {
			again := make([]byte, NeighborAdvertLen)
			PutNeighborAdvert(again, m.Fields())
			if g, ok := ParseNeighborAdvert(again); !ok || g.Fields() != m.Fields() {
				t.Fatalf("%+v became %+v", m.Fields(), g.Fields())
			}
			walkNDP(t, m.Options())
		}
		if m, ok := ParseNDPRedirect(b); ok {
			again := make([]byte, NDPRedirectLen)
			PutNDPRedirect(again, m.Target().As16(), m.Destination().As16())
			if g, ok := ParseNDPRedirect(again); !ok || g.Target() != m.Target() || g.Destination() != m.Destination() {
				t.Fatalf("%v became %v", m.Target(), g.Target())
			}
			walkNDP(t, m.Options())
		}
	})
}

// walkNDP writes every option again and reads what it has written.
func walkNDP(t *testing.T, w NDPOptions) {
	var b [2048]byte
	for o, ok := w.Next(); ok; o, ok = w.Next() {
		if m, ok := o.LinkAddr(); ok {
			PutNDPLinkAddr(b[:], o.Type(), m)
			if got, _ := (NDPOption{b[:NDPLinkAddrLen]}).LinkAddr(); got != m {
				t.Fatalf("%v became %v", m, got)
			}
		}
		if mtu, ok := o.MTU(); ok {
			PutNDPMTU(b[:], mtu)
			if got, _ := (NDPOption{b[:NDPMTULen]}).MTU(); got != mtu {
				t.Fatalf("%v became %v", mtu, got)
			}
		}
		if p, ok := o.Prefix(); ok {
			PutNDPPrefix(b[:], p)
			if got, _ := (NDPOption{b[:NDPPrefixLen]}).Prefix(); got != p {
				t.Fatalf("%v became %v", p, got)
			}
		}
		if r, ok := o.Route(); ok {
			clear(r.Prefix[routeLen(r.Bits)-8:])
			n := PutNDPRoute(b[:], r)
			if got, ok := (NDPOption{b[:n]}).Route(); !ok || got != r {
				t.Fatalf("%v became %v", r, got)
			}
		}
		if s, ok := o.RDNSS(); ok {
			var ips [][16]byte
			for i := range s.Len() {
				ips = append(ips, s.At(i).As16())
			}
			n := PutNDPRDNSS(b[:], s.Lifetime(), ips...)
			if !bytes.Equal(b[4:n], o.Bytes()[4:]) {
				t.Fatalf("% x became % x", o.Bytes(), b[:n])
			}
		}
		if p, ok := o.Redirected(); ok {
			n := PutNDPRedirected(b[:], p)
			if !bytes.Equal(b[8:n], o.Bytes()[8:]) {
				t.Fatalf("% x became % x", o.Bytes(), b[:n])
			}
		}
	}
}
