package icmp4_test

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/icmp4"
	"github.com/knitnet/knit/network/internal/hosttest"
	"github.com/knitnet/knit/network/ip4"
	"github.com/knitnet/knit/wire"
)

func host(t testing.TB) (h *hosttest.Host, eth *hosttest.Port) {
	h = hosttest.New(t, ip4.Module, icmp4.Module)
	return h, h.Port(t, link.Info{Name: "eth"}, "10.0.0.1/24")
}

func from(src, dst string) wire.IPv4Fields {
	return wire.IPv4Fields{Src: hosttest.A4(src), Dst: hosttest.A4(dst), Protocol: wire.ProtoUDP}
}

func payload(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 7)
	}
	return b
}

func receive4(p *hosttest.Port, packets ...[]byte) { p.Receive(wire.EtherTypeIPv4, packets...) }

// messages returns the ICMP messages that were sent, which must be sound.
func messages(t *testing.T, p *hosttest.Port) (hs []wire.IPv4, ms []wire.ICMP4) {
	t.Helper()
	for _, b := range p.Take() {
		h, ok := wire.ParseIPv4(b)
		if !ok || !h.ChecksumOK() || h.Protocol() != wire.ProtoICMP {
			t.Fatalf("sent % x, want ICMP", b)
		}
		m, ok := wire.ParseICMP4(h.Payload())
		if !ok || !m.ChecksumOK() {
			t.Fatalf("sent % x: bad message", b)
		}
		hs, ms = append(hs, h), append(ms, m)
	}
	return hs, ms
}

func one(t *testing.T, p *hosttest.Port) (wire.IPv4, wire.ICMP4) {
	t.Helper()
	hs, ms := messages(t, p)
	if len(hs) != 1 {
		t.Fatalf("%d messages, want 1", len(hs))
	}
	return hs[0], ms[0]
}

// TestEcho holds RFC 1122 §3.2.2.6: data in the request "MUST be entirely included
// in the resulting Echo Reply", whose source is the address that was asked.
func TestEcho(t *testing.T) {
	h, eth := host(t)
	h.Addr(t, eth.Dev, "10.0.9.1/24")
	for _, n := range []int{0, 1, 56, 281, 282, 283, 500, 1472, 5000} {
		f := from("10.0.0.2", "10.0.9.1")
		f.TOS = 0x28
		eth.Dev.SetMTU(9000)
		receive4(eth, hosttest.ICMP4(f, wire.ICMP4Echo, 0, wire.ICMPEchoRest(0x1234, 7), payload(n)))
		v, m := one(t, eth)
		if m.Type() != wire.ICMP4EchoReply || m.Code() != 0 || m.ID() != 0x1234 || m.Seq() != 7 || !bytes.Equal(m.Payload(), payload(n)) {
			t.Errorf("%d bytes: type %d, id %#x, %d bytes", n, m.Type(), m.ID(), len(m.Payload()))
		}
		if v.Src4() != f.Dst || v.Dst4() != f.Src || v.TOS() != 0x28 || v.TTL() != 64 {
			t.Errorf("%d bytes: from %v to %v, TOS %#x, TTL %d", n, v.Src(), v.Dst(), v.TOS(), v.TTL())
		}
	}
	if h.Stat(t, "Icmp", "InEchos") != 9 || h.Stat(t, "Icmp", "OutEchoReps") != 9 || h.Stat(t, "IcmpMsg", "InType8") != 9 {
		t.Error("statistics")
	}
}

// TestEchoInFragments: up to the largest datagram, both ways.
func TestEchoInFragments(t *testing.T) {
	a, b := hosttest.New(t, ip4.Module, icmp4.Module), hosttest.New(t, ip4.Module, icmp4.Module)
	hosttest.Join(t, a, b, link.Info{}, "10.0.0.1/24", "10.0.0.2/24")
	var got []byte
	undo := a.Net.SetRaw(network.V4, wire.ProtoICMP, rawFunc(func(pkt *packet.Packet) { got = hosttest.Bytes(pkt) }))
	defer undo()
	for _, n := range []int{0, 1472, 1473, 3000, 65507} {
		m := make([]byte, wire.ICMPLen+n)
		wire.PutICMP4(m, wire.ICMP4Echo, 0, 99)
		copy(m[8:], payload(n))
		wire.FinishICMP4(m)
		got = nil
		a.Send(t, network.Send{Proto: wire.ProtoICMP}, "10.0.0.2", m)
		if len(got) != len(m) || got[0] != wire.ICMP4EchoReply || !bytes.Equal(got[4:], m[4:]) {
			t.Errorf("%d bytes: got %d back", n, len(got))
		}
	}
}

