package icmp6_test

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/internal/ip6test"
	"github.com/knitnet/knit/wire"
)

// TestEcho: "the data received in the ICMPv6 Echo Request message MUST be returned
// entirely and unmodified in the ICMPv6 Echo Reply message" (RFC 4443 §4.2). The
// reply is read by gopacket too.
func TestEcho(t *testing.T) {
	w := ip6test.NewNet(t, 1)
	for _, n := range []int{0, 1, 56, 500, 1452} {
		frames := w.Inject(1, ip6test.ICMP(ip6test.Stranger, ip6test.IP(1), 64, ip6test.Echo(n)))
		m := ip6test.Messages(t, frames, wire.ICMP6EchoReply)
		if len(m) != 1 || m[0].ID() != 0x1234 || m[0].Seq() != 1 || !bytes.Equal(m[0].Payload(), ip6test.Echo(n)[8:]) ||
			m[0].IP.Src() != ip6test.IP(1) || m[0].IP.Dst() != ip6test.Stranger || m[0].Dst != ip6test.StrangerMAC {
			t.Fatalf("%d bytes: %x", n, frames)
		}
		p := gopacket.NewPacket(frames[0], layers.LayerTypeEthernet, gopacket.Default)
		reply, ok := p.Layer(layers.LayerTypeICMPv6).(*layers.ICMPv6)
		if !ok || p.ErrorLayer() != nil || reply.TypeCode.Type() != layers.ICMPv6TypeEchoReply {
			t.Errorf("gopacket reads %v", p)
		}
	}
}

// TestEchoToGroup: "the source address of the reply MUST be a unicast address
// belonging to the interface on which the message was received" (RFC 4443 §4.2).
func TestEchoToGroup(t *testing.T) {
	w := ip6test.NewNet(t, 2)
	group := netip.MustParseAddr("ff02::1")
	m := ip6test.Messages(t, w.Inject(0, ip6test.ICMP(ip6test.Stranger, group, 64, ip6test.Echo(4))), wire.ICMP6EchoReply)
	if len(m) != 2 || m[0].IP.Src() != ip6test.IP(1) || m[1].IP.Src() != ip6test.IP(2) {
		t.Errorf("%d replies %v", len(m), m)
	}
	w.Hosts[0].Set("net.ipv6.icmp.echo_ignore_multicast", "1")
	w.Hosts[1].Set("net.ipv6.icmp.echo_ignore_all", "1")
	if f := w.Inject(0, ip6test.ICMP(ip6test.Stranger, group, 64, ip6test.Echo(4))); len(f) != 0 {
		t.Errorf("answered although told not to: %x", f)
	}
}

func TestBadChecksumIsDropped(t *testing.T) {
	w := ip6test.NewNet(t, 1)
	p := ip6test.ICMP(ip6test.Stranger, ip6test.IP(1), 64, ip6test.Echo(4))
	p[len(p)-1] ^= 1
	if f := w.Inject(1, p); len(f) != 0 || w.Hosts[0].Stat("Icmp6", "InCsumErrors") != 1 {
		t.Errorf("answered %x, InCsumErrors %d", f, w.Hosts[0].Stat("Icmp6", "InCsumErrors"))
	}
}

