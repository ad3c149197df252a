package datagram

import (
	"net/netip"
	"testing"

	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/transport"
)

// TestMulticastTTL: every value of IP_MULTICAST_TTL means what it does on Linux.
func TestMulticastTTL(t *testing.T) {
	var s Options
	group := netip.MustParseAddr("239.1.2.3")
	check := func(when string, get int64, ttl uint8, noHops bool) {
		t.Helper()
		var send network.Send
		s.Fill(&send, group)
		if v, err := s.Get(nil, transport.MulticastTTL); v != get || err != nil || send.TTL != ttl || send.NoHops != noHops {
			t.Errorf("%s: %d %v, TTL %d, no hops %v; want %d, %d, %v", when, v, err, send.TTL, send.NoHops, get, ttl, noHops)
		}
	}
	check("at first", 1, 0, false)
	for _, tt := range []struct {
		set, get int64
		ttl      uint8
		noHops   bool
	}{{0, 0, 0, true}, {1, 1, 1, false}, {255, 255, 255, false}, {-1, 1, 0, false}} {
		if err := s.Set(nil, transport.MulticastTTL, tt.set); err != nil {
			t.Fatal(err)
		}
		check("set", tt.get, tt.ttl, tt.noHops)
	}
	for _, v := range []int64{-2, 256} {
		if s.Set(nil, transport.MulticastTTL, v) == nil {
			t.Errorf("%d is taken", v)
		}
	}
	var send network.Send
	s.Set(nil, transport.MulticastTTL, 0)
	if s.Fill(&send, netip.MustParseAddr("10.0.0.1")); send.NoHops {
		t.Error("it holds for unicast, too")
	}
}
