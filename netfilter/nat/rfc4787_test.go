package nat_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/knitnet/knit/wire"
)

// behave is a masquerading gateway with a behaviour (RFC 4787 §4.1, §5).
func behave(mapping, filtering string) string {
	flags := ""
	if mapping != "" {
		flags += " mapping " + mapping
	}
	if filtering != "" {
		flags += " filtering " + filtering
	}
	return natRules("ip", "", "oifname wan0 masquerade"+flags) + natRules("ip6", "", "oifname wan0 masquerade"+flags)
}

const endpoint, address = "endpoint-independent", "address-dependent"

// rfcBox is a gateway as RFC 4787 recommends it.
func rfcBox(t *testing.T) *box {
	b := newBox(t)
	b.load(behave(endpoint, endpoint))
	return b
}

// sends lets a host send and returns what comes out of a port, which is to be one
// packet.
func (b *box) sends(in string, m message, out string) message {
	b.t.Helper()
	frames := b.receive(in, m.bytes())
	if len(frames) != 1 || frames[0].port != out {
		b.t.Fatalf("%v: %d packets came out, want one by %s: %v", m, len(frames), out, frames)
	}
	r, sound := parse(frames[0].b)
	if !sound {
		b.t.Fatalf("%v became %v, with a wrong checksum", m, r)
	}
	return r
}

// silent lets a packet come in, of which nothing may come out.
func (b *box) silent(in string, m message) {
	b.t.Helper()
	for _, f := range b.receive(in, m.bytes()) {
		r, _ := parse(f.b)
		b.t.Errorf("%v: %s sent %v, want nothing", m, f.port, r)
	}
}

// TestRFC4787REQ1: "A NAT MUST have an 'Endpoint-Independent Mapping' behavior", if
// the rule asks for it: one outer port for all servers. Without, the outer port may
// differ, and with address dependence it is the same for one address alone.
func TestRFC4787REQ1(t *testing.T) {
	for _, c := range []struct {
		mapping            string
		sameAddr, sameHost bool // other port of the server, other server
	}{{endpoint, true, true}, {address, true, false}} {
		t.Run(c.mapping, func(t *testing.T) {
			b := newBox(t)
			b.load(behave(c.mapping, ""))
			for _, p := range pairs {
				// The port is taken at both servers: whoever comes second gets another.
				for _, s := range []string{p.server, p.far} {
					b.sends("lan1", udp(p.at(p.other, 5000), p.at(s, 53), "taken"), "wan0")
				}
				b.sends("lan1", udp(p.at(p.other, 5000), p.at(p.server, 54), "taken"), "wan0")
				c1 := p.at(p.client, 5000)
				first := b.sends("lan0", udp(c1, p.at(p.server, 53), "x"), "wan0").src
				port := b.sends("lan0", udp(c1, p.at(p.server, 54), "x"), "wan0").src
				host := b.sends("lan0", udp(c1, p.at(p.far, 53), "x"), "wan0").src
				if first.Port() == 5000 {
					t.Fatalf("%v: port 5000 is used for two", p.family)
				}
				if (port == first) != c.sameAddr || (host == first) != c.sameHost {
					t.Errorf("%s: mapped to %v, to another port of the server %v, to another server %v", p.family, first, port, host)
				}
			}
		})
	}
}

// TestRFC4787REQ2: "It is RECOMMENDED that a NAT have an 'IP address pooling'
// behavior of 'Paired'": all sockets of a host have the same outer address.
func TestRFC4787REQ2(t *testing.T) {
	b := newBox(t)
	b.load(natRules("ip", "", "oifname wan0 snat to 203.0.113.16-203.0.113.31 mapping endpoint-independent"))
	seen := map[netip.Addr]bool{}
	for h := range 20 {
		pool := map[netip.Addr]bool{}
		for i := range 10 {
			m := b.sends("lan0", udp(fmt.Sprintf("10.0.0.%d:%d", 2+h, 5000+i), fmt.Sprintf("198.51.100.%d:53", i), "x"), "wan0")
			pool[m.src.Addr()], seen[m.src.Addr()] = true, true
		}
		if len(pool) != 1 {
			t.Errorf("host %d has %d outer addresses, want 1", h, len(pool))
		}
	}
	if len(seen) < 5 {
		t.Errorf("20 hosts use %d of 16 addresses", len(seen))
	}
}

