package ip4_test

import (
	"testing"

	"github.com/knitnet/knit/core/hook"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/internal/hosttest"
	"github.com/knitnet/knit/wire"
)

// TestForwardWhatWasFragments: a datagram that was put together on its way goes on in
// fragments no larger than those it came in, though it must not be fragmented and is
// itself larger than the link takes; if its largest fragment does not fit, it is
// answered as that would have been (RFC 1191 §4).
func TestForwardWhatWasFragments(t *testing.T) {
	for _, c := range []struct {
		largest, fragments int
		answered           bool
	}{{600, 4, false}, {1400, 0, true}} {
		h, left, right := router(t)
		right.Dev.SetMTU(1000)
		defer h.Net.Hooks[network.V4].Prerouting.Add(hook.Entry{Func: func(pkt *packet.Packet) hook.Verdict {
			pkt.FragMax = uint16(c.largest)
			return hook.Accept
		}})()
		f := from("10.0.0.2", "10.0.1.2")
		f.DF = true
		receive4(left, hosttest.IPv4(f, payload(2000)))
		sent := right.Take()
		if len(sent) != c.fragments {
			t.Errorf("fragments of %d bytes: %d packets are sent on, want %d", c.largest, len(sent), c.fragments)
		}
		for _, b := range sent {
			if v, _ := wire.ParseIPv4(b); len(b) > c.largest || !v.DF() {
				t.Errorf("fragments of %d bytes: one of %d bytes is sent on, DF %v", c.largest, len(b), v.DF())
			}
		}
		if !c.answered {
			wantNothing(t, left)
			continue
		}
		if _, m := icmpOf(t, left); m.Type() != wire.ICMP4Unreachable || m.Code() != wire.ICMP4FragNeeded {
			t.Errorf("fragments of %d bytes: answered with %d/%d", c.largest, m.Type(), m.Code())
		}
	}
}
