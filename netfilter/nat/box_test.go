package nat_test

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/internal/leak"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/route"
	"github.com/knitnet/knit/std"
	"github.com/knitnet/knit/wire"
)

// ports are the devices of a gateway under test and their addresses.
var ports = []struct{ name, addrs string }{
	{"lan0", "10.0.0.1/24 fd00::1/64"},
	{"lan1", "10.0.1.1/24 fd01::1/64"},
	{"wan0", "192.0.2.1/24 2001:db8::1/64"},
}

// gateways4 and gateways6 are where everything else goes, by wan0.
const gateway4, gateway6 = "192.0.2.254", "2001:db8::ffff"

// A frame is a packet that a gateway has sent.
type frame struct {
	port string
	b    []byte
}

// A box is a kernel with raw ports: the test is what is at the other ends.
type box struct {
	*knit.Kernel
	t     testing.TB
	track netfilter.ConnTable
	ports map[string]*port
}

// A port is a device of a box; what it sends is kept.
type port struct {
	dev  *link.Device
	name string
	box  *box
	mu   sync.Mutex
	sent []frame
	// sink, if set, gets what the port sends instead.
	sink func(q *packet.Queue)
}

// Transmit implements link.Driver.
func (p *port) Transmit(_ *link.Device, q *packet.Queue) {
	if p.sink != nil {
		p.sink(q)
		return
	}
	for pkt := q.Pop(); pkt != nil; pkt = q.Pop() {
		link.CompleteChecksum(pkt)
		b := make([]byte, pkt.Len())
		pkt.CopyOut(0, b)
		pkt.Consume()
		p.mu.Lock()
		p.sent = append(p.sent, frame{p.name, b})
		p.mu.Unlock()
	}
}

func (p *port) Open(*link.Device) error { return nil }
func (p *port) Close(*link.Device)      {}

// newBox returns a forwarding kernel with the modules that rules need, in virtual
// time.
func newBox(t testing.TB) *box { return newBoxWith(t, 0) }

// newBoxWith is newBox with devices that can do something.
func newBoxWith(t testing.TB, f link.Features) *box {
	t.Helper()
	k, err := knit.New(knit.Config{Modules: std.Modules(), Clock: clock.NewVirtual()})
	if err != nil {
		t.Fatal(err)
	}
	leak.Zero(t, "packets", k.Pool.Live)
	leak.Zero(t, "buffers", k.Pool.LiveBufs)
	leak.Zero(t, "oopses", k.Log.Oopses)
	b := &box{Kernel: k, t: t, ports: map[string]*port{}}
	t.Cleanup(func() {
		for _, d := range k.Link.Devices() {
			d.SetUp(false)
		}
		if err := k.Close(); err != nil {
			t.Error(err)
		}
		if n := k.Clock.Pending(); n != 0 {
			t.Errorf("%d timers are left", n)
		}
	})
	for _, m := range []string{"loopback", "ip4", "ip6", "icmp4", "icmp6", "udp", "tcp", "nf_nat", "nf_tables"} {
		if err := k.Modprobe(ctx, m); err != nil {
			t.Fatal(err)
		}
	}
	b.track, _ = module.Find[netfilter.ConnTable](k.Modules, netfilter.TrackerSymbol)
	for _, x := range ports {
		b.attach(x.name, x.addrs, f)
	}
	for name, v := range map[string]string{
		"net.ipv4.ip_forward": "1", "net.ipv6.conf.all.forwarding": "1", "net.ipv4.conf.all.send_redirects": "0",
		"net.ipv4.icmp_ratelimit": "0", "net.ipv6.icmp.ratelimit": "0", "net.ipv4.conf.default.send_redirects": "0",
		"net.ipv4.conf.lan0.send_redirects": "0", "net.ipv4.conf.lan1.send_redirects": "0", "net.ipv4.conf.wan0.send_redirects": "0",
	} {
		if err := k.Sysctl.Set(name, v); err != nil {
			t.Fatal(err)
		}
	}
	for dst, gw := range map[string]string{"0.0.0.0/0": gateway4, "::/0": gateway6} {
		b.route(dst, gw, "wan0")
	}
	return b
}