type rawFunc func(*packet.Packet)

func (f rawFunc) RawInput(_ network.Version, pkt *packet.Packet) bool { f(pkt); return true }
func (f rawFunc) RawError(*network.Error)                             {}

func TestEchoIsIgnored(t *testing.T) {
	h, eth := host(t)
	ask := func(dst string) int {
		receive4(eth, hosttest.ICMP4(from("10.0.0.2", dst), wire.ICMP4Echo, 0, 1, payload(8)))
		hs, _ := messages(t, eth)
		for _, v := range hs {
			if v.Src4() != hosttest.A4("10.0.0.1") {
				t.Errorf("answer to %s from %v", dst, v.Src())
			}
		}
		return len(hs)
	}
	for _, c := range []struct {
		dst, name, value string
		want             int
	}{
		{"10.0.0.255", "broadcasts", "1", 0}, {"224.0.0.1", "broadcasts", "1", 0},
		{"10.0.0.255", "broadcasts", "0", 1}, {"224.0.0.1", "broadcasts", "0", 1},
		{"10.0.0.1", "all", "1", 0}, {"10.0.0.1", "all", "0", 1},
	} {
		h.Set(t, "net.ipv4.icmp_echo_ignore_"+c.name, c.value)
		if n := ask(c.dst); n != c.want {
			t.Errorf("echo_ignore_%s=%s, to %s: %d answers, want %d", c.name, c.value, c.dst, n, c.want)
		}
	}
}

// TestEchoOptions: RFC 1122 §3.2.2.6: record route and timestamp are returned with
// this host in them, a source route reversed.
func TestEchoOptions(t *testing.T) {
	h, eth := host(t)
	rr := append([]byte{7, 15, 4}, make([]byte, 12)...)
	f := from("10.0.0.2", "10.0.0.1")
	f.Options = rr
	receive4(eth, hosttest.ICMP4(f, wire.ICMP4Echo, 0, 1, payload(8)))
	v, _ := one(t, eth)
	// Once as the destination of the request, once as the source of the answer.
	if want := []byte{7, 15, 12, 10, 0, 0, 1, 10, 0, 0, 1, 0, 0, 0, 0, 0}; !bytes.Equal(v.Options(), want) {
		t.Errorf("options % x, want % x", v.Options(), want)
	}
	for _, name := range []string{"all", "eth"} {
		h.Set(t, "net.ipv4.conf."+name+".accept_source_route", "1")
	}
	f.Options = []byte{131, 11, 12, 10, 0, 0, 7, 10, 0, 0, 8}
	receive4(eth, hosttest.ICMP4(f, wire.ICMP4Echo, 0, 1, payload(8)))
	v, _ = one(t, eth)
	if want := []byte{131, 11, 4, 10, 0, 0, 7, 10, 0, 0, 2, 0}; v.Dst4() != hosttest.A4("10.0.0.8") || !bytes.Equal(v.Options(), want) {
		t.Errorf("to %v, options % x, want 10.0.0.8 and % x", v.Dst(), v.Options(), want)
	}
}

// TestTimestamp: RFC 792: milliseconds since midnight UT; the virtual clock begins
// at midnight.
func TestTimestamp(t *testing.T) {
	h, eth := host(t)
	h.Advance(1500 * time.Millisecond)
	body := []byte{0, 0, 0, 9, 1, 1, 1, 1, 2, 2, 2, 2}
	receive4(eth, hosttest.ICMP4(from("10.0.0.2", "10.0.0.1"), wire.ICMP4Timestamp, 0, 5, body))
	_, m := one(t, eth)
	p := m.Payload()
	if m.Type() != wire.ICMP4TimestampReply || len(p) != 12 || binary.BigEndian.Uint32(p) != 9 ||
		binary.BigEndian.Uint32(p[4:]) != 1500 || binary.BigEndian.Uint32(p[8:]) != 1500 {
		t.Errorf("type %d, % x", m.Type(), p)
	}
	receive4(eth, hosttest.ICMP4(from("10.0.0.2", "10.0.0.1"), wire.ICMP4Timestamp, 0, 5, body[:11]))
	if hs, _ := messages(t, eth); len(hs) != 0 || h.Stat(t, "Icmp", "InErrors") != 1 {
		t.Error("a short request was answered")
	}
}

