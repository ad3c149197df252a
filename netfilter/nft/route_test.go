package nft_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/knitnet/knit/core/hook"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/wire"
)

// TestRouteChain: "If a packet has traversed a chain of this type and is about to be
// accepted, a new route lookup is performed if relevant parts of the IP header have
// changed" (nft(8)); not for what a chain of type filter has changed, and for nat if
// the destination is another address.
func TestRouteChain(t *testing.T) {
	k, rules := newKernel(t)
	if err := k.Modprobe(t.Context(), "ip6"); err != nil {
		t.Fatal(err)
	}
	var rerouted bool
	for _, v := range []network.Version{network.V4, network.V6} {
		defer k.Network.Hooks[v].Output.Add(hook.Entry{Priority: hook.Last, Func: func(pkt *packet.Packet) hook.Verdict {
			rerouted = pkt.Reroute
			return hook.Drop
		}})()
	}
	for _, c := range []struct {
		typ, statement string
		v6, want       bool
	}{
		{"filter", "meta mark set 1", false, false},
		{"filter", "ip daddr set 127.0.0.9", false, false},
		{"route", "counter", false, false},
		{"route", "meta mark set 0", false, false},
		{"route", "meta mark set 1", false, true},
		{"route", "ip saddr set 127.0.0.9", false, true},
		{"route", "ip daddr set 127.0.0.9", false, true},
		{"route", "ip dscp set 4", false, true},
		{"route", "ip ttl set 4", false, false},
		{"route", "udp dport set 4", false, false},
		{"nat", "dnat to 127.0.0.9", false, true},
		{"nat", "udp dport 53 dnat to 127.0.0.1:9", false, false},
		{"filter", "meta mark set 1", true, false},
		{"route", "meta mark set 1", true, true},
		{"route", "ip6 hoplimit set 9", true, true},
		{"route", "ip6 flowlabel set 9", true, true},
		{"route", "ip6 daddr set ::2", true, true},
		{"nat", "dnat to ::2", true, true},
	} {
		family, dst := "ip", "127.0.0.1"
		if c.v6 {
			family, dst = "ip6", "::1"
		}
		loadRules(t, rules, fmt.Sprintf("flush ruleset\ntable %s t { chain o { type %s hook output priority -100; %s; }; }", family, c.typ, c.statement))
		path, err := k.Network.Resolve(network.Flow{Dst: netip.MustParseAddr(dst)})
		if err != nil {
			t.Fatal(err)
		}
		pkt := k.Pool.Get()
		pkt.Append([]byte{0x10, 0, 0, 53, 0, 8, 0, 0})
		var q packet.Queue
		q.Push(pkt)
		k.Network.Send(&network.Send{Path: path, Proto: wire.ProtoUDP}, &q)
		if rerouted != c.want {
			t.Errorf("%s in a chain of type %s and family %s: routed again: %v, want %v", c.statement, c.typ, family, rerouted, c.want)
		}
	}
}
