package nat_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/knitnet/knit/wire"
)

const syn, ack, fin, rst = wire.TCPSyn, wire.TCPAck, wire.TCPFin, wire.TCPRst

// open lets a client connect through the gateway, and returns what the server saw.
func (b *box) open(in, client, server string) message {
	b.t.Helper()
	s := b.sends(in, tcp(client, server, syn, 100, 0, ""), "wan0")
	b.sends("wan0", tcp(server, s.src.String(), syn|ack, 500, 101, ""), in)
	b.sends(in, tcp(client, server, ack, 101, 501, ""), "wan0")
	return s
}

// TestRFC5382REQ1: "A NAT MUST have an 'Endpoint-Independent Mapping' behavior for
// TCP."
func TestRFC5382REQ1(t *testing.T) {
	b := rfcBox(t)
	b.open("lan1", "10.0.1.2:5000", "192.0.2.2:80")
	first := b.open("lan0", "10.0.0.2:5000", "192.0.2.2:80").src
	for i := range 5 {
		if m := b.open("lan0", "10.0.0.2:5000", fmt.Sprintf("198.51.100.%d:%d", i+1, 80+i)); m.src != first {
			t.Errorf("known as %v and as %v", first, m.src)
		}
	}
}

// TestRFC5382REQ2: "A NAT MUST support all valid sequences of TCP packets (defined
// in [RFC0793]) for connections initiated both internally as well as externally when
// the connection is permitted by the NAT", simultaneous open above all.
func TestRFC5382REQ2(t *testing.T) {
	for _, rules := range []string{behave(endpoint, endpoint), behave(endpoint, address), behave("", "")} {
		b := newBox(t)
		b.load(rules)
		const client, server = "10.0.0.2:5000", "192.0.2.2:80"
		// Both send their SYN; then each acknowledges the other's with a SYN-ACK.
		out := b.sends("lan0", tcp(client, server, syn, 100, 0, ""), "wan0").src.String()
		b.sends("wan0", tcp(server, out, syn, 500, 0, ""), "lan0")
		b.sends("lan0", tcp(client, server, syn|ack, 100, 501, ""), "wan0")
		b.sends("wan0", tcp(server, out, syn|ack, 500, 101, ""), "lan0")
		for range 3 {
			b.sends("lan0", tcp(client, server, ack, 101, 501, "data"), "wan0")
			b.sends("wan0", tcp(server, out, ack, 501, 105, "data"), "lan0")
		}
	}
	// From outside, where the filter permits it, with both ways of closing.
	b := rfcBox(t)
	out := b.open("lan0", "10.0.0.2:5000", "192.0.2.2:80").src.String()
	for i, last := range []uint16{fin | ack, rst | ack} {
		from := fmt.Sprintf("198.51.100.7:%d", 1000+i)
		if m := b.sends("wan0", tcp(from, out, syn, 1, 0, ""), "lan0"); m.dst != ap("10.0.0.2:5000") {
			t.Errorf("a connection from outside goes to %v", m.dst)
		}
		if m := b.sends("lan0", tcp("10.0.0.2:5000", from, syn|ack, 7, 2, ""), "wan0"); m.src.String() != out {
			t.Errorf("the answer to it comes from %v", m.src)
		}
		b.sends("wan0", tcp(from, out, ack, 2, 8, ""), "lan0")
		b.sends("wan0", tcp(from, out, last, 2, 8, ""), "lan0")
	}
}

// TestRFC5382REQ3: endpoint-independent filtering is recommended, and an address
// dependent one if need be; the rule says which.
func TestRFC5382REQ3(t *testing.T) {
	for filtering, open := range map[string][2]bool{endpoint: {true, true}, address: {true, false}, "": {false, false}} {
		b := newBox(t)
		b.load(behave(endpoint, filtering))
		out := b.open("lan0", "10.0.0.2:5000", "192.0.2.2:80").src.String()
		for i, from := range []string{"192.0.2.2:81", "198.51.100.7:80"} {
			if m := tcp(from, out, syn, 1, 0, ""); open[i] {
				b.sends("wan0", m, "lan0")
			} else {
				b.silent("wan0", m)
			}
		}
	}
}

