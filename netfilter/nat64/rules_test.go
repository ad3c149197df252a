package nat64_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/knitnet/knit/wire"
)

// TestMapping: RFC 6146 §3.5.1.1, §3.5.2.2: an inside address and port has the same
// outside address and port for every peer (endpoint-independent mapping), and what
// comes back gets to it; a host has one outside address for all it does ("paired").
func TestMapping(t *testing.T) {
	r := newRig(t, "pool4=9.9.9.0/28")
	s1, d1 := ends(r.out(udp(client, 4000, embed(server), 53, "a")))
	s2, _ := ends(r.out(udp(client, 4000, embed(peer), 99, "b")))
	s3, _ := ends(r.out(udp(client, 4001, embed(server), 53, "c")))
	if s1 != s2 || s1.Addr() != s3.Addr() || s1 == s3 || d1.String() != server+":53" {
		t.Errorf("mapped to %v, %v and %v; destination %v", s1, s2, s3, d1)
	}
	if !netip.MustParsePrefix("9.9.9.0/28").Contains(s1.Addr()) {
		t.Errorf("%v is not of the pool", s1)
	}
	src, dst := ends(r.in(udp(server, 53, s1.Addr().String(), s1.Port(), "answer")))
	if src.String() != "["+embed(server)+"]:53" || dst.String() != "["+client+"]:4000" {
		t.Errorf("the answer goes from %v to %v", src, dst)
	}
}

// TestPorts: RFC 4787 REQ-3, REQ-4 by RFC 6146 §3.5.1.1: ports below 1024 stay there,
// and UDP's parity stays.
func TestPorts(t *testing.T) {
	r := newRig(t)
	for i := range uint16(200) {
		for _, port := range []uint16{500 + i, 30000 + i} {
			s, _ := ends(r.out(udp(client, port, embed(server), 53, "")))
			if s.Port()%2 != port%2 || (s.Port() < 1024) != (port < 1024) || s.Port() == 0 {
				t.Fatalf("port %d is mapped to %d", port, s.Port())
			}
		}
	}
}

// TestFiltering: RFC 6146 §3.5.1: anybody may speak to a mapping, unless the
// filtering is address-dependent: then those whom the inside has spoken to, at any
// port; others are told that it is prohibited.
func TestFiltering(t *testing.T) {
	for _, dependent := range []bool{false, true} {
		r := newRig(t, "pool4="+pool, fmt.Sprint("address_dependent=", dependent))
		s, _ := ends(r.out(udp(client, 4000, embed(server), 53, "")))
		r.in(udp(server, 53, pool, s.Port(), ""))
		r.in(udp(server, 54, pool, s.Port(), "")) // another port
		if !dependent {
			r.in(udp(peer, 1, pool, s.Port(), ""))
		} else if typ, code := icmpOf(r.dropped(r.outside, udp(peer, 1, pool, s.Port(), ""))); typ != 3 || code != 13 {
			t.Errorf("a stranger is answered with %d/%d, want 3/13", typ, code)
		}
		if typ, code := icmpOf(r.dropped(r.outside, udp(server, 53, pool, s.Port()^1, ""))); typ != 3 || code != 1 {
			t.Errorf("who writes to nobody is answered with %d/%d, want 3/1", typ, code)
		}
	}
}

// TestUDPTimeout: RFC 6146 §4: UDP_DEFAULT is 5 minutes; packets both ways renew it.
func TestUDPTimeout(t *testing.T) {
	r := newRig(t)
	s, _ := ends(r.out(udp(client, 4000, embed(server), 53, "")))
	for range 3 {
		r.advance(4 * time.Minute)
		r.in(udp(server, 53, pool, s.Port(), ""))
		r.advance(4 * time.Minute)
		r.out(udp(client, 4000, embed(server), 53, ""))
	}
	r.advance(5*time.Minute - time.Second)
	r.in(udp(server, 53, pool, s.Port(), ""))
	r.advance(5*time.Minute + time.Second)
	r.dropped(r.outside, udp(server, 53, pool, s.Port(), ""))
	if r.reason("NAT64_NO_BINDING") != 1 {
		t.Errorf("drops: %v", r.k.Pool.Drops.List())
	}
}

