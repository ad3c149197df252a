package uplink_test

import (
	"context"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/internal/leak"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network/route"
	"github.com/knitnet/knit/service/uplink"
	"github.com/knitnet/knit/std"
)

// A world is three kernels: guest is joined by a pipe to gate, whose uplink finds
// outside where the host would be.
//
//	guest 10.0.2.100 --- 10.0.2.2, .3 gate ... uplink ... outside 192.0.2.1
//	      fd00::100      fd00::2                          2001:db8::1
type world struct {
	t                    *testing.T
	guest, gate, outside *knit.Kernel
	// dial is what the uplink calls; the default dials in outside.
	dial func(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error)
}

var ctx = context.Background()

func newWorld(t *testing.T, c *clock.Clock, params ...string) *world {
	t.Helper()
	leak.Check(t)
	w := &world{t: t}
	w.guest, w.gate, w.outside = w.kernel(c), w.kernel(c), w.kernel(c)
	w.dial = func(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error) {
		return w.outside.DialContext(ctx, network, to.String())
	}
	for _, k := range []*knit.Kernel{w.guest, w.gate, w.outside} {
		w.modprobe(k, "tcp")
		w.modprobe(k, "udp")
		w.modprobe(k, "icmp4")
		w.modprobe(k, "icmp6")
	}
	x, y, err := w.guest.Join(w.gate, link.PipeConfig{})
	if err != nil {
		t.Fatal(err)
	}
	w.addr(w.guest, x.Name(), "10.0.2.100/24", "fd00::100/64")
	w.addr(w.gate, y.Name(), "10.0.2.2/24", "10.0.2.3/24", "fd00::2/64", "fd00::3/64")
	w.addr(w.outside, "lo", "192.0.2.1/32", "2001:db8::1/128")
	for to, via := range map[string]string{"0.0.0.0/0": "10.0.2.2", "::/0": "fd00::2"} {
		r := route.Route{
			Dst: netip.MustParsePrefix(to), NextHops: []route.NextHop{{Gateway: netip.MustParseAddr(via), Index: x.Index()}},
		}
		if err := w.guest.Network.AddRoute(r, route.Create); err != nil {
			t.Fatal(err)
		}
	}
	w.modprobe(w.gate, "uplink", params...)
	return w
}

func (w *world) kernel(c *clock.Clock) *knit.Kernel {
	w.t.Helper()
	specs := slices.DeleteFunc(std.Modules(), func(m module.Spec) bool { return m.Name == "uplink" })
	specs = append(specs, uplink.WithDialer(func(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error) {
		return w.dial(ctx, network, to)
	}))
	k, err := knit.New(knit.Config{Modules: specs, Clock: c})
	if err != nil {
		w.t.Fatal(err)
	}
	leak.Zero(w.t, "packets", k.Pool.Live)
	leak.Zero(w.t, "buffers", k.Pool.LiveBufs)
	w.t.Cleanup(func() {
		if err := k.Close(); err != nil {
			w.t.Error(err)
		}
	})
	return k
}

func (w *world) modprobe(k *knit.Kernel, name string, params ...string) {
	w.t.Helper()
	if err := k.Modprobe(ctx, name, params...); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) addr(k *knit.Kernel, dev string, prefixes ...string) {
	w.t.Helper()
	for _, p := range prefixes {
		if err := k.AddAddr(dev, netip.MustParsePrefix(p)); err != nil {
			w.t.Fatal(err)
		}
	}
}

// listen listens outside and calls serve for each connection.
func (w *world) listen(address string, serve func(net.Conn)) {
	w.t.Helper()
	ln, err := w.outside.Listen("tcp", address)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
}

// write makes a file and returns its name.
func write(t *testing.T, name, text string) string {
	t.Helper()
	name = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// call connects from the guest.
func (w *world) call(network, address string) net.Conn {
	w.t.Helper()
	c, err := w.guest.Dial(network, address)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { c.Close() })
	return c
}