// TestRFC4787REQ3: "A NAT MUST NOT have a 'Port assignment' behavior of 'Port
// overloading'", and "well-known" ports stay among themselves (§4.2.1).
func TestRFC4787REQ3(t *testing.T) {
	b := rfcBox(t)
	for _, port := range []int{5000, 100} {
		seen := map[uint16]bool{}
		for h := range 20 {
			m := b.sends("lan0", udp(fmt.Sprintf("10.0.0.%d:%d", 2+h, port), fmt.Sprintf("198.51.100.%d:53", h), "x"), "wan0")
			if p := m.src.Port(); seen[p] || (p < 1024) != (port < 1024) {
				t.Errorf("port %d of host %d became %d", port, h, p)
			}
			seen[m.src.Port()] = true
		}
	}
}

// TestRFC4787REQ4: "It is RECOMMENDED that a NAT have a 'Port parity preservation'
// behavior of 'Yes'".
func TestRFC4787REQ4(t *testing.T) {
	b := rfcBox(t)
	for _, port := range []int{5000, 5001} {
		for h := range 50 {
			m := b.sends("lan0", udp(fmt.Sprintf("10.0.0.%d:%d", 2+h, port), "198.51.100.1:53", "x"), "wan0")
			if int(m.src.Port())%2 != port%2 {
				t.Errorf("port %d became %d", port, m.src.Port())
			}
		}
	}
}

// TestRFC4787REQ5: "A NAT UDP mapping timer MUST NOT expire in less than two
// minutes", five or more are recommended: a mapping is still there when its
// connection is long over, and ends some time.
func TestRFC4787REQ5(t *testing.T) {
	b := rfcBox(t)
	b.sends("lan1", udp("10.0.1.2:5000", "192.0.2.2:53", "takes the port"), "wan0")
	first := b.sends("lan0", udp("10.0.0.2:5000", "192.0.2.2:53", "x"), "wan0")
	b.Clock.Advance(5 * time.Minute)
	if in := b.sends("wan0", udp("198.51.100.7:1", first.src.String(), "from outside"), "lan0"); in.dst != ap("10.0.0.2:5000") {
		t.Errorf("after five minutes it leads to %v", in.dst)
	}
	b.Clock.Advance(5 * time.Minute)
	if again := b.sends("lan0", udp("10.0.0.2:5000", "198.51.100.8:53", "x"), "wan0"); again.src != first.src {
		t.Errorf("mapped to %v, after a pause to %v", first.src, again.src)
	}
	b.Clock.Advance(20 * time.Minute)
	for _, f := range b.receive("wan0", udp("198.51.100.7:1", first.src.String(), "too late").bytes()) {
		if f.port == "lan0" {
			t.Error("the mapping is there after 20 minutes of silence")
		}
	}
}

// TestRFC4787REQ6: "The NAT mapping Refresh Direction MUST have a 'NAT Outbound
// refresh behavior' of 'True'".
func TestRFC4787REQ6(t *testing.T) {
	b := rfcBox(t)
	b.sends("lan1", udp("10.0.1.2:5000", "192.0.2.2:53", "takes the port"), "wan0")
	first := b.sends("lan0", udp("10.0.0.2:5000", "192.0.2.2:53", "x"), "wan0")
	for range 20 {
		b.Clock.Advance(time.Minute)
		if m := b.sends("lan0", udp("10.0.0.2:5000", "192.0.2.2:53", "x"), "wan0"); m.src != first.src {
			t.Fatalf("mapped to %v, then to %v", first.src, m.src)
		}
	}
}

// TestRFC4787REQ8: who may come in by a mapping, by its filter (§5): anybody, whoever
// has an address that was sent to, or only who was sent to.
func TestRFC4787REQ8(t *testing.T) {
	for _, c := range []struct {
		filtering    string
		port, others bool // another port of the server, another host
	}{{endpoint, true, true}, {address, true, false}, {"", false, false}} {
		t.Run("filtering "+c.filtering, func(t *testing.T) {
			b := newBox(t)
			b.load(behave(endpoint, c.filtering))
			for _, p := range pairs {
				out := b.sends("lan0", udp(p.at(p.client, 5000), p.at(p.server, 53), "x"), "wan0").src
				for from, open := range map[string]bool{p.at(p.server, 53): true, p.at(p.server, 54): c.port, p.at(p.far, 53): c.others} {
					m := udp(from, out.String(), "hello")
					if !open {
						b.silent("wan0", m)
					} else if in := b.sends("wan0", m, "lan0"); in.dst != ap(p.at(p.client, 5000)) || in.src != ap(from) {
						t.Errorf("%v came in as %v", m, in)
					}
				}
			}
		})
	}
}