// TestICMPQueries: RFC 6146 §3.5.3: identifiers are mapped, replies come back, those
// outside can ask too, and a session ends after 60 seconds.
func TestICMPQueries(t *testing.T) {
	r := newRig(t)
	out := r.out(echo(client, embed(server), 77, false))
	id := binary.BigEndian.Uint16(out[24:])
	if typ, _ := icmpOf(append(out, 0)); typ != wire.ICMP4Echo {
		t.Errorf("ICMP type %d", typ)
	}
	back := r.in(echo(server, pool, id, true))
	if got := binary.BigEndian.Uint16(back[44:]); got != 77 || back[40] != wire.ICMP6EchoReply {
		t.Errorf("the reply has type %d, identifier %d", back[40], got)
	}
	if ask := r.in(echo(peer, pool, id, false)); ask[40] != wire.ICMP6Echo || binary.BigEndian.Uint16(ask[44:]) != 77 {
		t.Errorf("the question from outside: % x", ask[40:])
	}
	r.advance(61 * time.Second)
	r.dropped(r.outside, echo(server, pool, id, true))
}

// TestTCPTimeouts: RFC 6146 §3.5.2.2: a connection that is established lives for two
// hours and four minutes; then its inside is asked whether it lives, and has four
// minutes to say so.
func TestTCPTimeouts(t *testing.T) {
	r := newRig(t)
	s, _ := ends(r.out(tcp(client, 4000, embed(server), 80, wire.TCPSyn)))
	r.in(tcp(server, 80, pool, s.Port(), wire.TCPSyn|wire.TCPAck))
	for range 2 {
		r.advance(2*time.Hour + 4*time.Minute - time.Second)
		if sent := r.inside.take(); len(sent) > 0 {
			t.Fatalf("probed too early: %x", sent)
		}
		r.advance(2 * time.Second)
		sent := r.inside.take()
		if len(sent) != 1 {
			t.Fatalf("%d probes", len(sent))
		}
		h, _ := wire.ParseTCP(sent[0][wire.IPv6Len:])
		src, dst := ends(sent[0])
		if h.Flags() != wire.TCPAck || h.Seq() != 0 || h.Ack() != 0 || src.String() != "["+embed(server)+"]:80" || dst.String() != "["+client+"]:4000" {
			t.Errorf("the probe: %v > %v %+v", src, dst, h.Fields())
		}
		if !wire.Sum(sent[0][wire.IPv6Len:], wire.Pseudo(src.Addr(), dst.Addr(), wire.ProtoTCP, wire.TCPLen)).Valid() {
			t.Error("the probe's checksum")
		}
		r.out(tcp(client, 4000, embed(server), 80, wire.TCPAck)) // it lives
	}
	r.advance(2*time.Hour + 4*time.Minute + time.Second)
	r.advance(4*time.Minute + time.Second)
	r.inside.take() // the last probe
	r.dropped(r.outside, tcp(server, 80, pool, s.Port(), wire.TCPAck))
}

// TestTCPTransitory: RFC 6146 §3.5.2.2: what begins, has been reset or has ended lives
// for four minutes.
func TestTCPTransitory(t *testing.T) {
	for name, flags := range map[string][]uint16{ // from inside and outside in turn
		"begins": {wire.TCPSyn}, "reset": {wire.TCPSyn, wire.TCPSyn | wire.TCPAck, wire.TCPRst},
		"ended": {wire.TCPSyn, wire.TCPSyn | wire.TCPAck, wire.TCPFin | wire.TCPAck, wire.TCPFin | wire.TCPAck, wire.TCPAck},
	} {
		r := newRig(t)
		var s netip.AddrPort
		for i, f := range flags {
			if i%2 == 0 {
				s, _ = ends(r.out(tcp(client, 4000, embed(server), 80, f)))
			} else {
				r.in(tcp(server, 80, pool, s.Port(), f))
			}
		}
		r.advance(4*time.Minute - time.Second)
		if b, _ := r.k.Proc.Read("net/nat64/sessions"); !strings.Contains(string(b), "tcp") {
			t.Errorf("%s: gone early", name)
		}
		r.advance(2 * time.Second)
		if b, _ := r.k.Proc.Read("net/nat64/bib"); strings.Contains(string(b), "tcp") {
			t.Errorf("%s: still there:\n%s", name, b)
		}
	}
}

// TestNoSessionForStray: RFC 6146 §3.5.2.2: a segment that begins nothing makes no
// state, and passes if there is a binding; else it is silently discarded.
func TestNoSessionForStray(t *testing.T) {
	r := newRig(t)
	for _, x := range []struct {
		at *port
		b  []byte
	}{
		{r.inside, tcp(client, 4000, embed(server), 80, wire.TCPAck)}, {r.outside, tcp(server, 80, pool, 4000, wire.TCPAck)},
		{r.outside, tcp(server, 80, pool, 4000, wire.TCPSyn)},
	} {
		if a := r.dropped(x.at, x.b); a != nil {
			t.Errorf("a stray is answered: %x", a)
		}
	}
	s, _ := ends(r.out(tcp(client, 4000, embed(server), 80, wire.TCPSyn)))
	stray, _ := ends(r.out(tcp(client, 4000, embed(peer), 80, wire.TCPAck)))
	if s != stray {
		t.Errorf("%v and %v", s, stray)
	}
	r.in(tcp(peer, 80, pool, s.Port(), wire.TCPAck))
	if b, _ := r.k.Proc.Read("net/nat64/sessions"); strings.Count(string(b), "tcp") != 1 {
		t.Errorf("sessions:\n%s", b)
	}
}

