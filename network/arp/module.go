// Package arp is the module for the Address Resolution Protocol (RFC 826) of IPv4
// on Ethernet: it answers for the addresses of the host, keeps IPv4's neighbour
// table, announces addresses and notices when somebody else uses one, if it is told
// to before they are used (RFC 5227).
package arp

import (
	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/klog"
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/core/sysctl"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/neigh"
	"github.com/knitnet/knit/wire"
)

// Module is the metadata.
var Module = module.Spec{
	Name:        "arp",
	Version:     "1.0",
	Description: "Address Resolution Protocol (RFC 826, RFC 5227)",
	Author:      "the knit authors",
	License:     "Apache-2.0",
	Params: []module.Param{
		module.Bool("announce", true, "announce addresses when they are added and when their device goes up").Writable(),
	},
	Init: start,
}

// arp is one kernel's instance. It is the link.Handler of ARP packets.
type arp struct {
	net   *network.Layer
	link  *link.Layer
	clock *clock.Clock
	table *neigh.Table
	log   *klog.Limiter

	announce  func() bool // the parameter
	announcer announcer
	prober    prober
	conf      *network.DeviceConf[conf]
	defences  defences
	learning  learning
}

func start(c *module.Context) error {
	l, err := module.Import[*link.Layer](c, link.Symbol)
	if err != nil {
		return err
	}
	n, err := module.Import[*network.Layer](c, network.Symbol)
	if err != nil {
		return err
	}
	sysctls, err := module.Import[*sysctl.Table](c, "sysctl")
	if err != nil {
		return err
	}
	a := newARP(l, n, c.Log(), func() bool { return c.Bool("announce") })
	c.Cleanup(a.close)
	if err := a.publish(c, sysctls); err != nil {
		return err
	}
	if err := c.Register(n.SetAddrChecker(network.V4, a)); err != nil {
		return err
	}
	if err := c.Register(n.SetNeighbours(network.V4, a.table)); err != nil {
		return err
	}
	if err := c.Register(l.Handle(wire.EtherTypeARP, a)); err != nil {
		return err
	}
	c.Cleanup(n.Watch(a.addrChanged))
	c.Cleanup(l.Watch(a.deviceChanged))
	for _, dev := range l.Devices() {
		a.announceAll(dev)
	}
	return nil
}

func newARP(l *link.Layer, n *network.Layer, log *klog.Logger, announce func() bool) *arp {
	a := &arp{net: n, link: l, clock: n.Clock, log: log.Limit(0, 0), announce: announce}
	a.announcer.init(a)
	a.prober.init(a)
	a.table = neigh.New(neigh.Config{
		Clock: n.Clock, Walks: n.Walks, Solicit: a.solicit, Unreachable: a.unreachable,
	})
	return a
}

func (a *arp) close() {
	a.announcer.close()
	a.prober.close()
	a.table.Close()
}

// unreachable ends a packet whose next hop did not answer (RFC 1122 §2.3.2.2,
// RFC 1812 §3.3.2).
func (a *arp) unreachable(_ *link.Device, pkt *packet.Packet) {
	a.net.SendError(network.V4, network.HostUnreachable, pkt)
	pkt.Drop(stat.NeighFailed)
}

// deviceChanged forgets neighbours when their hardware addresses, or ours, may
// not hold any more, and tells the link of our addresses when it can hear us.
func (a *arp) deviceChanged(e link.Event) {
	switch e.Kind {
	case link.WentDown, link.Removed:
		a.table.FlushDevice(e.Device)
		a.announcer.forget(e.Device)
		a.prober.forget(e.Device)
		a.learning.forget(e.Device)
	case link.MACChanged:
		a.table.FlushDevice(e.Device)
		a.announceAll(e.Device)
	case link.WentUp:
		a.probeAll(e.Device)
		a.announceAll(e.Device)
	}
}