// TestNoErrorAbout holds RFC 4443 §2.4 (e) against what is answered: packets that
// must not be, in the form of an unknown protocol behind them or on their way.
func TestNoErrorAbout(t *testing.T) {
	w := ip6test.NewNet(t, 1)
	options := []byte{200, 0, 1, 4, 0, 0, 0, 0, 1, 2, 3, 4} // destination options, then protocol 200
	for _, tt := range []struct {
		name     string
		src, dst netip.Addr
		want     int
	}{
		{"a packet like others", ip6test.Stranger, ip6test.IP(1), 1},
		{"(e.3) to a group", ip6test.Stranger, netip.MustParseAddr("ff02::1"), 0},
		{"(e.6) from nobody", netip.IPv6Unspecified(), ip6test.IP(1), 0},
		{"(e.6) from a group", netip.MustParseAddr("ff02::5"), ip6test.IP(1), 0},
	} {
		p := ip6test.Packet(tt.src, tt.dst, wire.ProtoDstOpts, 64, options)
		if f := w.Inject(1, p); len(ip6test.Messages(t, f, wire.ICMP6ParamProblem)) != tt.want || len(f) != tt.want {
			t.Errorf("%s: answered by %d frames, want %d", tt.name, len(f), tt.want)
		}
	}
	// (e.4), (e.5): link-layer multicast and broadcast with a unicast destination.
	for _, mac := range []wire.MAC{wire.BroadcastMAC(), {0x33, 0x33, 0, 0, 0, 1}} {
		frame := make([]byte, wire.EthernetLen)
		wire.PutEthernet(frame, mac, ip6test.StrangerMAC, wire.EtherTypeIPv6)
		w.Ether.Inject(append(frame, ip6test.Packet(ip6test.Stranger, ip6test.IP(1), wire.ProtoDstOpts, 64, options)...))
		if f := w.Ether.Frames(); len(f) != 1 {
			t.Errorf("sent to %v: answered by %x", mac, f[1:])
		}
	}
	// (e.1), (e.2): about errors and redirects. A hop limit of 1 on the way would be
	// told of otherwise.
	w.Hosts[0].Set("net.ipv6.conf.all.forwarding", "1")
	w.Settle()
	for typ, want := range map[uint8]int{
		wire.ICMP6Unreachable: 0, wire.ICMP6PacketTooBig: 0, 100: 0, wire.ICMP6Redirect: 0, wire.ICMP6Echo: 1, wire.ICMP6EchoReply: 1, 200: 1,
	} {
		b := make([]byte, 48)
		wire.PutICMP6(b, typ, 0, 0)
		f := w.Inject(1, ip6test.ICMP(ip6test.Stranger, netip.MustParseAddr("fd09::1"), 1, b))
		if n := len(ip6test.Messages(t, f, wire.ICMP6TimeExceeded)); n != want {
			t.Errorf("%d errors about a message of type %d, want %d", n, typ, want)
		}
	}
}

// TestQuote: "as much of invoking packet as possible without the ICMPv6 packet
// exceeding the minimum IPv6 MTU" (RFC 4443 §3.1).
func TestQuote(t *testing.T) {
	w := ip6test.NewNet(t, 1)
	for _, n := range []int{0, 8, 1191, 1192, 1193, 1400} {
		p := ip6test.Packet(ip6test.Stranger, ip6test.IP(1), 253, 64, bytes.Repeat([]byte{7}, n))
		f := w.Inject(1, p)
		m := ip6test.Messages(t, f, wire.ICMP6ParamProblem)
		if len(m) != 1 || !bytes.Equal(m[0].Payload(), p[:min(len(p), 1232)]) || len(f[0]) > 14+1280 {
			t.Errorf("%d bytes: %d messages", n, len(m))
		}
		w.Clock.Advance(10e9)
		w.Ether.Frames()
	}
}

// TestRateLimit: RFC 4443 §2.4 (f): a burst to one destination, then one error for
// each interval; and packets that are too big are always told of.
func TestRateLimit(t *testing.T) {
	w := ip6test.NewNet(t, 1)
	unknown := ip6test.Packet(ip6test.Stranger, ip6test.IP(1), 253, 64, nil)
	flood := func(n int) (answers int) {
		for range n {
			answers += len(w.Inject(1, unknown))
		}
		return answers
	}
	if n := flood(100); n != 6 {
		t.Errorf("%d errors at once, want 6", n)
	}
	for range 3 {
		w.Clock.Advance(1e9)
		w.Ether.Frames()
		if n := flood(100); n != 1 {
			t.Errorf("%d errors after another second, want 1", n)
		}
	}
	if n := w.Hosts[0].Stat("Icmp6", "OutRateLimitHost"); n != 94+3*99 {
		t.Errorf("%d counted as held back", n)
	}
	w.Hosts[0].Set("net.ipv6.icmp.ratelimit", "0")
	w.Clock.Advance(1e9)
	w.Ether.Frames()
	if n := flood(100); n != 50 {
		t.Errorf("%d errors at once without a limit for one destination, want the burst of all: 50", n)
	}
}

