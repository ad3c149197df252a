package ip4_test

import (
	"net/netip"
	"testing"

	"github.com/knitnet/knit/core/hook"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/internal/hosttest"
	"github.com/knitnet/knit/network/route"
	"github.com/knitnet/knit/wire"
)

// markRoutes sends what has a mark of 1 to 192.0.2.0/24 by right, the rest by left.
func markRoutes(t *testing.T, h *hosttest.Host, left, right *hosttest.Port) {
	t.Helper()
	for table, p := range map[uint32]*hosttest.Port{route.TableMain: left, 7: right} {
		r := route.Route{
			Dst: netip.MustParsePrefix("192.0.2.0/24"), Table: table,
			NextHops: []route.NextHop{{Index: p.Dev.Index()}},
		}
		if err := h.Net.AddRoute(r, route.Create); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.Net.AddRule(network.V4, route.Rule{Priority: 5, Table: 7, Mark: 1, Mask: 1}, true); err != nil {
		t.Fatal(err)
	}
}

// TestOutputMark: a mark that an Output hook sets changes the way of a packet only if
// the hook asks for it: chains of type route do, those of type filter do not (nft(8)).
func TestOutputMark(t *testing.T) {
	h, left, right := host(t)
	markRoutes(t, h, left, right)
	for _, reroute := range []bool{false, true} {
		undo := h.Net.Hooks[network.V4].Output.Add(hook.Entry{Func: func(pkt *packet.Packet) hook.Verdict {
			pkt.Mark, pkt.Reroute = 1, reroute
			return hook.Accept
		}})
		h.Send(t, network.Send{Proto: wire.ProtoUDP}, "192.0.2.1", []byte{0, 0, 0, 0})
		if l, r := len(left.Take()), len(right.Take()); (r == 1) != reroute || l+r != 1 {
			t.Errorf("asked for: %v; %d by left, %d by right", reroute, l, r)
		}
		undo()
	}
}

// TestMangledHeaders: a packet whose header a hook has made unreadable is dropped, at
// every hook point, and nothing relies on it.
func TestMangledHeaders(t *testing.T) {
	h, left, right := router(t)
	right.Dev.SetMTU(576)
	hooks := &h.Net.Hooks[network.V4]
	in := hosttest.IPv4(from("10.0.0.2", "10.0.0.1"), payload(600))
	through := hosttest.IPv4(from("10.0.0.2", "10.0.1.2"), payload(600))
	for _, c := range []struct {
		name string
		at   *hook.Point
		do   func()
	}{
		{"prerouting", &hooks.Prerouting, func() { receive4(left, in) }},
		{"input", &hooks.Input, func() { receive4(left, in) }},
		{"forward", &hooks.Forward, func() { receive4(left, through) }},
		{"output", &hooks.Output, func() { h.Send(t, network.Send{Proto: 253}, "10.0.1.2", payload(600)) }},
		{"postrouting", &hooks.Postrouting, func() { receive4(left, through) }},
	} {
		for _, first := range []byte{0x4f, 0x41, 0x65, 0} {
			undo := c.at.Add(hook.Entry{Func: func(pkt *packet.Packet) hook.Verdict {
				pkt.Head()[0] = first
				return hook.Accept
			}})
			before := h.Pool.Drops.Load(stat.IPInHdr)
			c.do()
			undo()
			if n := h.Pool.Drops.Load(stat.IPInHdr) - before; n != 1 {
				t.Errorf("%s, first octet %#x: %d packets dropped for their header, want 1", c.name, first, n)
			}
			left.Take()
			wantNothing(t, right)
		}
	}
}