// TestRFC4787REQ9: "A NAT MUST support 'Hairpinning'", of the type "External source
// IP address and port", under each filter that a host has opened.
func TestRFC4787REQ9(t *testing.T) {
	for _, filtering := range []string{endpoint, address, ""} {
		for _, p := range pairs {
			b := newBox(t)
			b.load(behave(endpoint, filtering))
			// x1 is known by its outer address before, x2 is reached by its own.
			x1, x2 := p.at(p.client, 5001), p.at(p.other, 5002)
			out1 := b.sends("lan0", udp(x1, p.at(p.server, 53), "x"), "wan0").src
			out2 := b.sends("lan1", udp(x2, p.at(p.server, 53), "x"), "wan0").src
			if filtering == endpoint {
				m := b.sends("lan0", udp(x1, out2.String(), "hairpin"), "lan1")
				if m.src != out1 || m.dst != ap(x2) {
					t.Errorf("%s: %v to %v arrived as %v", p.family, x1, out2, m)
				}
				back := b.sends("lan1", m.answer("back"), "lan0")
				if back.src != out2 || back.dst != ap(x1) {
					t.Errorf("%s: the answer arrived as %v", p.family, back)
				}
				continue
			}
			b.silent("lan0", udp(x1, out2.String(), "nobody has let it in"))
			b.receive("lan1", udp(x2, out1.String(), "opens the filter").bytes())
			if m := b.sends("lan0", udp(x1, out2.String(), "hairpin"), "lan1"); m.src != out1 || m.dst != ap(x2) {
				t.Errorf("%s, filtering %q: it arrived as %v", p.family, filtering, m)
			}
		}
	}
}

// TestHairpinOfStrangers: a host that has no mapping gets one when it speaks to
// another's outer address, and keeps it outside.
func TestHairpinOfStrangers(t *testing.T) {
	b := rfcBox(t)
	out2 := b.sends("lan1", udp("10.0.1.2:5000", "192.0.2.2:53", "x"), "wan0").src
	m := b.sends("lan0", udp("10.0.0.2:5000", out2.String(), "hairpin"), "lan1")
	if m.src.Addr() != out2.Addr() || m.src.Port() == 5000 {
		t.Errorf("it arrived from %v", m.src)
	}
	if out := b.sends("lan0", udp("10.0.0.2:5000", "192.0.2.2:53", "x"), "wan0"); out.src != m.src {
		t.Errorf("known as %v inside and as %v outside", m.src, out.src)
	}
}

// TestRFC4787REQ11: "A NAT MUST have deterministic behavior", it "MUST NOT change the
// NAT translation or the Filtering behavior at any point in time, or under any
// particular conditions": not when the port is somebody else's.
func TestRFC4787REQ11(t *testing.T) {
	b := rfcBox(t)
	for h := range 30 {
		src := fmt.Sprintf("10.0.0.%d:5000", 2+h)
		a := b.sends("lan0", udp(src, "192.0.2.2:53", "x"), "wan0").src
		if z := b.sends("lan0", udp(src, "198.51.100.7:53", "x"), "wan0").src; a != z {
			t.Errorf("host %d is %v and %v", h, a, z)
		}
		if in := b.sends("wan0", udp("198.51.100.9:9", a.String(), "x"), "lan0"); in.dst != ap(src) {
			t.Errorf("host %d: %v leads to %v", h, a, in.dst)
		}
	}
}

// TestRFC4787REQ12: "Receipt of any sort of ICMP message MUST NOT terminate the NAT
// mapping."
func TestRFC4787REQ12(t *testing.T) {
	for _, rules := range []string{behave(endpoint, endpoint), behave("", "")} {
		b := newBox(t)
		b.load(rules)
		out := b.receive("lan0", udp("10.0.0.2:5000", "192.0.2.2:53", "x").bytes())[0]
		for _, e := range []struct{ typ, code uint8 }{{3, 0}, {3, 1}, {3, 3}, {3, 13}, {4, 0}, {11, 0}, {12, 0}} {
			b.sends("wan0", failure("192.0.2.2", "192.0.2.1", e.typ, e.code, 0, out.b), "lan0")
		}
		if in := b.sends("wan0", udp("192.0.2.2:53", "192.0.2.1:5000", "late"), "lan0"); in.dst != ap("10.0.0.2:5000") {
			t.Errorf("then it leads to %v", in.dst)
		}
	}
}

