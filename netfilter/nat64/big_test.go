package nat64_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/network/frag"
	"github.com/knitnet/knit/wire"
)

// fragments4 cuts an IPv4 packet, with DF or without.
func (r *rig) fragments4(b []byte, mtu int, df bool, id uint16) (out [][]byte) {
	b = slices.Clone(b)
	b[6] = 0
	if df {
		b[6] = 0x40
	}
	binary.BigEndian.PutUint16(b[4:], id)
	h, _ := wire.ParseIPv4(b)
	h.UpdateHeaderChecksum()
	return r.split(b, func(pkt *packet.Packet, q *packet.Queue) { frag.Split4(pkt, mtu, q) })
}

func (r *rig) fragments6(b []byte, mtu int, id uint32) [][]byte {
	return r.split(b, func(pkt *packet.Packet, q *packet.Queue) { frag.Split6(pkt, wire.IPv6Len, 6, mtu, id, q) })
}

func (r *rig) split(b []byte, f func(*packet.Packet, *packet.Queue)) (out [][]byte) {
	pkt := r.k.Pool.Get()
	pkt.Append(b)
	pkt.Ensure(min(len(b), wire.IPv6Len))
	var q packet.Queue
	f(pkt, &q)
	for p := q.Pop(); p != nil; p = q.Pop() {
		x := make([]byte, p.Len())
		p.CopyOut(0, x)
		out = append(out, x)
		p.Consume()
	}
	return out
}

// TestFragmentsOut: RFC 6146 §3.4, RFC 7915 §5.1.1: fragments in any order are
// translated, into fragments of the same payload without DF and with the low bits of
// the identification.
func TestFragmentsOut(t *testing.T) {
	r := newRig(t)
	whole := udp(client, 4000, embed(server), 53, strings.Repeat("x", 3000))
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 0, 2}} {
		pieces := r.fragments6(whole, 1280, 0xdeadbeef)
		for _, i := range order {
			r.inside.put(pieces[i])
		}
		sent := r.outside.take()
		if len(sent) != 3 {
			t.Fatalf("%d fragments, want 3: %v", len(sent), r.k.Pool.Drops.List())
		}
		payload := 0
		for i, b := range sent {
			h, _ := wire.ParseIPv4(b)
			if h.ID() != 0xbeef || h.DF() || h.MF() != (i < 2) || h.FragOffset() != payload || len(b) != len(pieces[i])-28 {
				t.Errorf("fragment %d: %+v, %d bytes of %d", i, h.Fields(), len(b), len(pieces[i]))
			}
			payload += len(b) - wire.IPv4Len
		}
	}
}

// TestFragmentsIn: RFC 7915 §4.1: fragments keep their payload if that passes every
// link of IPv6, and their identification; those that routers may cut are cut to 1280
// bytes.
func TestFragmentsIn(t *testing.T) {
	r := newRig(t)
	s, _ := ends(r.out(udp(client, 4000, embed(server), 53, "")))
	whole := udp(server, 53, pool, s.Port(), strings.Repeat("x", 3000))
	for _, x := range []struct {
		mtu   int
		df    bool
		sizes []int
	}{{1500, true, []int{1528, 1528, 96}}, {1252, false, []int{1280, 1280, 592}}, {1500, false, []int{1280, 1280, 592}}} {
		if x.mtu == 1500 && x.df {
			r.try(r.inside.dev.SetMTU(2000))
		}
		for _, p := range r.fragments4(whole, x.mtu, x.df, 0xbeef) {
			r.outside.put(p)
		}
		var sizes []int
		for _, b := range r.inside.take() {
			sizes = append(sizes, len(b))
			f, _ := wire.ParseIPv6Fragment(b[wire.IPv6Len:])
			if b[6] != wire.ProtoFragment || f.ID() != 0xbeef {
				t.Errorf("identification %x", f.ID())
			}
		}
		if !slices.Equal(sizes, x.sizes) {
			t.Errorf("MTU %d, DF %v: sizes %v, want %v", x.mtu, x.df, sizes, x.sizes)
		}
	}
}

