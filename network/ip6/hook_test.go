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
	"github.com/knitnet/knit/network/internal/ip6test"
	"github.com/knitnet/knit/network/ip6"
	"github.com/knitnet/knit/network/route"
	"github.com/knitnet/knit/wire"
)

// newGateway returns a router at fd00::1/64 and fd01::1/64.
func newGateway(t *testing.T) (h *hosttest.Host, left, right *hosttest.Port) {
	h = hosttest.New(t, ip6.Module)
	left = h.Port(t, link.Info{Name: "left"}, "fd00::1/64")
	right = h.Port(t, link.Info{Name: "right"}, "fd01::1/64")
	h.Set(t, "net.ipv6.conf.all.forwarding", "1")
	left.Take()
	right.Take()
	return h, left, right
}

func addRoute(t *testing.T, h *hosttest.Host, dst string, table uint32, p *hosttest.Port) {
	t.Helper()
	r := route.Route{Dst: netip.MustParsePrefix(dst), Table: table, NextHops: []route.NextHop{{Index: p.Dev.Index()}}}
	if err := h.Net.AddRoute(r, route.Create); err != nil {
		t.Fatal(err)
	}
}

// TestForwardHookChangesNoWay: what a Forward hook does to the mark or to the
// destination of a packet comes too late to change its way, as on Linux.
func TestForwardHookChangesNoWay(t *testing.T) {
	h, left, right := newGateway(t)
	addRoute(t, h, "2001:db8::/32", 0, right)
	addRoute(t, h, "2001:db8::/32", 7, left)
	addRoute(t, h, "2001:db9::/32", 0, left)
	if err := h.Net.AddRule(network.V6, route.Rule{Priority: 5, Table: 7, Mark: 1, Mask: 1}, true); err != nil {
		t.Fatal(err)
	}
	elsewhere := netip.MustParseAddr("2001:db9::1").As16()
	for what, change := range map[string]func(*packet.Packet, wire.IPv6){
		"mark":        func(pkt *packet.Packet, _ wire.IPv6) { pkt.Mark = 1 },
		"destination": func(_ *packet.Packet, v wire.IPv6) { v.SetDst16(elsewhere) },
	} {
		undo := h.Net.Hooks[network.V6].Forward.Add(hook.Entry{Func: func(pkt *packet.Packet) hook.Verdict {
			v, _ := wire.ParseIPv6(pkt.Head())
			change(pkt, v)
			return hook.Accept
		}})
		b := ip6test.ICMP(netip.MustParseAddr("fd00::2"), netip.MustParseAddr("2001:db8::1"), 64, ip6test.Echo(10))
		left.Receive(wire.EtherTypeIPv6, b)
		undo()
		if l, r := len(left.Take()), len(right.Take()); l != 0 || r != 1 {
			t.Errorf("changed %s: %d by left, %d by right, want it by right", what, l, r)
		}
	}
}

// TestRerouteKeepsLink: a packet to an address of a link stays on its link when it is
// routed again, though it was not bound to that.
func TestRerouteKeepsLink(t *testing.T) {
	h, left, right := newGateway(t)
	addRoute(t, h, "ff15::/16", route.TableLocal, right)
	addRoute(t, h, "ff15::/16", 7, left)
	if err := h.Net.AddRule(network.V6, route.Rule{Priority: 0, Table: 7, Mark: 1, Mask: 1}, true); err != nil {
		t.Fatal(err)
	}
	defer h.Net.Hooks[network.V6].Output.Add(hook.Entry{Func: func(pkt *packet.Packet) hook.Verdict {
		pkt.Mark, pkt.Reroute = 1, true
		return hook.Accept
	}})()
	left.Take()
	right.Take()
	h.Send(t, network.Send{Proto: wire.ProtoUDP}, "ff15::1", []byte{0, 0, 0, 0})
	if l, r := len(left.Take()), len(right.Take()); l != 0 || r != 1 {
		t.Errorf("%d by left, %d by right, want it by right", l, r)
	}
}

// TestMangledHeaders: a packet whose header a hook has made unreadable is dropped, at
// every hook point, and nothing relies on it.
func TestMangledHeaders(t *testing.T) {
	h, left, right := newGateway(t)
	hooks := &h.Net.Hooks[network.V6]
	src, here, there := netip.MustParseAddr("fd00::2"), netip.MustParseAddr("fd00::1"), netip.MustParseAddr("fd01::2")
	options := []byte{wire.ProtoNoNext, 0, 1, 4, 0, 0, 0, 0} // an empty destination options header
	packetTo := func(dst netip.Addr) []byte {
		b := ip6test.ICMP(src, dst, 64, options)
		b[6] = wire.ProtoDstOpts
		return b
	}
	for _, c := range []struct {
		name string
		at   *hook.Point
		do   func()
	}{
		{"prerouting", &hooks.Prerouting, func() { left.Receive(wire.EtherTypeIPv6, packetTo(here)) }},
		{"input", &hooks.Input, func() { left.Receive(wire.EtherTypeIPv6, packetTo(here)) }},
		{"forward", &hooks.Forward, func() { left.Receive(wire.EtherTypeIPv6, packetTo(there)) }},
		{"output", &hooks.Output, func() { h.Send(t, network.Send{Proto: wire.ProtoDstOpts}, "fd01::2", make([]byte, 2000)) }},
		{"postrouting", &hooks.Postrouting, func() { h.Send(t, network.Send{Proto: wire.ProtoDstOpts}, "fd01::2", make([]byte, 2000)) }},
	} {
		undo := c.at.Add(hook.Entry{Func: func(pkt *packet.Packet) hook.Verdict {
			pkt.Head()[0] = 0x45
			return hook.Accept
		}})
		before := h.Pool.Drops.Load(stat.IPInHdr)
		c.do()
		undo()
		if n := h.Pool.Drops.Load(stat.IPInHdr) - before; n != 1 {
			t.Errorf("%s: %d packets dropped for their header, want 1", c.name, n)
		}
		if len(left.Take()) != 0 || len(right.Take()) != 0 {
			t.Errorf("%s: something was sent", c.name)
		}
	}
}
