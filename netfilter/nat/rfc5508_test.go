package nat_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/knitnet/knit/core/stat"
)

// TestRFC5508REQ1: "a NAT device MUST permit ICMP Queries and their associated
// responses, when the Query is initiated from a private host to the external hosts",
// of several hosts with one identifier, too.
func TestRFC5508REQ1(t *testing.T) {
	b := rfcBox(t)
	for _, p := range pairs {
		seen := map[uint32]bool{}
		for i, in := range []string{"lan0", "lan1"} {
			host := []string{p.client, p.other}[i]
			for _, server := range []string{p.server, p.far} {
				out := b.sends(in, echo(host, server, 77, 5), "wan0")
				back := b.sends("wan0", out.answer(""), in)
				if back.dst.Addr() != ap(host).Addr() || back.rest != 77<<16|5 || back.src.Addr() != ap(server).Addr() {
					t.Errorf("%s: the answer is %v", host, back)
				}
				seen[out.rest>>16] = true
			}
		}
		if len(seen) != 2 {
			t.Errorf("%s: two hosts have the identifiers %v outside", p.family, seen)
		}
	}
}

// TestRFC5508REQ2: "An ICMP Query session timer MUST NOT expire in less than 60
// seconds", and is configurable: Linux's default is 30, and so is knit's; the
// identifier is kept longer.
func TestRFC5508REQ2(t *testing.T) {
	b := rfcBox(t)
	if err := b.Sysctl.Set("net.netfilter.nf_conntrack_icmp_timeout", "60"); err != nil {
		t.Fatal(err)
	}
	b.sends("lan1", echo("10.0.1.2", "192.0.2.2", 77, 1), "wan0")
	out := b.sends("lan0", echo("10.0.0.2", "192.0.2.2", 77, 1), "wan0")
	b.Clock.Advance(59 * time.Second)
	if m := b.sends("wan0", out.answer(""), "lan0"); m.rest>>16 != 77 {
		t.Errorf("after 59 seconds the answer is %v", m)
	}
	b.Clock.Advance(2 * time.Minute)
	if again := b.sends("lan0", echo("10.0.0.2", "192.0.2.2", 77, 2), "wan0"); again.rest>>16 != out.rest>>16 {
		t.Errorf("the identifier was %d and is %d", out.rest>>16, again.rest>>16)
	}
}

// TestRFC5508REQ3: "if the ICMP checksum fails to validate, the NAT SHOULD silently
// drop the ICMP Error packet"; IP options in the quotation are traversed, its
// transport checksum is not validated. A wrong checksum of the quoted IP header does
// not keep an error back, as on Linux: routers have changed the header on its way,
// and path MTU discovery lives on these errors.
func TestRFC5508REQ3(t *testing.T) {
	b := rfcBox(t)
	m := udp("10.0.0.2:5000", "192.0.2.2:53", "question")
	m.options = []byte{1, 1, 1, 0}
	sent := b.receive("lan0", m.bytes())[0].b
	about := func(change int) []byte {
		q := append([]byte(nil), sent...)
		if change > 0 {
			q[change]++
		}
		return q
	}
	bad := failure("192.0.2.2", "192.0.2.1", 3, 3, 0, about(0)).bytes()
	bad[22]++
	if out := b.receive("wan0", bad); len(out) != 0 {
		t.Errorf("an error with a wrong checksum went to %s", out[0].port)
	}
	for what, at := range map[string]int{"with options": 0, "with a wrong transport checksum": 30, "with a wrong header checksum": 10} {
		e := b.sends("wan0", failure("192.0.2.2", "192.0.2.1", 3, 3, 0, about(at)), "lan0")
		q, _ := parse(e.data)
		if q.src.Addr() != ap("10.0.0.2").Addr() || e.dst.Addr() != ap("10.0.0.2").Addr() {
			t.Errorf("%s: %v about %v", what, e, q)
		}
	}
}

// TestRFC5508REQ4: an error from outside without a mapping is dropped silently; with
// one only its destination and the quotation change.
func TestRFC5508REQ4(t *testing.T) {
	b := rfcBox(t)
	stranger := udp("192.0.2.1:5000", "192.0.2.2:53", "nobody has sent it").bytes()
	b.silent("wan0", failure("198.51.100.1", "192.0.2.1", 11, 0, 0, stranger))
	sent := b.receive("lan0", udp("10.0.0.2:5000", "192.0.2.2:53", "q").bytes())[0].b
	e := b.sends("wan0", failure("198.51.100.1", "192.0.2.1", 11, 0, 0, sent), "lan0")
	q, sound := parse(e.data)
	if e.src.Addr() != ap("198.51.100.1").Addr() || e.dst.Addr() != ap("10.0.0.2").Addr() || e.typ != 11 ||
		q.src != ap("10.0.0.2:5000") || q.dst != ap("192.0.2.2:53") || !sound {
		t.Errorf("%v about %v, sound %v", e, q, sound)
	}
}

