package vrf_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/lab"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/route"
	"github.com/knitnet/knit/socket"
	"github.com/knitnet/knit/transport"
)

// A world is a kernel r with VRFs red and blue, and behind each a host. Both hosts have
// the same addresses, and r the same ones in both VRFs: r has .1 and ::1, they have .2
// and ::2.
type world struct {
	t      *testing.T
	r      *knit.Kernel
	vrfs   map[string]*link.Device
	behind map[string]*knit.Kernel
	slaves map[string]*link.Device
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, r: lab.Kernel(t, nil, "loopback", "tcp", "udp", "ping", "vrf")}
	w.vrfs, w.behind, w.slaves = map[string]*link.Device{}, map[string]*knit.Kernel{}, map[string]*link.Device{}
	for i, name := range []string{"red", "blue"} {
		w.vrfs[name] = w.add(name, 10*(i+1))
		h := lab.Kernel(t, nil, "loopback", "tcp", "udp", "ping")
		w.behind[name] = h
		x, y, err := w.r.Join(h, link.PipeConfig{})
		if err != nil {
			t.Fatal(err)
		}
		w.slaves[name] = x
		w.do(x.SetMaster(w.vrfs[name]))
		w.do(x.SetUp(true))
		w.do(y.SetUp(true))
		w.addr(w.r, x, "10.0.0.1/24", "fd00::1/64")
		w.addr(h, y, "10.0.0.2/24", "fd00::2/64")
	}
	return w
}

func (w *world) do(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// add makes a VRF that is up.
func (w *world) add(name string, table int) *link.Device {
	w.t.Helper()
	dev, err := w.r.Link.Create("vrf", name, map[string]string{"table": fmt.Sprint(table)})
	w.do(err)
	w.do(dev.SetUp(true))
	return dev
}

func (w *world) addr(k *knit.Kernel, dev *link.Device, prefixes ...string) {
	w.t.Helper()
	for _, p := range prefixes {
		w.do(k.Network.AddAddr(dev, network.Addr{Prefix: netip.MustParsePrefix(p), Flags: network.NoDAD}))
	}
}

// route adds a route to r; via is a gateway or "dev NAME".
func (w *world) route(table uint32, dst, dev, via string) {
	w.t.Helper()
	d, err := w.r.Link.Lookup(dev)
	w.do(err)
	h := route.NextHop{Index: d.Index()}
	if via != "" {
		h.Gateway = netip.MustParseAddr(via)
	}
	w.do(w.r.Network.AddRoute(route.Route{Dst: netip.MustParsePrefix(dst), Table: table, Proto: route.ProtoBoot, NextHops: []route.NextHop{h}}, route.Create))
}

// dial connects from r, bound to a device, and returns what the server says first.
func dial(k *knit.Kernel, dev *link.Device, addr string) (string, error) {
	d := socket.Dialer{Sockets: k.Sockets}
	if dev != nil {
		d.Options.Index = dev.Index()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	b, err := io.ReadAll(c)
	return string(b), err
}

// serve says a word to whoever connects to port 80, by the device or by any.
func (w *world) serve(k *knit.Kernel, dev *link.Device, word string) {
	w.t.Helper()
	o := transport.StreamOptions{ReuseAddr: true}
	if dev != nil {
		o.Index = dev.Index()
	}
	ln, err := k.Sockets.ListenStream("tcp", ":80", o)
	w.do(err)
	w.t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			io.WriteString(c, word)
			c.Close()
		}
	}()
}

// wantSays checks what a server answers.
func (w *world) wantSays(k *knit.Kernel, dev *link.Device, addr, want string) {
	w.t.Helper()
	if got, err := dial(k, dev, addr); got != want || err != nil {
		w.t.Errorf("%s says %q, %v; want %q", addr, got, err, want)
	}
}

var targets = []string{"10.0.0.2:80", "[fd00::2]:80"}

// TestOverlap: two networks with the same addresses, and each socket talks to the one
// that it is bound to.
func TestOverlap(t *testing.T) {
	w := newWorld(t)
	for name, h := range w.behind {
		w.serve(h, nil, "I am "+name)
	}
	for name, vrf := range w.vrfs {
		for _, to := range targets {
			w.wantSays(w.r, vrf, to, "I am "+name)
			w.wantSays(w.r, w.slaves[name], to, "I am "+name)
		}
	}
	for _, to := range targets { // who is bound to no VRF reaches neither
		if _, err := dial(w.r, nil, to); !errors.Is(err, syscall.ENETUNREACH) {
			t.Errorf("dial %s without a VRF: %v", to, err)
		}
	}
}