func TestDamagedMessages(t *testing.T) {
	h, eth := host(t)
	b := hosttest.ICMP4(from("10.0.0.2", "10.0.0.1"), wire.ICMP4Echo, 0, 1, payload(8))
	b[len(b)-1]++
	f := from("10.0.0.2", "10.0.0.1")
	f.Protocol = wire.ProtoICMP
	receive4(eth, b, hosttest.IPv4(f, []byte{8, 0, 0xf7, 0xff}),
		hosttest.ICMP4(from("10.0.0.2", "10.0.0.1"), 99, 0, 1, payload(8))) // unknown: silently discarded
	if hs, _ := messages(t, eth); len(hs) != 0 {
		t.Errorf("%d answers", len(hs))
	}
	if h.Stat(t, "Icmp", "InMsgs") != 3 || h.Stat(t, "Icmp", "InErrors") != 2 || h.Stat(t, "Icmp", "InCsumErrors") != 1 {
		t.Error("statistics")
	}
}

// errorAbout lets the host send an error about a packet that came in by eth.
func errorAbout(h *hosttest.Host, eth *hosttest.Port, kind packet.Kind, b []byte) {
	pkt := h.Pool.Get()
	pkt.Append(b)
	pkt.Ensure(min(60, len(b)))
	pkt.In, pkt.Kind, pkt.L3, pkt.Proto = eth.Dev.Index(), kind, uint16(pkt.Offset()), wire.EtherTypeIPv4
	pkt.Pull(20) // as the transports have it
	h.Net.SendError(network.V4, network.PortUnreachable, pkt)
	pkt.Consume()
}

// TestMustNots holds RFC 1122 §3.2.2: "An ICMP error message MUST NOT be sent as
// the result of receiving: ..."
func TestMustNots(t *testing.T) {
	icmpOf := func(typ uint8) []byte { return hosttest.ICMP4(from("10.0.0.2", "10.0.0.1"), typ, 0, 0, payload(40)) }
	fragment := from("10.0.0.2", "10.0.0.1")
	fragment.FragOffset = 8
	firstFragment := from("10.0.0.2", "10.0.0.1")
	firstFragment.MF = true
	for _, c := range []struct {
		name string
		kind packet.Kind
		b    []byte
		want int
	}{
		{"the usual", packet.Host, hosttest.IPv4(from("10.0.0.2", "10.0.0.1"), payload(40)), 1},
		{"an ICMP error message", packet.Host, icmpOf(wire.ICMP4Unreachable), 0},
		{"a redirect", packet.Host, icmpOf(wire.ICMP4Redirect), 0},
		{"an ICMP message that nobody knows", packet.Host, icmpOf(200), 0},
		{"an echo request", packet.Host, icmpOf(wire.ICMP4Echo), 1},
		{"a datagram destined to an IP broadcast address", packet.Host, hosttest.IPv4(from("10.0.0.2", "10.0.0.255"), payload(40)), 0},
		{"the limited broadcast", packet.Host, hosttest.IPv4(from("10.0.0.2", "255.255.255.255"), payload(40)), 0},
		{"or IP multicast address", packet.Host, hosttest.IPv4(from("10.0.0.2", "224.0.0.1"), payload(40)), 0},
		{"a datagram sent as a link-layer broadcast", packet.Broadcast, hosttest.IPv4(from("10.0.0.2", "10.0.0.1"), payload(40)), 0},
		{"as a link-layer multicast", packet.Multicast, hosttest.IPv4(from("10.0.0.2", "10.0.0.1"), payload(40)), 0},
		{"a non-initial fragment", packet.Host, hosttest.IPv4(fragment, payload(40)), 0},
		{"an initial one", packet.Host, hosttest.IPv4(firstFragment, payload(40)), 1},
		{"source: a zero address", packet.Host, hosttest.IPv4(from("0.0.0.0", "10.0.0.1"), payload(40)), 0},
		{"a loopback address", packet.Host, hosttest.IPv4(from("127.0.0.1", "10.0.0.1"), payload(40)), 0},
		{"a broadcast address", packet.Host, hosttest.IPv4(from("10.0.0.255", "10.0.0.1"), payload(40)), 0},
		{"a multicast address", packet.Host, hosttest.IPv4(from("224.0.0.9", "10.0.0.1"), payload(40)), 0},
		{"a Class E address", packet.Host, hosttest.IPv4(from("240.0.0.9", "10.0.0.1"), payload(40)), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, eth := host(t)
			errorAbout(h, eth, c.kind, c.b)
			if hs, _ := messages(t, eth); len(hs) != c.want {
				t.Errorf("%d errors, want %d", len(hs), c.want)
			}
		})
	}
}

