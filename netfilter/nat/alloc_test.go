package nat_test

import (
	"testing"
)

// TestNoAllocation: packets of a connection that is translated allocate nothing, in
// either behaviour and direction.
func TestNoAllocation(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates by itself")
	}
	for _, rules := range []string{behave("", ""), behave(endpoint, endpoint)} {
		b := newBox(t)
		b.load(rules)
		s := newStream(t, b, 1)
		s.pass(0)
		if n := testing.AllocsPerRun(100, func() { s.pass(0) }); n != 0 {
			t.Errorf("%s\n%v allocations for %d packets", rules, n, benchBatch)
		}
	}
}

// FuzzHostile lets any octets come in at a gateway that translates: nothing panics,
// nothing is left.
func FuzzHostile(f *testing.F) {
	b := newBox(f)
	b.load(behave(endpoint, endpoint) + `table inet d {
	chain pre { type nat hook prerouting priority dstnat; iifname "wan0" tcp dport 80 dnat ip to 10.0.0.2; }
}`)
	for _, p := range pairs {
		sent := udp(p.at(p.client, 5000), p.at(p.server, 53), "question").bytes()
		b.inject("lan0", sent)
		f.Add(sent)
		f.Add(tcp(p.at(p.client, 5000), p.at(p.server, 80), syn, 1, 0, "").bytes())
		f.Add(echo(p.client, p.server, 1, 1).bytes())
		f.Add(udp(p.at(p.far, 53), p.at(p.outer, 5000), "from outside").bytes())
		out := udp(p.at(p.outer, 5000), p.at(p.server, 53), "question").bytes()
		typ := uint8(3)
		if p.family == "ip6" {
			typ = 1
		}
		f.Add(failure(p.server, p.outer, typ, 3, 0, out).bytes())
		f.Add(failure(p.server, p.outer, typ, 3, 0, out[:len(out)-9]).bytes())
	}
	b.take()
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) == 0 || len(raw) > 2000 {
			return
		}
		for _, port := range []string{"lan0", "wan0"} {
			b.inject(port, raw)
			b.take()
		}
	})
}
