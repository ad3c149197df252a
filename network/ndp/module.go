// Package ndp is Neighbor Discovery for IPv6 (RFC 4861): it finds neighbours'
// hardware addresses, looks for duplicates of this host's addresses and makes such
// addresses from what routers advertise (RFC 4862), learns routes, redirects and DNS
// servers (RFC 4191, RFC 8106), and can advertise prefixes itself.
package ndp

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"github.com/knitnet/knit/core/klog"
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/core/sysctl"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/internal/conf6"
	"github.com/knitnet/knit/network/internal/msg6"
	"github.com/knitnet/knit/network/neigh"
	"github.com/knitnet/knit/wire"
)

// Module is the metadata.
var Module = module.Spec{
	Name:        "ndp",
	Version:     "1.0",
	Description: "Neighbor Discovery and address configuration for IPv6",
	Author:      "the knit authors",
	License:     "Apache-2.0",
	Exports:     []string{network.ResolversSymbol},
	Imports:     []string{conf6.Symbol, msg6.CountSymbol},
	Init:        start,
}

// An ndp is the protocol's state in one kernel.
type ndp struct {
	net    *network.Layer
	conf   *conf6.Table
	neigh  *neigh.Table
	send   msg6.Sender
	log    *klog.Logger
	warn   *klog.Limiter
	closed bool // under mu

	// mu guards what follows. It is never held while anything is sent, nor while
	// addresses, routes or groups are changed: others are told of these at once.
	mu     sync.Mutex
	addrs  map[addrKey]*ownAddr
	ifaces map[*link.Device]*iface
}

func start(c *module.Context) error {
	n, err := module.Import[*network.Layer](c, network.Symbol)
	if err != nil {
		return err
	}
	conf, err := module.Import[*conf6.Table](c, conf6.Symbol)
	if err != nil {
		return err
	}
	count, err := module.Import[msg6.Count](c, msg6.CountSymbol)
	if err != nil {
		return err
	}
	d := &ndp{
		net: n, conf: conf, log: c.Log(), warn: c.Log().Limit(0, 0),
		send:  msg6.Sender{Net: n, Paths: n.NewPathCache(), Count: count},
		addrs: map[addrKey]*ownAddr{}, ifaces: map[*link.Device]*iface{},
	}
	d.neigh = neigh.New(neigh.Config{Clock: n.Clock, Walks: n.Walks, Solicit: d.solicit, Unreachable: d.unreachable})
	c.Free(d.neigh.Close)
	if err := c.Register(n.SetNeighbours(network.V6, d.neigh)); err != nil {
		return err
	}
	sysctls, err := module.Import[*sysctl.Table](c, "sysctl")
	if err != nil {
		return err
	}
	for _, e := range d.neigh.Sysctls("net.ipv6.neigh.default") {
		if err := c.Register(sysctls.Register(e)); err != nil {
			return err
		}
	}
	if err := module.Export(c, network.ResolversSymbol, network.ResolversFunc(d.resolvers)); err != nil {
		return err
	}
	return d.register(c)
}

// register opens the doors: messages, and what happens to devices, addresses and
// settings.
func (d *ndp) register(c *module.Context) error {
	for typ, f := range map[uint8]func(*message){
		wire.ICMP6RouterSolicit: d.routerSolicit, wire.ICMP6RouterAdvert: d.routerAdvert,
		wire.ICMP6NeighborSolicit: d.neighborSolicit, wire.ICMP6NeighborAdvert: d.neighborAdvert,
		wire.ICMP6Redirect: d.redirect,
	} {
		if err := c.Register(d.net.HandleICMP(network.V6, typ, d.checked(f))); err != nil {
			return err
		}
	}
	c.Cleanup(d.close)
	c.Cleanup(d.neigh.Watch(d.neighbourChanged))
	c.Cleanup(d.conf.Watch(d.settingChanged))
	c.Cleanup(d.net.Watch(d.addrChanged))
	c.Cleanup(d.net.Link.Watch(d.deviceChanged))
	for _, dev := range d.net.Link.Devices() {
		if dev.Up() {
			d.deviceUp(dev)
		}
	}
	return nil
}

// deviceChanged follows the devices.
func (d *ndp) deviceChanged(e link.Event) {
	switch e.Kind {
	case link.WentUp:
		d.deviceUp(e.Device)
	case link.WentDown:
		d.deviceDown(e.Device)
	case link.MACChanged:
		d.neigh.FlushDevice(e.Device)
	case link.Removed:
		d.neigh.FlushDevice(e.Device)
		d.mu.Lock()
		i := d.ifaces[e.Device]
		delete(d.ifaces, e.Device)
		d.mu.Unlock()
		if i != nil {
			i.stop()
		}
	}
}

// deviceUp looks for duplicates of a device's addresses and begins to look for
// routers.
func (d *ndp) deviceUp(dev *link.Device) {
	if dev.Type() == link.Loopback {
		return
	}
	for _, a := range d.net.Addrs(dev.Index()) {
		if a.IP().Is6() {
			d.again(dev, a)
		}
	}
	if d.conf.Of(dev.Index()).SendRA.Load() != 0 {
		d.advertise(dev)
	}
	d.maySolicit(dev)
}

// deviceDown forgets what was learned on a link. What hangs on addresses that stay
// begins anew when the device goes up.
func (d *ndp) deviceDown(dev *link.Device) {
	d.stopDetecting(dev)
	d.forget(dev)
	d.neigh.FlushDevice(dev)
}

// close stops all timers and leaves all groups. Tentative addresses become usable:
// nobody will find out about them any more.
func (d *ndp) close() {
	d.mu.Lock()
	d.closed = true
	addrs, ifaces := d.addrs, d.ifaces
	d.addrs, d.ifaces = map[addrKey]*ownAddr{}, map[*link.Device]*iface{}
	d.mu.Unlock()
	for k, a := range addrs {
		a.stop()
		d.net.UpdateAddr(k.dev, netip.PrefixFrom(k.ip, k.ip.BitLen()), func(a *network.Addr) {
			if a.Flags&network.DADFailed == 0 {
				a.Flags &^= network.Tentative | network.Optimistic
			}
		})
	}
	for _, i := range ifaces {
		i.stop()
	}
}

// unreachable answers a packet for a neighbour that did not (RFC 4861 §7.2.2: "the
// sender MUST return ICMP destination unreachable indications with code 3").
func (d *ndp) unreachable(_ *link.Device, pkt *packet.Packet) {
	d.net.SendError(network.V6, network.HostUnreachable, pkt)
	pkt.Drop(stat.NeighFailed)
}

// random returns a time from lo to hi.
func random(lo, hi time.Duration) time.Duration { return lo + rand.N(hi-lo+1) }

// Groups of RFC 4291 §2.7.1.
var (
	allNodes   = netip.MustParseAddr("ff02::1")
	allRouters = netip.MustParseAddr("ff02::2")
)