// TestSimultaneousOpen: RFC 6146 §3.5.2.2: with address-dependent filtering a SYN from
// a stranger waits for six seconds; one from inside lets the stranger in; if none
// comes, the stranger is told that nobody is there.
func TestSimultaneousOpen(t *testing.T) {
	r := newRig(t, "pool4="+pool, "address_dependent")
	s, _ := ends(r.out(tcp(client, 4000, embed(server), 80, wire.TCPSyn)))
	syn := tcp(peer, 80, pool, s.Port(), wire.TCPSyn)
	if a := r.dropped(r.outside, syn); a != nil {
		t.Errorf("the SYN that waits was answered: %x", a)
	}
	r.dropped(r.outside, syn)
	r.dropped(r.outside, tcp(peer, 81, pool, s.Port(), wire.TCPAck)) // the waiting one opens nothing
	r.out(tcp(client, 4000, embed(peer), 80, wire.TCPSyn))
	r.in(syn)
	r.in(tcp(peer, 80, pool, s.Port(), wire.TCPAck))
	r.in(tcp(peer, 99, pool, s.Port(), wire.TCPSyn)) // the inside has spoken to peer now
}

// TestSynWaitsInVain is the second half of TestSimultaneousOpen.
func TestSynWaitsInVain(t *testing.T) {
	r := newRig(t, "pool4="+pool, "address_dependent")
	s, _ := ends(r.out(tcp(client, 4000, embed(server), 80, wire.TCPSyn)))
	for i := range uint16(100) { // more than may wait
		r.outside.put(tcp(peer, 1000+i, pool, s.Port(), wire.TCPSyn))
	}
	r.outside.take()
	r.advance(5 * time.Second)
	if sent := r.outside.take(); len(sent) > 0 {
		t.Errorf("refused too early: %x", sent)
	}
	r.advance(2 * time.Second)
	sent := r.outside.take()
	if len(sent) != 32 {
		t.Errorf("%d SYNs were refused, want 32", len(sent))
	}
	for _, b := range sent {
		if typ, code := icmpOf(b); typ != 3 || code != 3 {
			t.Errorf("refused with %d/%d, want 3/3", typ, code)
		}
	}
	if b, _ := r.k.Proc.Read("net/nat64/sessions"); strings.Count(string(b), "tcp") != 1 {
		t.Errorf("sessions:\n%s", b)
	}
}

// TestHairpin: RFC 6146 §3.8: two hosts inside speak with each other by their outside
// addresses.
func TestHairpin(t *testing.T) {
	for _, pool4 := range []string{pool, "masquerade"} {
		r := newRig(t, "pool4="+pool4)
		s, _ := ends(r.out(udp(other, 5000, embed(server), 53, "")))
		b := r.translated(r.inside, r.inside, udp(client, 4000, embed(s.Addr().String()), s.Port(), "hello"))
		src, dst := ends(b)
		if src.Addr().String() != embed(s.Addr().String()) || dst.String() != "["+other+"]:5000" {
			t.Fatalf("%s: from %v to %v", pool4, src, dst)
		}
		back := r.translated(r.inside, r.inside, udp(other, 5000, src.Addr().String(), src.Port(), "hello"))
		if src, dst := ends(back); dst.String() != "["+client+"]:4000" || src.Port() != s.Port() {
			t.Errorf("%s: back from %v to %v", pool4, src, dst)
		}
		if b[7] != 63 {
			t.Errorf("%s: of 64 hops %d are left", pool4, b[7])
		}
	}
}