// TestRFC4787REQ13: "If the packet received on an internal IP address has DF=1, the
// NAT MUST send back an ICMP message 'Fragmentation needed and DF set'", and with DF
// clear fragment it.
func TestRFC4787REQ13(t *testing.T) {
	b := rfcBox(t)
	if err := b.ports["wan0"].dev.SetMTU(576); err != nil {
		t.Fatal(err)
	}
	m := udp("10.0.0.2:5000", "192.0.2.2:53", strings.Repeat("x", 1000))
	m.df = true
	e := b.sends("lan0", m, "lan0")
	if e.proto != wire.ProtoICMP || e.typ != 3 || e.code != 4 || e.rest != 576 || !bytes.Equal(e.data[:28], m.bytes()[:28]) {
		t.Errorf("it was answered by %v, which quotes % x", e, e.data)
	}
	m.df = false
	frames := b.receive("lan0", m.bytes())
	if len(frames) != 2 {
		t.Fatalf("%d fragments", len(frames))
	}
	whole := join(t, frames)
	if r, sound := parse(whole); !sound || r.src.Addr() != ap("192.0.2.1").Addr() || string(r.data) != string(m.data) {
		t.Errorf("the fragments make %v, sound %v", r, sound)
	}
}

// TestRFC4787REQ14: "A NAT MUST support receiving in-order and out-of-order
// fragments", both ways.
func TestRFC4787REQ14(t *testing.T) {
	b := rfcBox(t)
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 2, 0}} {
		m := udp("10.0.0.2:5000", "192.0.2.2:53", strings.Repeat("x", 1200))
		out := throughFragments(t, b, "lan0", m, order)
		if out.src != ap("192.0.2.1:5000") || string(out.data) != string(m.data) {
			t.Errorf("order %v: out came %v", order, out)
		}
		r := udp("192.0.2.2:53", "192.0.2.1:5000", strings.Repeat("y", 1100))
		in := throughFragments(t, b, "wan0", r, order)
		if in.dst != ap("10.0.0.2:5000") || string(in.data) != string(r.data) {
			t.Errorf("order %v: in came %v", order, in)
		}
	}
}

func throughFragments(t *testing.T, b *box, port string, m message, order []int) message {
	t.Helper()
	pieces := split(m.bytes(), 480)
	for _, i := range order {
		b.inject(port, pieces[i])
	}
	frames := b.take()
	if len(frames) == 0 {
		t.Fatalf("nothing came out of the fragments of %v", m)
	}
	whole := frames[0].b
	if len(frames) > 1 {
		whole = join(t, frames)
	}
	r, sound := parse(whole)
	if !sound {
		t.Errorf("%v is not sound", r)
	}
	return r
}

// split cuts an IPv4 packet into fragments with n bytes of data, a multiple of 8.
func split(b []byte, n int) (out [][]byte) {
	h, _ := wire.ParseIPv4(b)
	data := h.Payload()
	for at := 0; at < len(data); at += n {
		end := min(at+n, len(data))
		f := h.Fields()
		f.TotalLen = uint16(wire.IPv4Len + end - at)
		piece := make([]byte, wire.IPv4Len, f.TotalLen)
		f.FragOffset, f.MF = uint16(at), end < len(data)
		wire.PutIPv4(piece, &f)
		out = append(out, append(piece, data[at:end]...))
	}
	return out
}

// join puts fragments that came in order together.
func join(t *testing.T, frames []frame) []byte {
	t.Helper()
	var data []byte
	var f wire.IPv4Fields
	for i, x := range frames {
		h, ok := wire.ParseIPv4(x.b)
		if !ok || h.FragOffset() != len(data) || h.MF() != (i < len(frames)-1) {
			t.Fatalf("fragment %d: % x", i, x.b)
		}
		if i == 0 {
			f = h.Fields()
		}
		data = append(data, h.Payload()...)
	}
	f.FragOffset, f.MF, f.TotalLen = 0, false, uint16(wire.IPv4Len+len(data))
	b := make([]byte, wire.IPv4Len)
	wire.PutIPv4(b, &f)
	return append(b, data...)
}