func (b *box) attach(name, addrs string, f link.Features) *port {
	b.t.Helper()
	p := &port{name: name, box: b}
	dev, err := b.Link.Attach(link.Info{Name: name, Kind: "test", Type: link.None, Features: f}, p)
	if err != nil {
		b.t.Fatal(err)
	}
	p.dev = dev
	b.ports[name] = p
	for _, a := range strings.Fields(addrs) {
		b.addr(name, a)
	}
	if err := dev.SetUp(true); err != nil {
		b.t.Fatal(err)
	}
	return p
}

func (b *box) addr(port, prefix string) {
	b.t.Helper()
	if err := b.Network.AddAddr(b.ports[port].dev, network.Addr{Prefix: netip.MustParsePrefix(prefix), Flags: network.NoDAD}); err != nil {
		b.t.Fatal(err)
	}
}

func (b *box) route(dst, via, port string) {
	b.t.Helper()
	hop := route.NextHop{Index: b.ports[port].dev.Index()}
	if via != "" {
		hop.Gateway = netip.MustParseAddr(via)
	}
	if err := b.Network.AddRoute(route.Route{Dst: netip.MustParsePrefix(dst), NextHops: []route.NextHop{hop}}, route.Create); err != nil {
		b.t.Fatal(err)
	}
}

func (b *box) delAddr(port, prefix string) {
	b.t.Helper()
	if err := b.Network.DelAddr(b.ports[port].dev, netip.MustParsePrefix(prefix)); err != nil {
		b.t.Fatal(err)
	}
}

func (b *box) delRoute(dst string) {
	b.t.Helper()
	if err := b.Network.DelRoute(route.Route{Dst: netip.MustParsePrefix(dst)}); err != nil {
		b.t.Fatal(err)
	}
}

func (b *box) up(port string, yes bool) {
	b.t.Helper()
	if err := b.ports[port].dev.SetUp(yes); err != nil {
		b.t.Fatal(err)
	}
}

func (b *box) left(int) int { return b.track.Count() }

// load replaces the ruleset, and forgets all connections.
func (b *box) load(rules string) {
	b.t.Helper()
	b.nft("flush ruleset\n" + rules)
	b.track.Each(func(c *netfilter.Conn) bool { b.track.Delete(c); return true })
	b.Clock.Advance(time.Second) // or ICMP errors would be too many for no time
}

// nft runs commands and returns what they print.
func (b *box) nft(text string) string {
	b.t.Helper()
	rules, ok := module.Find[netfilter.Ruleset](b.Modules, netfilter.RulesetSymbol)
	if !ok {
		b.t.Fatal("nf_tables is not there")
	}
	var out strings.Builder
	if err := rules.Run(ctx, &netfilter.NFTRequest{Text: text, Name: "rules"}, &out); err != nil {
		b.t.Fatalf("%v\n%s", err, text)
	}
	return out.String()
}

// receive lets a packet come in and returns what goes out.
func (b *box) receive(port string, raw []byte) []frame {
	b.inject(port, raw)
	return b.take()
}

// inject lets packets come in.
func (b *box) inject(port string, raws ...[]byte) {
	var q packet.Queue
	for _, raw := range raws {
		pkt := b.Pool.Get()
		pkt.Append(raw)
		pkt.Proto = wire.EtherTypeIPv4
		if raw[0]>>4 == 6 {
			pkt.Proto = wire.EtherTypeIPv6
		}
		q.Push(pkt)
	}
	b.ports[port].dev.Receive(&q)
}

// take returns what was sent since the last call, but for what hosts say of
// themselves.
func (b *box) take() (out []frame) {
	for _, x := range ports {
		p := b.ports[x.name]
		p.mu.Lock()
		out = append(out, p.sent...)
		p.sent = nil
		p.mu.Unlock()
	}
	return slices.DeleteFunc(out, chatter)
}

// send sends a datagram from a socket of the box.
func (b *box) send(src, dst, data string) []frame {
	b.t.Helper()
	c, err := b.ListenPacket("udp", src)
	if err != nil {
		b.t.Fatal(err)
	}
	defer c.Close()
	to := ap(dst)
	if _, err := c.WriteTo([]byte(data), addrOf(to)); err != nil {
		b.t.Logf("send %s > %s: %v", src, dst, err)
	}
	return b.take()
}

// chatter reports whether a host sends a packet on its own account: to multicast
// groups, or neighbour discovery.
func chatter(f frame) bool {
	m, _ := parse(f.b)
	return m.dst.Addr().IsMulticast() || m.proto == wire.ProtoICMPv6 && m.typ >= 130 && m.typ <= 143
}