// A listener is a transport that keeps the errors it hears of.
type listener struct{ errors []network.Error }

func (l *listener) Input(q *packet.Queue) { q.Consume() }

func (l *listener) Error(e *network.Error) {
	c := *e
	c.Payload = bytes.Clone(e.Payload)
	l.errors = append(l.errors, c)
}

// TestReceivedErrors: each type and code becomes what both IP versions have in
// common, with the packet it is about, whatever headers that has.
func TestReceivedErrors(t *testing.T) {
	w := ip6test.NewNet(t, 1)
	a := w.Hosts[0]
	l := new(listener)
	undo, err := a.Net.Handle(network.V6, wire.ProtoUDP, l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(undo)
	far := netip.MustParseAddr("2001:db8::1")
	udp := []byte{0, 7, 0, 9, 0, 16, 1, 2, 'p', 'a', 'y', 'l', 'o', 'a', 'd', '!'}
	options := append([]byte{wire.ProtoUDP, 0, 1, 4, 0, 0, 0, 0}, udp...)
	plain := ip6test.Packet(ip6test.IP(1), far, wire.ProtoUDP, 64, udp)
	ext := ip6test.Packet(ip6test.IP(1), far, wire.ProtoDstOpts, 64, options)
	big := ip6test.Packet(ip6test.IP(1), far, wire.ProtoUDP, 64, append(udp, make([]byte, 1430)...))
	for _, tt := range []struct {
		name      string
		typ, code uint8
		rest      uint32
		quoted    []byte
		want      network.ErrorKind
		ok        bool
	}{
		{"no route", 1, 0, 0, plain, network.NetUnreachable, true},
		{"prohibited", 1, 1, 0, plain, network.AdminProhibited, true},
		{"beyond scope", 1, 2, 0, plain, network.BeyondScope, true},
		{"address", 1, 3, 0, plain, network.HostUnreachable, true},
		{"port, behind an extension header", 1, 4, 0, ext, network.PortUnreachable, true},
		{"policy", 1, 5, 0, plain, network.AdminProhibited, true},
		{"a code of the future", 1, 99, 0, plain, network.HostUnreachable, true},
		{"too big", 2, 0, 1300, big, network.PacketTooBig, true},
		{"too big for less than IPv6 needs (RFC 8201 §4)", 2, 0, 1279, big, 0, false},
		{"too big for an MTU into which it fits", 2, 0, 1490, big, 0, false},
		{"hop limit", 3, 0, 0, plain, network.TimeExceeded, true},
		{"reassembly", 3, 1, 0, plain, network.ReassemblyTimeExceeded, true},
		{"next header", 4, 1, 6, plain, network.ProtoUnreachable, true},
		{"option", 4, 2, 40, ext, network.ParameterProblem, true},
		{"a type of the future (RFC 4443 §2.4 (a))", 77, 0, 0, plain, network.ParameterProblem, true},
		{"about a packet of somebody else", 1, 4, 0, ip6test.Packet(far, ip6test.IP(1), wire.ProtoUDP, 64, udp), 0, false},
		{"about half a header", 1, 4, 0, plain[:44], 0, false},
		{"about nothing", 1, 4, 0, nil, 0, false},
	} {
		l.errors = nil
		msg := make([]byte, wire.ICMPLen, 1280)
		wire.PutICMP6(msg, tt.typ, tt.code, tt.rest)
		w.Inject(1, ip6test.ICMP(ip6test.Stranger, ip6test.IP(1), 64, append(msg, tt.quoted[:min(len(tt.quoted), 1232)]...)))
		if !tt.ok {
			if len(l.errors) != 0 {
				t.Errorf("%s: believed", tt.name)
			}
			continue
		}
		if len(l.errors) != 1 {
			t.Errorf("%s: %d errors delivered", tt.name, len(l.errors))
			continue
		}
		e := l.errors[0]
		if e.Kind != tt.want || e.Dst != far || e.Src != ip6test.IP(1) || e.From != ip6test.Stranger || e.Index != a.Dev.Index() ||
			e.Type != tt.typ || e.Code != tt.code || !bytes.HasPrefix(e.Payload, udp[:8]) {
			t.Errorf("%s: %+v", tt.name, e)
		}
		if e.Kind == network.PacketTooBig && e.MTU != int(tt.rest) {
			t.Errorf("%s: MTU %d, want %d", tt.name, e.MTU, tt.rest)
		}
	}
}

// TestExtensionStructure: what follows the quoted packet (RFC 4884) is not taken for
// a part of it.
func TestExtensionStructure(t *testing.T) {
	w := ip6test.NewNet(t, 1)
	l := new(listener)
	undo, err := w.Hosts[0].Net.Handle(network.V6, wire.ProtoUDP, l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(undo)
	inner := ip6test.Packet(ip6test.IP(1), ip6test.Stranger, wire.ProtoUDP, 64, make([]byte, 60))
	n := wire.ICMPExtQuoteLen(len(inner), true)
	msg := make([]byte, wire.ICMPLen+n+wire.ICMPExtHeaderLen+8)
	wire.PutICMP6(msg, wire.ICMP6TimeExceeded, 0, 0)
	copy(msg[wire.ICMPLen:], inner)
	m, _ := wire.ParseICMP6(msg)
	m.SetQuoteLen(n)
	wire.PutICMPExtObject(msg[wire.ICMPLen+n+wire.ICMPExtHeaderLen:], wire.ICMPExtMPLS, 1, []byte{1, 2, 3, 4})
	wire.FinishICMPExt(msg[wire.ICMPLen+n:])
	w.Inject(1, ip6test.ICMP(ip6test.Stranger, ip6test.IP(1), 64, msg))
	if len(l.errors) != 1 || len(l.errors[0].Payload) != n-wire.IPv6Len {
		t.Errorf("errors %+v, want one with %d bytes", l.errors, n-wire.IPv6Len)
	}
}

// TestUnknownTypes: "silently discarded" (RFC 4443 §2.4 (b)).
func TestUnknownTypes(t *testing.T) {
	w := ip6test.NewNet(t, 1)
	for _, typ := range []uint8{wire.ICMP6ExtendedEcho, 200, 255} {
		b := make([]byte, 16)
		wire.PutICMP6(b, typ, 0, 0)
		if f := w.Inject(1, ip6test.ICMP(ip6test.Stranger, ip6test.IP(1), 64, b)); len(f) != 0 {
			t.Errorf("type %d is answered by %x", typ, f)
		}
	}
}

// FuzzMessage: any message, with a right checksum, in any state of the host.
func FuzzMessage(f *testing.F) {
	f.Add(ip6test.Echo(8), uint8(64))
	f.Add([]byte{1, 4, 0, 0, 0, 0, 0, 0}, uint8(64))
	inner := ip6test.Packet(ip6test.IP(1), ip6test.Stranger, wire.ProtoUDP, 64, make([]byte, 1300))
	f.Add(append([]byte{2, 0, 0, 0, 0, 0, 5, 0}, inner[:1200]...), uint8(1))
	f.Add(append([]byte{3, 0, 0, 0, 16, 0, 0, 0}, inner[:200]...), uint8(255))
	f.Fuzz(func(t *testing.T, b []byte, hops uint8) {
		w := ip6test.NewNet(t, 1)
		if len(b) < 4 || len(b) > 1400 {
			return
		}
		for _, frame := range w.Inject(1, ip6test.ICMP(ip6test.Stranger, ip6test.IP(1), hops, bytes.Clone(b))) {
			if len(ip6test.Messages(t, [][]byte{frame}, frame[14+40])) != 1 {
				t.Errorf("answered by %x", frame)
			}
		}
	})
}