// TestMayFragment: RFC 7915 §4: an IPv4 packet that routers may fragment becomes
// packets of at most 1280 bytes, or what lowest_ipv6_mtu says; one that fits has no
// fragment header.
func TestMayFragment(t *testing.T) {
	for _, x := range []struct {
		lowest, payload int
		sizes           []int
	}{{1280, 1232, []int{1280}}, {1280, 1233, []int{1280, 57}}, {1500, 1452, []int{1500}}, {1500, 1453, []int{1496, 61}}} {
		r := newRig(t, "pool4="+pool, fmt.Sprint("lowest_ipv6_mtu=", x.lowest))
		s, _ := ends(r.out(udp(client, 4000, embed(server), 53, "")))
		b := udp(server, 53, pool, s.Port(), strings.Repeat("x", x.payload))
		b[6] = 0
		h, _ := wire.ParseIPv4(b)
		h.UpdateHeaderChecksum()
		r.outside.put(b)
		var sizes []int
		for _, b := range r.inside.take() {
			sizes = append(sizes, len(b))
		}
		if len(sizes) == 2 && sizes[0] < x.lowest-8 || !slices.Equal(sizes, x.sizes) {
			t.Errorf("%d bytes of payload, lowest MTU %d: sizes %v, want %v", x.payload, x.lowest, sizes, x.sizes)
		}
	}
}

// TestPathMTUDiscovery: RFC 7915 §4.2, §5.2: what is too big on either side is
// reported to the other one with an MTU that fits there.
func TestPathMTUDiscovery(t *testing.T) {
	for _, pool4 := range []string{pool, "masquerade"} {
		r := newRig(t, "pool4="+pool4)
		r.try(r.outside.dev.SetMTU(1400))
		a := r.dropped(r.inside, udp(client, 4000, embed(server), 53, strings.Repeat("x", 1400)))
		if typ, code := icmpOf(a); typ != wire.ICMP6PacketTooBig || code != 0 || binary.BigEndian.Uint32(a[44:]) != 1420 {
			t.Errorf("%s: inside gets %d/%d, MTU %d, want 2/0, 1420", pool4, typ, code, binary.BigEndian.Uint32(a[44:]))
		} else if src, dst := ends(a[48:]); src.String() != "["+client+"]:4000" || dst.String() != "["+embed(server)+"]:53" {
			t.Errorf("%s: quoted %v > %v", pool4, src, dst)
		}
		r.try(r.outside.dev.SetMTU(1500))
		s, _ := ends(r.out(udp(client, 4000, embed(server), 53, "")))
		a = r.dropped(r.outside, udp(server, 53, s.Addr().String(), s.Port(), strings.Repeat("x", 1472)))
		if typ, code := icmpOf(a); typ != 3 || code != 4 || binary.BigEndian.Uint16(a[26:]) != 1480 {
			t.Errorf("%s: outside gets %d/%d, MTU %d, want 3/4, 1480", pool4, typ, code, binary.BigEndian.Uint16(a[26:]))
		} else if src, dst := ends(a[28:]); src.String() != server+":53" || dst != s {
			t.Errorf("%s: quoted %v > %v", pool4, src, dst)
		}
	}
}

// TestErrorSources: an error from a router outside comes from its address under the
// prefix, or from the translator if it has none; one from a router inside from the
// address that stands for the host which it is about (RFC 6146 §3.5.3).
func TestErrorSources(t *testing.T) {
	r := newRig(t)
	out := r.out(udp(client, 4000, embed(server), 53, "payload"))
	s, _ := ends(out)
	for from, want := range map[string]string{peer: embed(peer), "10.1.1.1": own6} {
		m := make([]byte, wire.ICMPLen)
		wire.PutICMP4(m, wire.ICMP4TimeExceeded, 0, 0)
		b := r.in(ip(from, pool, wire.ProtoICMP, 2, append(m, out...)))
		h, _ := wire.ParseIPv6(b)
		if h.Src() != netip.MustParseAddr(want) || h.Dst().String() != client || b[40] != wire.ICMP6TimeExceeded {
			t.Errorf("%s: from %v to %v, type %d", from, h.Src(), h.Dst(), b[40])
		}
		m6, _ := wire.ParseICMP6(b[40:])
		if !m6.ChecksumOK(h.Src16(), h.Dst16()) {
			t.Errorf("%s: checksum", from)
		}
	}
	in := r.in(udp(server, 53, pool, s.Port(), "payload"))
	m := make([]byte, wire.ICMPLen)
	wire.PutICMP6(m, wire.ICMP6Unreachable, wire.ICMP6AddrUnreachable, 0)
	b := r.out(ip("2001:db8:6::99", embed(server), wire.ProtoICMPv6, 2, append(m, in...)))
	h, _ := wire.ParseIPv4(b)
	m4, _ := wire.ParseICMP4(b[20:])
	if h.Src().String() != pool || h.Dst().String() != server || b[20] != 3 || b[21] != 1 || !m4.ChecksumOK() || !h.ChecksumOK() {
		t.Errorf("from %v to %v, type %d/%d", h.Src(), h.Dst(), b[20], b[21])
	}
}

