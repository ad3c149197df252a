package ip6_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/link/loopback"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/icmp6"
	"github.com/knitnet/knit/network/internal/ip6test"
	"github.com/knitnet/knit/network/ip6"
	"github.com/knitnet/knit/network/ndp"
	"github.com/knitnet/knit/wire"
)

func TestSmoke(t *testing.T) {
	c := clock.NewVirtual()
	a := ip6test.New(t, c, loopback.Module, ip6.Module, icmp6.Module, ndp.Module)
	b := ip6test.New(t, c, loopback.Module, ip6.Module, icmp6.Module, ndp.Module)
	var e ip6test.Ether
	x := e.Attach(t, a, "eth0", wire.MAC{2, 0, 0, 0, 0, 1})
	y := e.Attach(t, b, "eth0", wire.MAC{2, 0, 0, 0, 0, 2})
	x.SetUp(true)
	y.SetUp(true)
	c.Advance(5 * time.Second)
	for _, f := range e.Frames() {
		t.Logf("%x", f)
	}
	a.Addr(x, "fd00::1/64")
	b.Addr(y, "fd00::2/64")
	c.Advance(5 * time.Second)
	e.Frames()
	msg := make([]byte, 16)
	wire.PutICMP6(msg, wire.ICMP6Echo, 0, wire.ICMPEchoRest(1, 1))
	wire.FinishICMP6(msg, netip.MustParseAddr("fd00::1").As16(), netip.MustParseAddr("fd00::2").As16())
	a.Send(network.Flow{Dst: netip.MustParseAddr("fd00::2")}, network.Send{Proto: wire.ProtoICMPv6}, msg)
	for _, f := range e.Frames() {
		t.Logf("%x", f)
	}
	for _, ad := range a.Net.Addrs(x.Index()) {
		t.Logf("%+v", ad)
	}
	t.Log(a.Stat("Icmp6", "InEchoReplies"))
	for _, l := range a.Log.Since(0) {
		t.Log(l)
	}
}
