// Package ip6test makes small kernels with IPv6 for tests, in virtual time, and
// joins them by an Ethernet.
package ip6test

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/klog"
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/proc"
	"github.com/knitnet/knit/core/rcu"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/core/sysctl"
	"github.com/knitnet/knit/internal/leak"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
)

// A Kernel is the layers up to the network, and some modules.
type Kernel struct {
	T       testing.TB
	Clock   *clock.Clock
	Pool    *packet.Pool
	Walks   *rcu.Period
	Link    *link.Layer
	Net     *network.Layer
	Stats   *stat.Set
	Sysctl  *sysctl.Table
	Proc    *proc.Table
	Log     *klog.Log
	Modules *module.Registry
}

// New returns a kernel that follows c and has loaded specs in this order. At the
// end of the test its modules are unloaded, and no packet, buffer or timer may be
// left.
func New(t testing.TB, c *clock.Clock, specs ...module.Spec) *Kernel {
	t.Helper()
	k := &Kernel{
		T: t, Clock: c, Pool: new(packet.Pool), Walks: new(rcu.Period), Stats: new(stat.Set),
		Sysctl: new(sysctl.Table), Proc: new(proc.Table),
	}
	k.Log = klog.New(func() time.Duration { return time.Duration(c.Now()) }, 0)
	k.Link = link.New(link.Config{Pool: k.Pool, Clock: c, Walks: k.Walks})
	k.Net = network.New(network.Config{Link: k.Link, Stats: k.Stats})
	var err error
	if k.Modules, err = module.New(module.Config{Log: k.Log, Grace: k.Walks.Wait}, specs...); err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]any{
		link.Symbol: k.Link, network.Symbol: k.Net, "sysctl": k.Sysctl, "proc": k.Proc, "stats": k.Stats,
	} {
		if err := k.Modules.Provide(name, v); err != nil {
			t.Fatal(err)
		}
	}
	leak.Zero(t, "buffers", k.Pool.LiveBufs)
	leak.Zero(t, "packets", k.Pool.Live)
	t.Cleanup(k.close)
	for _, s := range specs {
		if err := k.Modules.Modprobe(context.Background(), s.Name); err != nil {
			t.Fatal(err)
		}
	}
	return k
}

func (k *Kernel) close() {
	for _, d := range k.Link.Devices() {
		d.Detach()
	}
	if err := k.Modules.Shutdown(context.Background()); err != nil {
		k.T.Error(err)
	}
	for _, e := range k.Log.Since(0) {
		if e.Level <= klog.Err {
			k.T.Errorf("dmesg: %v", e)
		}
	}
	if n := len(k.Sysctl.List("")); n != 0 {
		k.T.Errorf("%d sysctls left", n)
	}
	if n := len(k.Net.Groups()); n != 0 {
		k.T.Errorf("groups left: %v", k.Net.Groups())
	}
}

// Set sets a sysctl.
func (k *Kernel) Set(name, value string) {
	k.T.Helper()
	if err := k.Sysctl.Set(name, value); err != nil {
		k.T.Fatal(err)
	}
}

// Addr adds an address.
func (k *Kernel) Addr(dev *link.Device, prefix string) {
	k.T.Helper()
	if err := k.Net.AddAddr(dev, network.Addr{Prefix: netip.MustParsePrefix(prefix)}); err != nil {
		k.T.Fatal(err)
	}
}

// Find returns the entry of an address on dev, nil if it is not there.
func (k *Kernel) Find(dev *link.Device, ip string) *network.Addr {
	for _, a := range k.Net.Addrs(dev.Index()) {
		if a.IP() == netip.MustParseAddr(ip) {
			return a
		}
	}
	return nil
}

// LinkLocal returns dev's link-local address.
func (k *Kernel) LinkLocal(dev *link.Device) netip.Addr {
	k.T.Helper()
	for _, a := range k.Net.Addrs(dev.Index()) {
		if a.IP().Is6() && a.IP().IsLinkLocalUnicast() {
			return a.IP()
		}
	}
	k.T.Fatalf("%s has no link-local address", dev.Name())
	return netip.Addr{}
}

// Stat returns a counter such as "Ip6", "InReceives".
func (k *Kernel) Stat(group, field string) uint64 {
	k.T.Helper()
	g, _ := k.Stats.Lookup(group)
	for _, f := range g.Fields {
		if f.Name == field {
			return f.Load()
		}
	}
	k.T.Fatalf("no counter %s%s", group, field)
	return 0
}

// Send sends bytes, which begin behind the IP header, to f.
func (k *Kernel) Send(f network.Flow, s network.Send, b []byte) {
	k.T.Helper()
	path, err := k.Net.Resolve(f)
	if err != nil {
		k.T.Fatalf("way to %v: %v", f.Dst, err)
	}
	s.Path = path
	pkt := k.Pool.Get()
	if !pkt.Append(b) {
		k.T.Fatal("too many bytes")
	}
	var q packet.Queue
	q.Push(pkt)
	k.Net.Send(&s, &q)
}

// Symbol returns a symbol that a module exports.
func Symbol[T any](t testing.TB, k *Kernel, name string) T {
	t.Helper()
	v, ok := module.Find[T](k.Modules, name)
	if !ok {
		t.Fatalf("no symbol %s", name)
	}
	return v
}