// TestForgedErrors: errors whose checksum is wrong, that quote what was never sent,
// or whose quotation does not fit their addresses go nowhere.
func TestForgedErrors(t *testing.T) {
	r := newRig(t)
	out := r.out(udp(client, 4000, embed(server), 53, "payload"))
	m := make([]byte, wire.ICMPLen)
	wire.PutICMP4(m, wire.ICMP4Unreachable, 3, 0)
	good := ip(peer, pool, wire.ProtoICMP, 2, append(slices.Clone(m), out...))
	r.in(good)
	damaged := slices.Clone(good)
	damaged[len(damaged)-1] ^= 1
	r.dropped(r.outside, damaged)
	stranger := slices.Clone(out)
	stranger[20] ^= 1 // its source port
	r.dropped(r.outside, ip(peer, pool, wire.ProtoICMP, 2, append(slices.Clone(m), stranger...)))
	foreign := slices.Clone(out)
	copy(foreign[12:], []byte{9, 9, 9, 8})
	r.dropped(r.outside, ip(peer, pool, wire.ProtoICMP, 2, append(slices.Clone(m), foreign...)))
	r.dropped(r.outside, ip(peer, pool, wire.ProtoICMP, 2, m))
	r.dropped(r.outside, ip(peer, pool, wire.ProtoICMP, 2, append(slices.Clone(m), out[:20]...)))
}

// TestHostileFragments: overlapping, endless and lonely fragments end, counted, and
// nothing is translated of them (RFC 5722, RFC 6146 §5.3).
func TestHostileFragments(t *testing.T) {
	r := newRig(t)
	whole := udp(client, 4000, embed(server), 53, strings.Repeat("x", 3000))
	pieces := r.fragments6(whole, 1280, 7)
	r.inside.put(pieces[0])
	overlap := slices.Clone(pieces[1])
	binary.BigEndian.PutUint16(overlap[42:], binary.BigEndian.Uint16(overlap[42:])-8)
	r.inside.put(overlap)
	r.inside.put(pieces[1])
	r.inside.put(pieces[2])
	for id := range uint32(20000) { // first fragments that nobody completes
		r.inside.put(r.fragments6(whole[:1400], 1280, 1000+id)[0])
	}
	if sent := r.outside.take(); len(sent) > 0 {
		t.Errorf("%d packets came out", len(sent))
	}
	if n := r.k.Pool.Live(); n > 8192 {
		t.Errorf("%d packets wait", n)
	}
	r.advance(2 * time.Minute)
	if n := r.k.Pool.Live(); n != 0 {
		t.Errorf("%d packets wait after their time", n)
	}
}

// TestLimits: a full table and a pool without a free port stop new sessions, tell
// the inside so (RFC 6146 §3.5.1.1), and leave the old ones alone; what ends makes
// room.
func TestLimits(t *testing.T) {
	for _, x := range []struct {
		params []string
		reason string
		most   int
	}{
		{[]string{"pool4=" + pool, "max_sessions=10"}, "NAT64_TABLE_FULL", 10},
		{[]string{"pool4=" + pool, "max_client_ports=10"}, "NAT64_TABLE_FULL", 10},
		{[]string{"pool4=" + pool, "ports=2000-2009"}, "NAT64_PORTS_USED_UP", 10},
		{[]string{"pool4=9.9.9.0/30", "ports=2000-2009"}, "NAT64_PORTS_USED_UP", 40},
	} {
		r := newRig(t, x.params...)
		var first []byte
		n := 0
		for port := range uint16(100) {
			r.advance(time.Millisecond) // errors are limited to 1,000 a second
			b := udp(client, 3000+port, embed(server), 53, "")
			r.inside.put(b)
			sent := r.outside.take()
			if n += len(sent); len(sent) == 1 && first == nil {
				first = sent[0]
			}
			a := r.inside.take()
			if (len(sent) == 1) == (len(a) == 1) {
				t.Fatalf("%v, port %d: %d packets went out and %d came back; %v", x.params, port, len(sent), len(a), r.k.Pool.Drops.List())
			}
			if len(a) == 1 {
				if typ, code := icmpOf(a[0]); typ != 1 || code != 3 {
					t.Fatalf("%v: answered with %d/%d, want 1/3", x.params, typ, code)
				}
			}
		}
		if n != x.most || r.reason(x.reason) != uint64(100-x.most) {
			t.Errorf("%v: %d sessions, want %d; drops %v", x.params, n, x.most, r.k.Pool.Drops.List())
		}
		s, _ := ends(first)
		r.in(udp(server, 53, s.Addr().String(), s.Port(), ""))
		r.advance(6 * time.Minute)
		r.out(udp(client, 9999, embed(server), 53, ""))
	}
}

