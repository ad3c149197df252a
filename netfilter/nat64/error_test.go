package nat64_test

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/knitnet/knit/wire"
)

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
// address that stands for the host which it is about (RFC 6146 §3.6).
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
