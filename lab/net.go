package lab

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/internal/leak"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/std"
)

// Kernel returns a kernel with modules loaded; a name behind a minus is one that
// does not exist there, not even as somebody's optional dependency. It is closed at
// the end of the test, which fails if a packet or a buffer is left then, or if
// something panicked.
func Kernel(t testing.TB, c *clock.Clock, modules ...string) *knit.Kernel {
	t.Helper()
	specs := slices.DeleteFunc(std.Modules(), func(s module.Spec) bool {
		return slices.Contains(modules, "-"+s.Name)
	})
	k, err := knit.New(knit.Config{Modules: specs, Clock: c})
	if err != nil {
		t.Fatal(err)
	}
	leak.Zero(t, "packets", k.Pool.Live)
	leak.Zero(t, "buffers", k.Pool.LiveBufs)
	leak.Zero(t, "oopses", k.Log.Oopses)
	t.Cleanup(func() {
		if err := k.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	for _, m := range modules {
		if strings.HasPrefix(m, "-") {
			continue
		}
		if err := k.Modprobe(context.Background(), m); err != nil {
			t.Fatal(err)
		}
	}
	return k
}

// Connect joins two kernels by a wire and gives the ends addresses of one prefix,
// the first to a and the second to z. Both use the clock of a.
func Connect(t testing.TB, a, z *knit.Kernel, w Wire, prefixes ...netip.Prefix) (atA, atZ *End) {
	t.Helper()
	atA, atZ = newEnd(&w, a.Clock, 1), newEnd(&w, a.Clock, 2)
	x := attach(t, a, atA, w.MTU)
	y := attach(t, z, atZ, w.MTU)
	atA.peer, atZ.peer = y, x
	for _, p := range prefixes {
		first := p.Masked().Addr().Next()
		address(t, a, x, netip.PrefixFrom(first, p.Bits()))
		address(t, z, y, netip.PrefixFrom(first.Next(), p.Bits()))
	}
	for _, d := range []*link.Device{x, y} {
		if err := d.SetUp(true); err != nil {
			t.Fatal(err)
		}
	}
	return atA, atZ
}

func newEnd(w *Wire, c *clock.Clock, side uint64) *End {
	return &End{wire: w, clock: c, random: rand.New(rand.NewPCG(w.Seed, side)), pending: map[*clock.Timer]*packet.Packet{}}
}

func attach(t testing.TB, k *knit.Kernel, e *End, mtu int) *link.Device {
	d, err := k.Link.Attach(link.Info{Name: "lab%d", Kind: "lab", Type: link.None, MTU: mtu}, e)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func address(t testing.TB, k *knit.Kernel, d *link.Device, p netip.Prefix) {
	t.Helper()
	if err := k.Network.AddAddr(d, network.Addr{Prefix: p, Flags: network.NoDAD}); err != nil {
		t.Fatal(fmt.Errorf("address %v: %w", p, err))
	}
}