// TestQuote: RFC 1812 §4.3.2.3: as much as fits into 576 bytes, from the IP header
// on; and what another library reads in it.
func TestQuote(t *testing.T) {
	h, eth := host(t)
	for _, n := range []int{0, 8, 100, 520, 528, 529, 1400} {
		f := from("10.0.0.2", "10.0.0.1")
		f.TOS = 0x1f
		b := hosttest.IPv4(f, payload(n))
		h.Advance(time.Minute)
		errorAbout(h, eth, packet.Host, b)
		sent := eth.Take()
		if len(sent) != 1 || len(sent[0]) > 576 {
			t.Fatalf("%d bytes: sent %d", n, len(sent))
		}
		p := gopacket.NewPacket(sent[0], layers.LayerTypeIPv4, gopacket.Default)
		v, ok := p.NetworkLayer().(*layers.IPv4)
		m, ok2 := p.Layer(layers.LayerTypeICMPv4).(*layers.ICMPv4)
		if !ok || !ok2 {
			t.Fatal(p.ErrorLayer())
		}
		if m.TypeCode != layers.CreateICMPv4TypeCode(3, 3) || v.TOS != 0xc0|0x1e || v.Flags&layers.IPv4DontFragment != 0 {
			t.Errorf("%d bytes: %v, TOS %#x, flags %v", n, m.TypeCode, v.TOS, v.Flags)
		}
		if want := b[:min(len(b), 548)]; !bytes.Equal(m.Payload, want) {
			t.Errorf("%d bytes: quotes %d bytes, want %d", n, len(m.Payload), len(want))
		}
	}
}

// TestRateLimit: six at once and one per second to one host (icmp_ratelimit), and no
// more than icmp_msgs_per_sec to all; what path MTU discovery needs is not limited.
func TestRateLimit(t *testing.T) {
	h, eth := host(t)
	flood := func(n int, src string) int {
		for range n {
			errorAbout(h, eth, packet.Host, hosttest.IPv4(from(src, "10.0.0.1"), payload(40)))
		}
		hs, _ := messages(t, eth)
		return len(hs)
	}
	if n := flood(20, "10.0.0.2"); n != 6 {
		t.Errorf("%d errors at once, want 6", n)
	}
	h.Advance(3 * time.Second)
	if n := flood(20, "10.0.0.2"); n != 3 {
		t.Errorf("%d errors after 3 s, want 3", n)
	}
	h.Advance(time.Minute)
	total := 0
	for i := range 100 {
		total += flood(1, netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 10)}).String())
	}
	if total < 20 || total > 50 {
		t.Errorf("%d errors to 100 hosts at once, want at most the burst of 50, and half of it at least", total)
	}
	if h.Stat(t, "Icmp", "OutRateLimitHost") == 0 || h.Stat(t, "Icmp", "OutRateLimitGlobal") == 0 {
		t.Error("statistics")
	}
	h.Set(t, "net.ipv4.icmp_ratemask", "0")
	if n := flood(100, "10.0.0.2"); n != 100 {
		t.Errorf("%d of 100 errors without a rate mask", n)
	}
}