// TestServers: a listener in each VRF, at the same port of the same addresses.
func TestServers(t *testing.T) {
	w := newWorld(t)
	w.serve(w.r, nil, "nobody's")
	for name, vrf := range w.vrfs {
		w.serve(w.r, vrf, name+"'s")
	}
	for name, h := range w.behind {
		for _, to := range []string{"10.0.0.1:80", "[fd00::1]:80"} {
			w.wantSays(h, nil, to, name+"'s")
			w.wantSays(w.r, w.vrfs[name], to, name+"'s") // to itself
		}
	}
	w.wantSays(w.r, nil, "127.0.0.1:80", "nobody's")
}

// TestL3MDevAccept: "tcp_l3mdev_accept - Enables child sockets to inherit the L3 master
// device index. Enabling this option allows a "global" listen socket to work across L3
// master domains" (Linux's ip-sysctl).
func TestL3MDevAccept(t *testing.T) {
	w := newWorld(t)
	w.serve(w.r, nil, "everybody's")
	for name, h := range w.behind {
		if _, err := dial(h, nil, "10.0.0.1:80"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("from %s to a listener outside: %v", name, err)
		}
	}
	w.do(w.r.Sysctl.Set("net.ipv4.tcp_l3mdev_accept", "1"))
	for _, h := range w.behind {
		for _, to := range []string{"10.0.0.1:80", "[fd00::1]:80"} {
			w.wantSays(h, nil, to, "everybody's")
		}
	}
}

// TestDatagrams: UDP sockets bound to VRFs share a port, and one bound to none hears
// of none of them until udp_l3mdev_accept lets it.
func TestDatagrams(t *testing.T) {
	w := newWorld(t)
	open := func(dev *link.Device) *socket.PacketConn {
		o := transport.DatagramOptions{}
		if dev != nil {
			o.Index = dev.Index()
		}
		p, err := w.r.Sockets.ListenDatagram("udp4", ":53", o)
		w.do(err)
		t.Cleanup(func() { p.Close() })
		p.SetDeadline(time.Now().Add(10 * time.Second))
		return p
	}
	send := func(name, text string) net.Conn {
		c, err := w.behind[name].Dial("udp", "10.0.0.1:53")
		w.do(err)
		t.Cleanup(func() { c.Close() })
		io.WriteString(c, text)
		return c
	}
	hear := func(p *socket.PacketConn, want string) net.Addr {
		t.Helper()
		b := make([]byte, 100)
		n, from, err := p.ReadFrom(b)
		if string(b[:n]) != want || err != nil {
			t.Fatalf("heard %q, %v; want %q", b[:n], err, want)
		}
		return from
	}
	none, red, blue := open(nil), open(w.vrfs["red"]), open(w.vrfs["blue"])
	asker := send("red", "to red")
	send("blue", "to blue")
	from := hear(red, "to red")
	hear(blue, "to blue")
	if _, err := red.WriteTo([]byte("answer"), from); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 10)
	asker.SetDeadline(time.Now().Add(10 * time.Second))
	if n, err := asker.Read(b); string(b[:n]) != "answer" || err != nil {
		t.Errorf("answer: %q, %v", b[:n], err)
	}
	red.Close()
	w.do(w.r.Sysctl.Set("net.ipv4.udp_l3mdev_accept", "1"))
	send("red", "to none")
	hear(none, "to none")
}

// TestPing: echo requests and their answers stay in their VRF, from either side.
func TestPing(t *testing.T) {
	w := newWorld(t)
	ping := func(k *knit.Kernel, dev *link.Device, network, to string) error {
		d := socket.Dialer{Sockets: k.Sockets}
		if dev != nil {
			d.Options.Index = dev.Index()
		}
		c, err := d.DialContext(context.Background(), network, to)
		if err != nil {
			return err
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(5 * time.Second))
		typ := byte(8)
		if network == "ping6" {
			typ = 128
		}
		if _, err := c.Write([]byte{typ, 0, 0, 0, 0, 0, 0, 1, 'x'}); err != nil {
			return err
		}
		_, err = c.Read(make([]byte, 64))
		return err
	}
	for name, vrf := range w.vrfs {
		for network, hosts := range map[string][2]string{"ping4": {"10.0.0.1", "10.0.0.2"}, "ping6": {"fd00::1", "fd00::2"}} {
			w.do(ping(w.r, vrf, network, hosts[1]))
			w.do(ping(w.r, vrf, network, hosts[0]))
			w.do(ping(w.behind[name], nil, network, hosts[0]))
		}
	}
}