// TestOwnAddress: with a pool of this host's own addresses other ports of it stay the
// host's, and what was mapped to an address ends with it.
func TestOwnAddress(t *testing.T) {
	r := newRig(t, "pool4=masquerade")
	s, _ := ends(r.out(udp(client, 4000, embed(server), 53, "")))
	if s.Addr().String() != own4 || s.Port() < 61001 {
		t.Errorf("mapped to %v", s)
	}
	r.in(udp(server, 53, own4, s.Port(), ""))
	if typ, _ := icmpOf(append(r.dropped(r.outside, echo(server, own4, 99, false)), 0)); typ != wire.ICMP4EchoReply {
		t.Errorf("the host does not answer a ping: type %d", typ)
	}
	// In fragments, to the host and to the inside.
	ping := make([]byte, 40)
	wire.PutICMP4(ping, wire.ICMP4Echo, 0, wire.ICMPEchoRest(99, 1))
	for _, p := range r.fragments4(ip(server, own4, wire.ProtoICMP, 2, ping), 36, false, 3) {
		r.outside.put(p)
	}
	if len(r.outside.take()) == 0 {
		t.Error("the host does not answer a ping in fragments")
	}
	for _, p := range r.fragments4(udp(server, 53, own4, s.Port(), strings.Repeat("x", 100)), 60, false, 4) {
		r.outside.put(p)
	}
	if sent := r.inside.take(); len(sent) == 0 {
		t.Errorf("no fragment got in: %v", r.k.Pool.Drops.List())
	}
	r.try(r.k.Network.DelAddr(r.outside.dev, netip.MustParsePrefix(own4+"/24")))
	if b, _ := r.k.Proc.Read("net/nat64/sessions"); bytes.Count(b, []byte("\n")) != 1 {
		t.Errorf("sessions after the address is gone:\n%s", b)
	}
}

// TestUDPChecksumZero: RFC 7915 §4.5: a datagram without a checksum gets one, in
// fragments too.
func TestUDPChecksumZero(t *testing.T) {
	r := newRig(t)
	s, _ := ends(r.out(udp(client, 4000, embed(server), 53, "")))
	b := udp(server, 53, pool, s.Port(), strings.Repeat("x", 100))
	b[26], b[27] = 0, 0
	want := r.in(udp(server, 53, pool, s.Port(), strings.Repeat("x", 100)))
	if got := r.in(b); !bytes.Equal(got, want) {
		t.Errorf("\n% x, want\n% x", got, want)
	}
	for _, p := range r.fragments4(b, 100, false, 9) {
		r.outside.put(p)
	}
	if sent := r.inside.take(); len(sent) != 2 || !bytes.Equal(sent[0][48:56], want[40:48]) {
		t.Errorf("fragments: % x", sent)
	}
}

// TestParameters: what makes no sense is refused with a message that says what was
// expected, and leaves nothing behind.
func TestParameters(t *testing.T) {
	r := newRig(t)
	r.try(r.k.Rmmod(ctx, "nat64"))
	for params, want := range map[string]string{
		"prefix=2001:db8::/95":       "want a prefix of 32, 40, 48, 56, 64 or 96 bits",
		"pool4=2001:db8::1":          "want masquerade, or an IPv4 address or prefix",
		"pool4=10.0.0.0/8":           "more than 4096 addresses",
		"pool4=9.9.9.1/24":           "want masquerade, or an IPv4 address",
		"pool4=9.9.9.0/24,9.9.9.1":   "overlaps",
		"pool4=masquerade,9.9.9.1":   "either masquerade or IPv4",
		"ports=5-1":                  "want LOW-HIGH",
		"ports=0-9":                  "want LOW-HIGH",
		"udp_timeout=1m":             "2m0s",
		"tcp_established_timeout=1h": "2h4m0s",
		"lowest_ipv6_mtu=1000":       "1280",
	} {
		err := r.k.Modprobe(ctx, "nat64", params)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", params, err, want)
		}
	}
	if _, err := r.k.Link.Lookup("nat64"); err == nil {
		t.Error("a device was left behind")
	}
	r.try(r.k.Modprobe(ctx, "nat64"))
}