// TestRFC5508REQ5: an error from inside quotes the packet as it was outside, keeps
// type and code, and comes from the outer address.
func TestRFC5508REQ5(t *testing.T) {
	b := rfcBox(t)
	out := b.sends("lan0", udp("10.0.0.2:5000", "192.0.2.2:53", "q"), "wan0").src
	in := b.receive("wan0", udp("192.0.2.2:53", out.String(), "a").bytes())[0].b
	for _, router := range []string{"10.0.0.2", "10.0.0.99"} {
		e := b.sends("lan0", failure(router, "192.0.2.2", 3, 3, 0, in), "wan0")
		q, sound := parse(e.data)
		if e.src.Addr() != out.Addr() || e.typ != 3 || e.code != 3 || q.dst != out || q.src != ap("192.0.2.2:53") || !sound {
			t.Errorf("%v about %v, sound %v", e, q, sound)
		}
	}
}

// TestRFC5508REQ6: an error about a query neither refreshes nor ends its session.
func TestRFC5508REQ6(t *testing.T) {
	b := rfcBox(t)
	sent := b.receive("lan0", echo("10.0.0.2", "192.0.2.2", 9, 1).bytes())[0].b
	for range 3 {
		b.Clock.Advance(9 * time.Second)
		b.sends("wan0", failure("198.51.100.1", "192.0.2.1", 11, 0, 0, sent), "lan0")
	}
	b.Clock.Advance(2 * time.Second)
	b.sends("wan0", mustParse(sent).answer(""), "lan0") // 29 seconds
	sent = b.receive("lan0", echo("10.0.0.2", "192.0.2.2", 10, 1).bytes())[0].b
	b.Clock.Advance(20 * time.Second)
	b.sends("wan0", failure("198.51.100.1", "192.0.2.1", 11, 0, 0, sent), "lan0")
	b.Clock.Advance(11 * time.Second)
	b.silent("wan0", mustParse(sent).answer(""))
}

func mustParse(b []byte) message {
	m, _ := parse(b)
	return m
}

// TestRFC5508REQ7: errors about packets between two hosts inside by the outer address
// come to their sender, from the outer address, about what it has sent.
func TestRFC5508REQ7(t *testing.T) {
	b := rfcBox(t)
	out1 := b.sends("lan0", udp("10.0.0.2:5001", "192.0.2.2:53", "x"), "wan0").src
	out2 := b.sends("lan1", udp("10.0.1.2:5002", "192.0.2.2:53", "x"), "wan0").src
	got := b.receive("lan0", udp("10.0.0.2:5001", out2.String(), "hairpin").bytes())[0].b
	e := b.sends("lan1", failure("10.0.1.2", out1.Addr().String(), 3, 3, 0, got), "lan0")
	q, sound := parse(e.data)
	if e.src.Addr() != out2.Addr() || e.dst.Addr() != ap("10.0.0.2").Addr() || q.src != ap("10.0.0.2:5001") || q.dst != out2 || !sound {
		t.Errorf("%v about %v, sound %v", e, q, sound)
	}
}

// TestRFC5508REQ8: "When a NAT device is unable to establish a NAT Session for a new
// transport-layer flow due to resource constraints [...], the NAT device SHOULD send
// an ICMP destination unreachable message, with a code of 13 (Communication
// Administratively Prohibited) to the sender, and drop the original packet."
func TestRFC5508REQ8(t *testing.T) {
	b := newBox(t)
	b.load(natRules("ip", "", "meta l4proto udp oifname wan0 masquerade to :7000-7003 mapping endpoint-independent"))
	for i := range 4 {
		b.sends("lan0", udp(fmt.Sprintf("10.0.0.2:%d", 5000+i), "192.0.2.2:53", "x"), "wan0")
	}
	e := b.sends("lan0", udp("10.0.0.2:5004", "198.51.100.7:53", "x"), "lan0")
	q, sound := parse(e.data)
	if e.typ != 3 || e.code != 13 || q.src != ap("10.0.0.2:5004") || !sound {
		t.Errorf("it was answered by %v about %v", e, q)
	}
	reason, _ := b.Pool.Drops.New("NAT_NO_PORT")
	if n := b.Pool.Drops.Load(reason); n != 1 || b.Pool.Drops.Load(stat.NetfilterDrop) != 0 {
		t.Errorf("drops: %v", b.Pool.Drops.List())
	}
}

// TestRFC5508REQ10: the gateway's own answers are right: time exceeded for what it
// does not forward, and echo replies.
func TestRFC5508REQ10(t *testing.T) {
	b := rfcBox(t)
	m := udp("10.0.0.2:5000", "192.0.2.2:33434", "traceroute")
	m.ttl = 1
	if e := b.sends("lan0", m, "lan0"); e.typ != 11 || e.src.Addr() != ap("10.0.0.1").Addr() {
		t.Errorf("the first hop says %v", e)
	}
	for _, target := range []string{"10.0.0.1", "192.0.2.1"} {
		if e := b.sends("lan0", echo("10.0.0.2", target, 1, 1), "lan0"); e.typ != 0 || e.src.Addr() != ap(target).Addr() {
			t.Errorf("ping %s: %v", target, e)
		}
	}
}