// TestForwardInside: a router routes between the devices of one VRF, and from none of
// them into another.
func TestForwardInside(t *testing.T) {
	w := newWorld(t)
	w.do(w.r.Sysctl.Set("net.ipv4.ip_forward", "1"))
	w.do(w.r.Sysctl.Set("net.ipv6.conf.all.forwarding", "1"))
	far := lab.Kernel(t, nil, "loopback", "tcp")
	x, y, err := w.r.Join(far, link.PipeConfig{})
	w.do(err)
	w.do(x.SetMaster(w.vrfs["red"]))
	w.do(x.SetUp(true))
	w.do(y.SetUp(true))
	w.addr(w.r, x, "10.1.0.1/24", "fd01::1/64")
	w.addr(far, y, "10.1.0.2/24", "fd01::2/64")
	w.serve(far, nil, "far")
	gateway := func(k *knit.Kernel, hosts ...string) {
		for i, dst := range []string{"0.0.0.0/0", "::/0"} {
			w.do(k.Network.AddRoute(route.Route{
				Dst: netip.MustParsePrefix(dst), NextHops: []route.NextHop{{Gateway: netip.MustParseAddr(hosts[i])}},
			}, route.Create))
		}
	}
	gateway(far, "10.1.0.1", "fd01::1")
	gateway(w.behind["red"], "10.0.0.1", "fd00::1")
	gateway(w.behind["blue"], "10.0.0.1", "fd00::1")
	for _, to := range []string{"10.1.0.2:80", "[fd01::2]:80"} {
		w.wantSays(w.behind["red"], nil, to, "far")
		dst := netip.MustParseAddrPort(to).Addr()
		if _, err := w.r.Network.Resolve(network.Flow{Dst: dst, In: w.slaves["blue"].Index()}); !errors.Is(err, syscall.ENETUNREACH) {
			t.Errorf("from blue into red: %v", err)
		}
	}
}

// TestLeak: a route by another VRF's device leads into that one, and a route of it back.
func TestLeak(t *testing.T) {
	w := newWorld(t)
	w.do(w.r.Sysctl.Set("net.ipv4.ip_forward", "1"))
	w.do(w.slaves["blue"].SetMaster(w.add("green", 30)))
	blue, r := w.behind["blue"], w.r.Network
	dev, err := blue.Link.Lookup("pipe0")
	w.do(err)
	w.addr(w.r, w.slaves["blue"], "10.2.0.1/24")
	w.addr(blue, dev, "10.2.0.2/24")
	w.serve(blue, nil, "leaked")
	w.route(10, "10.2.0.0/24", "green", "")
	w.route(30, "10.3.0.0/24", "red", "")
	w.addr(w.r, w.slaves["red"], "10.3.0.1/24")
	red := w.behind["red"]
	dev, err = red.Link.Lookup("pipe0")
	w.do(err)
	w.addr(red, dev, "10.3.0.2/24")
	for _, x := range []struct {
		k        *knit.Kernel
		dst, via string
	}{{red, "10.2.0.0/24", "10.3.0.1"}, {blue, "10.3.0.0/24", "10.2.0.1"}} {
		w.do(x.k.Network.AddRoute(route.Route{
			Dst: netip.MustParsePrefix(x.dst), NextHops: []route.NextHop{{Gateway: netip.MustParseAddr(x.via)}},
			Src: netip.MustParseAddr(strings.Replace(x.via, ".1", ".2", 1)),
		}, route.Create))
	}
	w.wantSays(red, nil, "10.2.0.2:80", "leaked")
	// A circle of leaks ends.
	w.route(10, "10.9.0.0/16", "green", "")
	w.route(30, "10.9.0.0/16", "red", "")
	if _, err := r.Resolve(network.Flow{Dst: netip.MustParseAddr("10.9.0.1"), Index: w.vrfs["red"].Index()}); !errors.Is(err, syscall.ELOOP) {
		t.Errorf("a circle of leaks: %v", err)
	}
}

// TestTables: connected and local routes of a device move to the table of its VRF, and
// back; other routes by it end.
func TestTables(t *testing.T) {
	w := newWorld(t)
	n := w.r.Network
	x := w.slaves["red"]
	has := func(table uint32, dst string) bool {
		tab := n.Table(table)
		return tab != nil && len(tab.Get(netip.MustParsePrefix(dst))) > 0
	}
	w.route(10, "10.5.0.0/16", x.Name(), "10.0.0.2")
	for _, dst := range []string{"10.0.0.0/24", "10.0.0.1/32", "10.0.0.255/32", "fd00::/64", "fd00::1/128"} {
		if !has(10, dst) || has(route.TableMain, dst) || has(route.TableLocal, dst) {
			t.Errorf("%s is in the wrong table", dst)
		}
	}
	w.do(x.SetMaster(nil))
	for _, dst := range []string{"10.0.0.0/24", "10.0.0.1/32", "10.5.0.0/16", "fe80::/64"} {
		if has(10, dst) {
			t.Errorf("%s is left in the VRF's table", dst)
		}
	}
	if !has(route.TableMain, "10.0.0.0/24") || !has(route.TableLocal, "10.0.0.1/32") || !n.IsLocal(netip.MustParseAddr("10.0.0.1")) {
		t.Error("the routes did not come back")
	}
	if !n.IsLocalTo(netip.MustParseAddr("10.0.0.1"), w.slaves["blue"].Index()) {
		t.Error("the other VRF has lost its address")
	}
	w.do(x.SetMaster(w.vrfs["red"]))
	w.do(w.r.Link.Delete(w.vrfs["red"])) // which sets its devices free
	if x.Master() != nil || !has(route.TableMain, "10.0.0.0/24") || has(10, "10.0.0.1/32") {
		t.Error("what was in the VRF did not come back when it was deleted")
	}
}

