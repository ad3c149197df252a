//go:build linux

package nft_test

import (
	"strings"
	"testing"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/wire"
)

// TestMSSOfTheNarrowerWay: `rt mtu` is what fits both the way there and the way back.
func TestMSSOfTheNarrowerWay(t *testing.T) {
	s := newKnitSide(t)
	if err := s.ports[0].dev.SetMTU(1300); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ packet, mss string }{
		{"ip4 10.0.0.2 10.1.0.2 tcp 5 80 S topt 020405b4", "1260"},
		{"ip6 fd00::2 fd01::2 tcp 5 80 S topt 020405b4", "1240"},
	} {
		for from, to := range []int{1, 0} {
			if _, err := s.nft("flush ruleset; table inet t { chain c { type filter hook forward priority 0; rt mtu " + c.mss + " counter; }; }"); err != nil {
				t.Fatal(err)
			}
			w := strings.Fields(c.packet)
			if from == 1 {
				w[1], w[2] = w[2], w[1]
			}
			b, err := packetOf(w)
			if err != nil {
				t.Fatal(err)
			}
			s.send(from, b)
			list, err := s.nft("list ruleset")
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(list, "packets 1") {
				t.Errorf("%v from %s to %s: not rt mtu %s", w, ports[from], ports[to], c.mss)
			}
		}
	}
}

// TestOwnPacketsPassReversePath: what this host sends to itself comes in by lo, and the
// usual check of the way back does not hit it.
func TestOwnPacketsPassReversePath(t *testing.T) {
	s := newKnitSide(t)
	if _, err := s.nft("table inet t { chain c { type filter hook prerouting priority 0; fib saddr . iif oif missing counter drop; iifname lo counter; }; }"); err != nil {
		t.Fatal(err)
	}
	b, err := packetOf(strings.Fields("ip4 10.0.0.1 127.0.0.1 udp 5 6"))
	if err != nil {
		t.Fatal(err)
	}
	pkt := s.k.Pool.Get()
	pkt.Append(b)
	pkt.Proto = wire.EtherTypeIPv4
	var q packet.Queue
	q.Push(pkt)
	s.k.Network.Loopback().Receive(&q)
	list, err := s.nft("list ruleset")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(list, "missing counter packets 0 ") || !strings.Contains(list, "\"lo\" counter packets 2 ") { // and its answer
		t.Errorf("what came in by lo is counted so:\n%s", list)
	}
}