// TestLocalSender: an error about a packet of this host reaches its own transport.
func TestLocalSender(t *testing.T) {
	h, _ := host(t)
	sink := h.Sink(t, wire.ProtoUDP)
	pkt := h.Pool.Get()
	pkt.Append(hosttest.IPv4(from("10.0.0.1", "10.0.0.7"), payload(40)))
	pkt.L3, pkt.Proto = uint16(pkt.Offset()), wire.EtherTypeIPv4
	h.Net.SendError(network.V4, network.HostUnreachable, pkt)
	pkt.Consume()
	if len(sink.Errors) != 1 || sink.Errors[0].Kind != network.HostUnreachable || sink.Errors[0].Dst != netip.MustParseAddr("10.0.0.7") {
		t.Errorf("errors %+v", sink.Errors)
	}
}

// TestDelivery: what a transport hears of an error, by type and code.
func TestDelivery(t *testing.T) {
	for _, c := range []struct {
		typ, code uint8
		rest      uint32
		want      network.ErrorKind
		nothing   bool
		mtu       int
	}{
		{typ: 3, code: 0, want: network.NetUnreachable}, {typ: 3, code: 1, want: network.HostUnreachable},
		{typ: 3, code: 2, want: network.ProtoUnreachable}, {typ: 3, code: 3, want: network.PortUnreachable},
		{typ: 3, code: 4, rest: 1400, want: network.PacketTooBig, mtu: 1400},
		{typ: 3, code: 4, rest: 0, want: network.PacketTooBig, mtu: 1006}, // the next plateau (RFC 1191 §5)
		{typ: 3, code: 4, rest: 1, want: network.PacketTooBig, mtu: 68},
		{typ: 3, code: 5, want: network.SourceRouteFailed}, {typ: 3, code: 6, want: network.NetUnreachable},
		{typ: 3, code: 7, want: network.HostUnreachable}, {typ: 3, code: 9, want: network.AdminProhibited},
		{typ: 3, code: 13, want: network.AdminProhibited}, {typ: 3, code: 16, nothing: true},
		{typ: 4, nothing: true}, // "A host MUST silently discard" (RFC 6633 §4)
		{typ: 11, code: 0, want: network.TimeExceeded}, {typ: 11, code: 1, want: network.ReassemblyTimeExceeded},
		{typ: 12, rest: 9 << 24, want: network.ParameterProblem},
	} {
		h, eth := host(t)
		sink := h.Sink(t, wire.ProtoUDP)
		quoted := hosttest.IPv4(from("10.0.0.1", "192.0.2.1"), payload(1200))
		receive4(eth, hosttest.ICMP4(from("10.0.0.254", "10.0.0.1"), c.typ, c.code, c.rest, quoted[:28]))
		if c.nothing {
			if len(sink.Errors) != 0 {
				t.Errorf("type %d code %d: %+v", c.typ, c.code, sink.Errors)
			}
			continue
		}
		if len(sink.Errors) != 1 {
			t.Errorf("type %d code %d: %d errors", c.typ, c.code, len(sink.Errors))
			continue
		}
		e := sink.Errors[0]
		if e.Kind != c.want || e.MTU != c.mtu || e.From.String() != "10.0.0.254" || e.Src.String() != "10.0.0.1" || e.Dst.String() != "192.0.2.1" ||
			e.Type != c.typ || e.Code != c.code || e.Pointer != c.rest>>24 || !bytes.Equal(e.Payload, payload(8)) || e.Index != eth.Dev.Index() {
			t.Errorf("type %d code %d: %+v", c.typ, c.code, e)
		}
	}
}

// TestErrorsThatSayNothing: about packets of others, of fragments, too short.
func TestErrorsThatSayNothing(t *testing.T) {
	h, eth := host(t)
	sink := h.Sink(t, wire.ProtoUDP)
	f := from("10.0.0.1", "192.0.2.1")
	later := f
	later.FragOffset = 80
	for _, quoted := range [][]byte{
		hosttest.IPv4(from("10.0.0.9", "192.0.2.1"), payload(8)), hosttest.IPv4(later, payload(8)),
		hosttest.IPv4(f, payload(8))[:27], {}, payload(20),
	} {
		receive4(eth, hosttest.ICMP4(from("10.0.0.254", "10.0.0.1"), 3, 3, 0, quoted))
	}
	if len(sink.Errors) != 0 {
		t.Errorf("errors %+v", sink.Errors)
	}
}