// TestOneHop: RFC 7915 §4.1, §5.1: the translator is one router: it takes one hop, and
// answers what has none left.
func TestOneHop(t *testing.T) {
	for _, pool4 := range []string{pool, "masquerade"} {
		r := newRig(t, "pool4="+pool4)
		out := r.out(udp(client, 4000, embed(server), 53, ""))
		s, _ := ends(out)
		in := r.in(udp(server, 53, s.Addr().String(), s.Port(), ""))
		if out[8] != 63 || in[7] != 63 {
			t.Errorf("%s: of 64 hops %d are left outside, %d inside", pool4, out[8], in[7])
		}
		last := udp(client, 4000, embed(server), 53, "")
		last[7] = 1
		if typ, code := icmpOf(r.dropped(r.inside, last)); typ != wire.ICMP6TimeExceeded || code != 0 {
			t.Errorf("%s: the last hop inside is answered with %d/%d", pool4, typ, code)
		}
		lastIn := udp(server, 53, s.Addr().String(), s.Port(), "")
		h, _ := wire.ParseIPv4(lastIn)
		h.SetTTL(1)
		if typ, code := icmpOf(r.dropped(r.outside, lastIn)); typ != wire.ICMP4TimeExceeded || code != 0 {
			t.Errorf("%s: the last hop outside is answered with %d/%d", pool4, typ, code)
		}
	}
}

// TestAddresses: what must not be translated: sources under the prefix (RFC 6146
// §3.5), under the well-known one what is not global (RFC 6052 §3.1), and groups.
func TestAddresses(t *testing.T) {
	r := newRig(t)
	for _, b := range [][]byte{
		udp(embed(peer), 4000, embed(server), 53, ""), udp(client, 4000, embed("10.0.0.1"), 53, ""),
		udp(client, 4000, embed("224.0.0.1"), 53, ""), udp(client, 4000, embed("0.0.0.0"), 53, ""),
		udp(client, 4000, embed("255.255.255.255"), 53, ""), udp(client, 4000, embed("127.0.0.1"), 53, ""),
	} {
		r.dropped(r.inside, b)
	}
	s, _ := ends(r.out(udp(client, 4000, embed(server), 53, "")))
	r.dropped(r.outside, udp("10.0.0.1", 53, pool, s.Port(), ""))
	if n := r.reason("NAT64_ADDRESS"); n != 7 {
		t.Errorf("%d dropped for their address: %v", n, r.k.Pool.Drops.List())
	}
	r = newRig(t, "pool4="+pool, "allow_private")
	r.out(udp(client, 4000, embed("10.0.0.1"), 53, ""))
}

// TestOtherProtocols: RFC 6146 §3.5: SCTP inside is answered with Port Unreachable,
// outside with Protocol Unreachable.
func TestOtherProtocols(t *testing.T) {
	r := newRig(t)
	if typ, code := icmpOf(r.dropped(r.inside, ip(client, embed(server), wire.ProtoSCTP, 8, make([]byte, 40)))); typ != 1 || code != 4 {
		t.Errorf("inside: %d/%d, want 1/4", typ, code)
	}
	if typ, code := icmpOf(r.dropped(r.outside, ip(server, pool, wire.ProtoSCTP, 8, make([]byte, 40)))); typ != 3 || code != 2 {
		t.Errorf("outside: %d/%d, want 3/2", typ, code)
	}
}

// TestSourceRouteAnswered: RFC 7915 §4.1, §5.1: the errors that SHOULD be returned.
func TestSourceRouteAnswered(t *testing.T) {
	r := newRig(t)
	b := udp(client, 4000, embed(server), 53, "payload")
	routing := []byte{b[6], 0, 4, 1, 0, 0, 0, 0}
	b[6] = wire.ProtoRouting
	b = append(b[:wire.IPv6Len:wire.IPv6Len], append(routing, b[wire.IPv6Len:]...)...)
	binary.BigEndian.PutUint16(b[4:], uint16(len(b)-wire.IPv6Len))
	a := r.dropped(r.inside, b)
	if typ, code := icmpOf(a); typ != wire.ICMP6ParamProblem || code != 0 || binary.BigEndian.Uint32(a[44:]) != 43 {
		t.Errorf("inside: %d/%d % x", typ, code, a)
	}
	r.try(r.k.Sysctl.Set("net.ipv4.conf.all.accept_source_route", "1"))
	r.try(r.k.Sysctl.Set("net.ipv4.conf.out0.accept_source_route", "1"))
	u := udp(server, 53, pool, 4000, "")
	h, _ := wire.ParseIPv4(u)
	f := h.Fields()
	f.Options, f.TotalLen = []byte{131, 7, 4, 1, 2, 3, 4}, f.TotalLen+8
	o := make([]byte, f.HeaderLen())
	wire.PutIPv4(o, &f)
	if typ, code := icmpOf(r.dropped(r.outside, append(o, u[wire.IPv4Len:]...))); typ != 3 || code != 5 {
		t.Errorf("outside: %d/%d, want 3/5", typ, code)
	}
}
