package nat64_test

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/knitnet/knit/wire"
)

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

// TestDownAndUp: the routes to the device come back with it.
func TestDownAndUp(t *testing.T) {
	r := newRig(t)
	dev, err := r.k.Link.Lookup("nat64")
	r.try(err)
	s, _ := ends(r.out(udp(client, 4000, embed(server), 53, "")))
	r.try(dev.SetUp(false))
	if typ, code := icmpOf(r.dropped(r.inside, udp(client, 4000, embed(server), 53, ""))); typ != 1 || code != 0 {
		t.Errorf("while it is down: %d/%d, want 1/0", typ, code)
	}
	r.try(dev.SetUp(true))
	if again, _ := ends(r.out(udp(client, 4000, embed(server), 53, ""))); again != s {
		t.Errorf("mapped to %v before and %v after", s, again)
	}
	r.in(udp(server, 53, pool, s.Port(), ""))
}