// TestRFC5382REQ4: "A NAT MUST NOT respond to an unsolicited inbound SYN packet for
// at least 6 seconds after the packet is received", and if an outbound SYN comes
// meanwhile the connection goes on.
func TestRFC5382REQ4(t *testing.T) {
	b := newBox(t)
	b.load(behave(endpoint, address))
	out := b.open("lan0", "10.0.0.2:5000", "192.0.2.2:80").src.String()
	b.silent("wan0", tcp("198.51.100.7:80", out, syn, 1, 0, ""))
	b.Clock.Advance(6 * time.Second)
	if late := b.take(); len(late) != 0 {
		t.Errorf("six seconds later: %v", late)
	}
	if m := b.sends("lan0", tcp("10.0.0.2:5000", "198.51.100.7:80", syn, 100, 0, ""), "wan0"); m.src.String() != out {
		t.Errorf("the outbound SYN comes from %v", m.src)
	}
	b.sends("wan0", tcp("198.51.100.7:80", out, syn, 1, 0, ""), "lan0")
}

// TestRFC5382REQ5: "the 'established connection idle-timeout' for a NAT MUST NOT be
// less than 2 hours 4 minutes" and "The value of the 'transitory connection
// idle-timeout' MUST NOT be less than 4 minutes": that long the mapping is there.
func TestRFC5382REQ5(t *testing.T) {
	b := rfcBox(t)
	b.open("lan1", "10.0.1.2:5000", "192.0.2.2:80")
	out := b.open("lan0", "10.0.0.2:5000", "192.0.2.2:80").src.String()
	b.Clock.Advance(2*time.Hour + 4*time.Minute)
	b.sends("wan0", tcp("192.0.2.2:80", out, ack, 501, 101, "late"), "lan0")

	half := b.sends("lan0", tcp("10.0.0.3:5000", "192.0.2.2:80", syn, 100, 0, ""), "wan0").src
	b.Clock.Advance(4 * time.Minute)
	if again := b.sends("lan0", tcp("10.0.0.3:5000", "192.0.2.2:80", syn, 100, 0, ""), "wan0").src; again != half {
		t.Errorf("a half open connection was %v, and is %v", half, again)
	}
}

// TestRFC5382REQ7: "A NAT MUST NOT have a 'Port assignment' behavior of 'Port
// overloading' for TCP."
func TestRFC5382REQ7(t *testing.T) {
	b := rfcBox(t)
	seen := map[string]bool{}
	for h := range 20 {
		out := b.open("lan0", fmt.Sprintf("10.0.0.%d:5000", 2+h), fmt.Sprintf("198.51.100.%d:80", h+1)).src.String()
		if seen[out] {
			t.Errorf("%s is used for two", out)
		}
		seen[out] = true
	}
}

// TestRFC5382REQ8: "A NAT MUST support 'hairpinning' for TCP", of type "External
// source IP address and port".
func TestRFC5382REQ8(t *testing.T) {
	b := rfcBox(t)
	out1 := b.open("lan0", "10.0.0.2:5001", "192.0.2.2:80").src
	out2 := b.open("lan1", "10.0.1.2:5002", "192.0.2.2:80").src
	m := b.sends("lan0", tcp("10.0.0.2:5001", out2.String(), syn, 1, 0, ""), "lan1")
	if m.src != out1 || m.dst != ap("10.0.1.2:5002") {
		t.Fatalf("the SYN arrives as %v", m)
	}
	r := b.sends("lan1", tcp("10.0.1.2:5002", out1.String(), syn|ack, 9, 2, ""), "lan0")
	if r.src != out2 || r.dst != ap("10.0.0.2:5001") {
		t.Errorf("the answer arrives as %v", r)
	}
	b.sends("lan0", tcp("10.0.0.2:5001", out2.String(), ack, 2, 10, "data"), "lan1")
}

// TestRFC5382REQ9And10: ICMP errors about a connection are translated, and end
// neither it nor its mapping.
func TestRFC5382REQ9And10(t *testing.T) {
	b := rfcBox(t)
	out := b.open("lan0", "10.0.0.2:5000", "192.0.2.2:80").src.String()
	sent := b.receive("lan0", tcp("10.0.0.2:5000", "192.0.2.2:80", ack, 101, 501, "data").bytes())[0]
	for _, e := range []struct{ typ, code uint8 }{{3, 0}, {3, 1}, {3, 3}, {3, 4}, {3, 13}, {11, 0}, {12, 0}} {
		m := b.sends("wan0", failure("198.51.100.1", "192.0.2.1", e.typ, e.code, 0, sent.b), "lan0")
		q, _ := parse(m.data)
		if m.dst.Addr() != ap("10.0.0.2").Addr() || m.typ != e.typ || m.code != e.code || q.src != ap("10.0.0.2:5000") {
			t.Errorf("%v about %v", m, q)
		}
	}
	b.sends("wan0", tcp("192.0.2.2:80", out, ack, 501, 105, "still there"), "lan0")
}
