package ip6_test

import (
	"net/netip"
	"testing"

	"github.com/knitnet/knit/core/hook"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/internal/hosttest"
	"github.com/knitnet/knit/network/ip6"
	"github.com/knitnet/knit/network/route"
	"github.com/knitnet/knit/wire"
)

// TestOutputReroutes: a hook that changes the destination and asks for it changes the
// way, to another device or to this host itself; without a way the packet is dropped.
func TestOutputReroutes(t *testing.T) {
	h := hosttest.New(t, ip6.Module)
	left := h.Port(t, link.Info{Name: "left"}, "fd00::1/64")
	right := h.Port(t, link.Info{Name: "right"}, "fd01::1/64")
	hooks := &h.Net.Hooks[network.V6]
	var out []int32
	defer hooks.Postrouting.Add(hook.Entry{Func: func(pkt *packet.Packet) hook.Verdict {
		out = append(out, pkt.Out)
		return hook.Accept
	}})()
	targets := []netip.Addr{1: netip.MustParseAddr("fd01::2"), 2: netip.MustParseAddr("fd00::1"), 3: netip.MustParseAddr("2001:db8::1")}
	defer hooks.Output.Add(hook.Entry{Func: func(pkt *packet.Packet) hook.Verdict {
		v, _ := wire.ParseIPv6(pkt.Head())
		if i := v.Payload()[0]; i > 0 {
			v.SetDst16(targets[i].As16())
			pkt.Reroute = true
		}
		return hook.Accept
	}})()
	send := func(which byte) (l, r int) {
		h.Send(t, network.Send{Proto: wire.ProtoUDP}, "fd00::2", []byte{which, 0, 0, 0})
		return len(left.Take()), len(right.Take())
	}
	left.Take()
	right.Take()
	out = nil
	for which, want := range [][2]int{{1, 0}, {0, 1}, {0, 0}, {0, 0}} {
		if l, r := send(byte(which)); l != want[0] || r != want[1] {
			t.Errorf("destination %d: %d by left, %d by right, want %v", which, l, r, want)
		}
	}
	lo := h.Net.Loopback().Index()
	if len(out) != 3 || out[0] != left.Dev.Index() || out[1] != right.Dev.Index() || out[2] != lo {
		t.Errorf("Postrouting saw devices %v", out)
	}
	if n := h.Pool.Drops.Load(stat.IPOutNoRoutes); n != 1 {
		t.Errorf("%d packets have no route, want 1: %v", n, h.Pool.Drops.List())
	}
}

// TestOutputReroutesBound: a packet that is bound to a device leaves by it after a
// hook has changed its mark, too.
func TestOutputReroutesBound(t *testing.T) {
	h := hosttest.New(t, ip6.Module)
	left := h.Port(t, link.Info{Name: "left"}, "fd00::1/64")
	right := h.Port(t, link.Info{Name: "right"}, "fd01::1/64")
	defer h.Net.Hooks[network.V6].Output.Add(hook.Entry{Func: func(pkt *packet.Packet) hook.Verdict {
		pkt.Mark, pkt.Reroute = 7, true
		return hook.Accept
	}})()
	for _, p := range []*hosttest.Port{left, right} {
		r := route.Route{
			Dst: netip.MustParsePrefix("2001:db8::/64"), Metric: uint32(p.Dev.Index()),
			NextHops: []route.NextHop{{Index: p.Dev.Index()}},
		}
		if err := h.Net.AddRoute(r, route.Create); err != nil {
			t.Fatal(err)
		}
	}
	path, err := h.Net.Resolve(network.Flow{Dst: netip.MustParseAddr("2001:db8::9"), Index: right.Dev.Index()})
	if err != nil {
		t.Fatal(err)
	}
	left.Take()
	right.Take()
	h.Send(t, network.Send{Proto: wire.ProtoUDP, Path: path}, "", []byte{0, 0, 0, 0})
	if l, r := left.Take(), right.Take(); len(l) != 0 || len(r) != 1 {
		t.Errorf("%d by left, %d by right, want it by right", len(l), len(r))
	}
}
