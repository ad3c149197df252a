// Package hosttest makes small hosts for tests of network modules: a network layer
// in virtual time, devices whose wire is the test's hand, and packets.
package hosttest

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/proc"
	"github.com/knitnet/knit/core/rcu"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/core/sysctl"
	"github.com/knitnet/knit/internal/leak"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/link/loopback"
	"github.com/knitnet/knit/link/pair"
	"github.com/knitnet/knit/network"
)

// A Host is a kernel as far as the network layer.
type Host struct {
	Link    *link.Layer
	Net     *network.Layer
	Modules *module.Registry
	Sysctl  *sysctl.Table
	Proc    *proc.Table
	Clock   *clock.Clock
	Pool    *packet.Pool
}

// New returns a host with loopback and other modules loaded. At the end of the
// test no packet may be left.
func New(t testing.TB, specs ...module.Spec) *Host {
	t.Helper()
	return NewAt(t, clock.NewVirtual(), specs...)
}

// NewAt is New with another clock, which the test closes.
func NewAt(t testing.TB, c *clock.Clock, specs ...module.Spec) *Host {
	t.Helper()
	h := &Host{
		Sysctl: new(sysctl.Table), Proc: new(proc.Table), Clock: c, Pool: new(packet.Pool),
	}
	leak.Zero(t, "buffers", h.Pool.LiveBufs)
	leak.Zero(t, "packets", h.Pool.Live)
	walks := new(rcu.Period)
	h.Link = link.New(link.Config{Pool: h.Pool, Clock: h.Clock, Walks: walks})
	h.Net = network.New(network.Config{Link: h.Link, Stats: new(stat.Set)})
	specs = append([]module.Spec{loopback.Module}, specs...)
	r, err := module.New(module.Config{Grace: walks.Wait}, specs...)
	if err != nil {
		t.Fatal(err)
	}
	h.Modules = r
	for name, v := range map[string]any{link.Symbol: h.Link, network.Symbol: h.Net, "sysctl": h.Sysctl, "proc": h.Proc, "stats": h.Net.Stats} {
		if err := r.Provide(name, v); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range specs {
		if err := r.Load(context.Background(), s.Name); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { h.close(t) })
	return h
}

func (h *Host) close(t testing.TB) {
	for _, d := range h.Link.Devices() {
		d.SetUp(false)
	}
	if err := h.Modules.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	for _, d := range h.Link.Devices() {
		d.Detach()
	}
	if n := h.Clock.Pending(); n != 0 {
		t.Errorf("%d timers are armed after all modules are gone", n)
	}
}

// Set sets a sysctl.
func (h *Host) Set(t testing.TB, name, value string) {
	t.Helper()
	if err := h.Sysctl.Set(name, value); err != nil {
		t.Fatal(err)
	}
}

// Stat returns a number of a statistics group.
func (h *Host) Stat(t testing.TB, group, field string) uint64 {
	t.Helper()
	g, _ := h.Net.Stats.Lookup(group)
	for _, f := range g.Fields {
		if f.Name == field {
			return f.Load()
		}
	}
	t.Fatalf("no statistic %s of %s", field, group)
	return 0
}

// Advance lets time pass.
func (h *Host) Advance(d time.Duration) { h.Clock.Advance(d) }

// A Port is a device whose other end is the test.
type Port struct {
	Dev  *link.Device
	host *Host
	sent [][]byte
}

// Transmit implements link.Driver.
func (p *Port) Transmit(_ *link.Device, q *packet.Queue) {
	for pkt := q.Pop(); pkt != nil; pkt = q.Pop() {
		p.sent = append(p.sent, Bytes(pkt))
		pkt.Consume()
	}
}

// Open implements link.Driver.
func (p *Port) Open(*link.Device) error { return nil }

// Close implements link.Driver.
func (p *Port) Close(*link.Device) {}

// Port adds a device that is up, with addresses such as 10.0.0.1/24. Its type is
// link.None unless info says otherwise.
func (h *Host) Port(t testing.TB, info link.Info, prefixes ...string) *Port {
	t.Helper()
	p := &Port{host: h}
	if info.Type == 0 {
		info.Type = link.None
	}
	dev, err := h.Link.Attach(info, p)
	if err != nil {
		t.Fatal(err)
	}
	p.Dev = dev
	for _, s := range prefixes {
		h.Addr(t, dev, s)
	}
	if err := dev.SetUp(true); err != nil {
		t.Fatal(err)
	}
	return p
}

// Addr gives a device an address.
func (h *Host) Addr(t testing.TB, dev *link.Device, prefix string) {
	t.Helper()
	if err := h.Net.AddAddr(dev, network.Addr{Prefix: netip.MustParsePrefix(prefix)}); err != nil {
		t.Fatal(err)
	}
}

// Receive lets packets, or frames if the device has a link header, come in.
func (p *Port) Receive(proto uint16, packets ...[]byte) {
	var q packet.Queue
	for _, b := range packets {
		pkt := p.host.Pool.Get()
		pkt.Append(b)
		pkt.Proto = proto
		q.Push(pkt)
	}
	p.Dev.Receive(&q)
}

// Take returns what was sent since the last call.
func (p *Port) Take() [][]byte {
	sent := p.sent
	p.sent = nil
	return sent
}

type holder struct{}

func (holder) Get() bool { return true }
func (holder) Put()      {}

// Join joins two hosts by a pair of devices of type None with addresses.
func Join(t testing.TB, a, b *Host, info link.Info, onA, onB string) (x, y *link.Device) {
	t.Helper()
	if info.Type == 0 {
		info.Type = link.None
	}
	ia, ib := info, info
	if info.Name == "" {
		ia.Name, ib.Name = "p%d", "p%d"
	}
	x, y, err := pair.New(a.Link, b.Link, ia, ib, holder{})
	if err != nil {
		t.Fatal(err)
	}
	for i, d := range []*link.Device{x, y} {
		h, prefix := []*Host{a, b}[i], []string{onA, onB}[i]
		if prefix != "" {
			h.Addr(t, d, prefix)
		}
		if err := d.SetUp(true); err != nil {
			t.Fatal(err)
		}
	}
	return x, y
}

// Bytes returns a copy of a packet's data.
func Bytes(pkt *packet.Packet) []byte {
	b := make([]byte, pkt.Len())
	pkt.CopyOut(0, b)
	return b
}