// TestRule: the first VRF makes the rule of both IP versions, and who deletes it has it no
// more.
func TestRule(t *testing.T) {
	w := newWorld(t)
	for _, v6 := range []bool{false, true} {
		rules := w.r.Network.Rules(v6).All()
		if r := rules[1]; r.Priority != 1000 || !r.L3MDev || r.Action != route.ToTable {
			t.Errorf("the second rule is %+v", r)
		}
	}
	w.do(w.r.Network.DelRule(network.V4, func(r *route.Rule) bool { return r.L3MDev }))
	w.add("green", 30)
	if n := len(w.r.Network.Rules(false).All()); n != 3 {
		t.Errorf("%d rules after one was deleted", n)
	}
}

// TestRuleByName: rules by iif and oif name a VRF for all its devices.
func TestRuleByName(t *testing.T) {
	w := newWorld(t)
	n, red, x := w.r.Network, w.vrfs["red"].Index(), w.slaves["red"].Index()
	w.do(n.AddRule(network.V4, route.Rule{Priority: 10, In: "red", Action: route.RuleProhibit}, true))
	w.do(n.AddRule(network.V4, route.Rule{Priority: 11, Out: "red", Action: route.RuleBlackhole}, true))
	for _, tt := range []struct {
		in, out int32
		want    error
	}{
		{x, 0, syscall.EACCES}, {red, 0, syscall.EACCES}, {0, x, syscall.EINVAL}, {0, red, syscall.EINVAL},
		{w.slaves["blue"].Index(), 0, nil}, {0, w.vrfs["blue"].Index(), nil},
	} {
		k := route.Key{Dst: netip.MustParseAddr("10.0.0.2"), In: tt.in, Out: tt.out}
		if res := n.Lookup(&k); res.Err != tt.want {
			t.Errorf("in %d out %d: %v, want %v", tt.in, tt.out, res.Err, tt.want)
		}
	}
}

// TestRefuses: what a VRF cannot be, and what it cannot take.
func TestRefuses(t *testing.T) {
	w := newWorld(t)
	l := w.r.Link
	for _, options := range []map[string]string{nil, {"table": "0"}, {"table": "254"}, {"table": "x"}, {"table": "5", "mode": "l3"}} {
		if _, err := l.Create("vrf", "v", options); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("options %v: %v", options, err)
		}
	}
	lo, err := l.Lookup("lo")
	w.do(err)
	for _, dev := range []*link.Device{lo, w.vrfs["blue"]} {
		if err := dev.SetMaster(w.vrfs["red"]); !errors.Is(err, syscall.EOPNOTSUPP) {
			t.Errorf("%s in a VRF: %v", dev.Name(), err)
		}
		if !dev.Up() {
			t.Errorf("%s is down", dev.Name())
		}
	}
	if err := w.slaves["red"].SetMaster(lo); !errors.Is(err, syscall.EOPNOTSUPP) {
		t.Errorf("lo as master: %v", err)
	}
}

// TestUnload: the module stays while a VRF is up or has devices, and leaves no rule.
func TestUnload(t *testing.T) {
	w := newWorld(t)
	unload := func() error { return w.r.Modules.Unload(context.Background(), "vrf") }
	w.do(w.vrfs["red"].SetUp(false))
	w.do(w.vrfs["blue"].SetUp(false))
	if err := unload(); !errors.Is(err, module.ErrInUse) {
		t.Errorf("unload with devices in VRFs: %v", err)
	}
	for _, x := range w.slaves {
		w.do(x.SetMaster(nil))
	}
	w.do(unload())
	if rules := w.r.Network.Rules(false).All(); len(rules) != 3 {
		t.Errorf("rules are left: %v", rules)
	}
	if _, err := w.r.Link.Lookup("red"); err == nil {
		t.Error("a VRF is left")
	}
}