// TestExtensions: what a router appends (RFC 4884) is not taken for the packet.
func TestExtensions(t *testing.T) {
	h, eth := host(t)
	sink := h.Sink(t, wire.ProtoUDP)
	quoted := make([]byte, wire.ICMPExtQuote)
	copy(quoted, hosttest.IPv4(from("10.0.0.1", "192.0.2.1"), payload(400)))
	ext := make([]byte, wire.ICMPExtHeaderLen+8)
	wire.PutICMPExtObject(ext[wire.ICMPExtHeaderLen:], wire.ICMPExtMPLS, 1, []byte{1, 2, 3, 4})
	wire.FinishICMPExt(ext)
	receive4(eth, hosttest.ICMP4(from("10.0.0.254", "10.0.0.1"), 11, 0, wire.ICMPExtQuote/4<<16, append(quoted, ext...)))
	if len(sink.Errors) != 1 || len(sink.Errors[0].Payload) != wire.ICMPExtQuote-wire.IPv4Len {
		t.Errorf("errors %+v", sink.Errors)
	}
}

// TestRedirectIsFollowed holds RFC 1122 §3.2.2.2.
func TestRedirectIsFollowed(t *testing.T) {
	setup := func(t *testing.T) (h *hosttest.Host, eth *hosttest.Port, hop func() string) {
		h, eth = host(t)
		h.Port(t, link.Info{Name: "other"}, "10.7.0.1/24")
		route4(t, h, "0.0.0.0/0", "10.0.0.254")
		return h, eth, func() string {
			p, err := h.Net.Resolve(network.Flow{Dst: netip.MustParseAddr("192.0.2.1")})
			if err != nil {
				t.Fatal(err)
			}
			return p.NextHop.String()
		}
	}
	redirect := func(eth *hosttest.Port, who, gateway string) {
		gw := hosttest.A4(gateway)
		quoted := hosttest.IPv4(from("10.0.0.1", "192.0.2.1"), payload(8))
		receive4(eth, hosttest.ICMP4(from(who, "10.0.0.1"), wire.ICMP4Redirect, wire.ICMP4RedirectHost, binary.BigEndian.Uint32(gw[:]), quoted))
	}
	t.Run("by the first hop to a neighbour", func(t *testing.T) {
		h, eth, hop := setup(t)
		redirect(eth, "10.0.0.254", "10.0.0.253")
		if hop() != "10.0.0.253" {
			t.Errorf("next hop %s", hop())
		}
		redirect(eth, "10.0.0.254", "10.0.0.252") // not the first hop any more
		if hop() != "10.0.0.253" {
			t.Errorf("next hop %s", hop())
		}
		h.Advance(6 * time.Minute)
		h.Net.Invalidate()
		if hop() != "10.0.0.254" {
			t.Errorf("next hop %s after the redirect's life", hop())
		}
	})
	for name, c := range map[string]struct{ who, gateway string }{
		"by another":             {"10.0.0.250", "10.0.0.253"},
		"to another subnet":      {"10.0.0.254", "10.7.0.9"},
		"to ourselves":           {"10.0.0.254", "10.0.0.1"},
		"to the broadcast":       {"10.0.0.254", "10.0.0.255"},
		"to nowhere in our link": {"10.0.0.254", "192.0.2.7"},
	} {
		t.Run(name, func(t *testing.T) {
			_, eth, hop := setup(t)
			redirect(eth, c.who, c.gateway)
			if hop() != "10.0.0.254" {
				t.Errorf("next hop %s", hop())
			}
		})
	}
	t.Run("not wanted", func(t *testing.T) {
		h, eth, hop := setup(t)
		h.Set(t, "net.ipv4.conf.all.accept_redirects", "0")
		h.Set(t, "net.ipv4.conf.eth.accept_redirects", "0")
		redirect(eth, "10.0.0.254", "10.0.0.253")
		if hop() != "10.0.0.254" {
			t.Errorf("next hop %s", hop())
		}
	})
	t.Run("a router wants both switches", func(t *testing.T) {
		h, eth, hop := setup(t)
		h.Set(t, "net.ipv4.ip_forward", "1")
		h.Set(t, "net.ipv4.conf.all.accept_redirects", "0")
		redirect(eth, "10.0.0.254", "10.0.0.253")
		if hop() != "10.0.0.254" {
			t.Errorf("next hop %s", hop())
		}
	})
}
