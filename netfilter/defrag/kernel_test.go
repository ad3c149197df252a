package defrag_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/core/hook"
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/internal/leak"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/network/route"
	"github.com/knitnet/knit/std"
)

var ctx = context.Background()

func kernel(t *testing.T) *knit.Kernel {
	t.Helper()
	k, err := knit.New(knit.Config{Modules: std.Modules()})
	if err != nil {
		t.Fatal(err)
	}
	leak.Zero(t, "packets", k.Pool.Live)
	t.Cleanup(func() { k.Close() })
	for _, m := range []string{"udp", "icmp4", "icmp6"} {
		if err := k.Modprobe(ctx, m); err != nil {
			t.Fatal(err)
		}
	}
	return k
}

// join connects a host to the router and makes the router its way to everywhere.
func join(t *testing.T, host, router *knit.Kernel, net4, net6 string) *link.Device {
	t.Helper()
	x, y, err := host.Join(router, link.PipeConfig{})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{net4, net6} {
		for _, e := range []struct {
			k   *knit.Kernel
			dev *link.Device
			n   string
		}{{host, x, "2"}, {router, y, "1"}} {
			if err := e.k.AddAddr(e.dev.Name(), netip.MustParsePrefix(strings.Replace(f, "N", e.n, 1))); err != nil {
				t.Fatal(err)
			}
		}
		gw := netip.MustParsePrefix(strings.Replace(f, "N", "1", 1)).Addr()
		all := "0.0.0.0/0"
		if gw.Is6() {
			all = "::/0"
		}
		r := route.Route{Dst: netip.MustParsePrefix(all), NextHops: []route.NextHop{{Gateway: gw, Index: x.Index()}}}
		if err := host.Network.AddRoute(r, route.Create); err != nil {
			t.Fatal(err)
		}
	}
	return x
}

// lengths notes how many packets pass a hook point and how long the longest is.
type lengths struct{ n, longest atomic.Int64 }

func (l *lengths) watch(t *testing.T, p *hook.Point) {
	t.Cleanup(p.Add(hook.Entry{Owner: "test", Priority: hook.First, Func: func(pkt *packet.Packet) hook.Verdict {
		l.n.Add(1)
		l.longest.Store(max(l.longest.Load(), int64(pkt.Len())))
		return hook.Accept
	}}))
}

// TestFragmentsPassWhole: tracking sees one packet, and what leaves the router is
// cut into fragments no larger than those that came, though the link allows more.
func TestFragmentsPassWhole(t *testing.T) {
	leak.Check(t)
	client, router, server := kernel(t), kernel(t), kernel(t)
	dev := join(t, client, router, "10.0.0.N/24", "fd00::N/64")
	join(t, server, router, "10.0.1.N/24", "fd01::N/64")
	for _, name := range []string{"net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"} {
		if err := router.Sysctl.Set(name, "1"); err != nil {
			t.Fatal(err)
		}
	}
	if err := dev.SetMTU(1300); err != nil {
		t.Fatal(err)
	}
	if err := router.Modprobe(ctx, "nf_conntrack"); err != nil {
		t.Fatal(err)
	}
	track, _ := module.Find[netfilter.Tracker](router.Modules, netfilter.TrackerSymbol)
	release := track.Hold([2]bool{true, true})
	for i, to := range []string{"10.0.1.2:7", "[fd01::2]:7"} {
		var inside, outside lengths
		inside.watch(t, &router.Network.Hooks[i].Forward)
		outside.watch(t, &server.Network.Hooks[i].Prerouting)
		in, err := server.ListenPacket("udp", to)
		if err != nil {
			t.Fatal(err)
		}
		out, err := client.Dial("udp", to)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := out.Write(make([]byte, 5000)); err != nil {
			t.Fatal(err)
		}
		if n, _, err := in.ReadFrom(make([]byte, 6000)); n != 5000 || err != nil {
			t.Fatalf("%d bytes came, %v; want 5000", n, err)
		}
		if inside.n.Load() != 1 || inside.longest.Load() < 5000 {
			t.Errorf("%d packets were forwarded, the longest of %d bytes; want one of all", inside.n.Load(), inside.longest.Load())
		}
		if outside.n.Load() < 4 || outside.longest.Load() > 1300 {
			t.Errorf("%d fragments came, the longest of %d bytes; want 4 of at most 1300, besides neighbour discovery", outside.n.Load(), outside.longest.Load())
		}
		if track.Count() != i+1 {
			t.Errorf("%d connections, want %d", track.Count(), i+1)
		}
		in.Close()
		out.Close()
	}
	for _, name := range []string{"nf_conntrack", "nf_defrag_ipv4", "nf_defrag_ipv6"} {
		if err := router.Rmmod(ctx, name); !errors.Is(err, syscall.EBUSY) && !errors.Is(err, syscall.EAGAIN) {
			t.Errorf("rmmod %s while it is needed: %v", name, err)
		}
	}
	release()
	for _, name := range []string{"nf_conntrack", "nf_defrag_ipv4", "nf_defrag_ipv6"} {
		if err := router.Rmmod(ctx, name); err != nil {
			t.Errorf("rmmod %s: %v", name, err)
		}
	}
}
