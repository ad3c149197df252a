// Package ip6 is the Internet Protocol version 6 (RFC 8200): its header and
// extension headers, forwarding, fragmentation, the choice of source addresses
// (RFC 6724), and the addresses every interface has by itself.
package ip6

import (
	"hash/maphash"
	"sync"
	"sync/atomic"

	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/proc"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/core/sysctl"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/frag"
	"github.com/knitnet/knit/network/internal/conf6"
	"github.com/knitnet/knit/network/offload"
	"github.com/knitnet/knit/wire"
)

// Module is the metadata.
var Module = module.Spec{
	Name:        "ip6",
	Version:     "1.0",
	Description: "Internet Protocol version 6",
	Author:      "the knit authors",
	License:     "Apache-2.0",
	Alias:       []string{"net-pf-10"},
	Exports:     []string{conf6.Symbol},
	Softdep:     module.Softdep{Pre: []string{"loopback"}, Post: []string{"icmp6", "ndp", "mld"}},
	Init:        start,
}

// An ip6 is the IP version 6 of one kernel.
type ip6 struct {
	net     *network.Layer
	hooks   *network.Hooks
	conf    *conf6.Table
	paths   *network.PathCache
	frags   *frag.Table
	offload link.Offload
	mib     mib

	seed     maphash.Seed // of flow labels and fragment identifications
	ident    atomic.Uint32
	disabled stat.Reason // IPV6DISABLED

	// tentative holds the addresses that may not be used yet; nil is the usual
	// empty set.
	tentative atomic.Pointer[map[owned]bool]
	mtus      sync.Map // interface index -> MTU that was seen last
	groups    groups
	looped    looped
}

func start(c *module.Context) error {
	n, err := module.Import[*network.Layer](c, network.Symbol)
	if err != nil {
		return err
	}
	sysctls, err := module.Import[*sysctl.Table](c, "sysctl")
	if err != nil {
		return err
	}
	p := &ip6{
		net: n, hooks: &n.Hooks[network.V6], paths: n.NewPathCache(), offload: offload.New(), seed: maphash.MakeSeed(),
	}
	if p.disabled, err = n.Pool.Drops.New("IPV6DISABLED"); err != nil {
		return err
	}
	p.frags = frag.New(frag.Config{
		Clock: n.Clock, Walks: n.Walks, Expired: p.reassemblyExpired, Domain: n.VRF, Params: frag.Params{Timeout: frag.Timeout6},
	})
	c.Free(p.frags.Close)
	var undo func()
	if p.conf, undo, err = conf6.New(n.Link, sysctls); err != nil {
		return err
	}
	c.Cleanup(undo)
	if err := c.Register(sysctls.Register(sysctl.Int("net.ipv6.fwmark_reflect", &n.ReflectMark[network.V6], 0, 1))); err != nil {
		return err
	}
	if err := module.Export(c, conf6.Symbol, p.conf); err != nil {
		return err
	}
	if err := p.registerStats(c); err != nil {
		return err
	}
	return p.register(c)
}

// register opens the doors: below, above, and to what happens to devices.
func (p *ip6) register(c *module.Context) error {
	n := p.net
	if err := c.Register(n.AddFamily(network.V6, p)); err != nil {
		return err
	}
	if err := c.Register(n.Link.Offload(wire.EtherTypeIPv6, p.offload)); err != nil {
		return err
	}
	if err := c.Register(n.Link.Handle(wire.EtherTypeIPv6, p)); err != nil {
		return err
	}
	c.Cleanup(p.removeAddrs)
	c.Cleanup(p.leaveGroups)
	c.Cleanup(p.conf.Watch(p.settingChanged))
	c.Cleanup(n.Watch(p.addrChanged))
	c.Cleanup(n.Link.Watch(p.deviceChanged))
	for _, dev := range n.Link.Devices() {
		p.deviceChanged(link.Event{Kind: link.Added, Device: dev})
		if dev.Up() {
			p.configure(dev)
		}
	}
	return nil
}

func (p *ip6) registerStats(c *module.Context) error {
	if err := c.Register(p.net.Stats.Add("Ip6", p.mib.fields(&p.frags.Stats)...)); err != nil {
		return err
	}
	files, err := module.Import[*proc.Table](c, "proc")
	if err != nil {
		return err
	}
	if err := c.Register(files.Register("net/snmp6", p.writeSNMP)); err != nil {
		return err
	}
	return c.Register(files.Register("net/if_inet6", p.writeAddrs))
}

// MinMTU is the smallest path MTU that is believed: the IPv6 minimum link MTU
// (RFC 8201 §4).
func (p *ip6) MinMTU() int { return wire.IPv6MinMTU }

// LinkMTU implements network.MTULimiter: routers may advertise a smaller MTU than
// the device's (RFC 4861 §6.3.4).
func (p *ip6) LinkMTU(dev *link.Device) int {
	if p.net.IsInner(dev) {
		return dev.MTU()
	}
	return int(p.conf.Of(dev.Index()).MTU.Load())
}

// Forwarding implements network.Forwarder.
func (p *ip6) Forwarding(index int32) bool { return p.conf.Of(index).Forwarding.Load() != 0 }

// reassemblyExpired answers for a datagram that never became complete (RFC 8200
// §4.5: "an ICMP Time Exceeded -- Fragment Reassembly Time Exceeded message").
func (p *ip6) reassemblyExpired(pkt *packet.Packet) {
	p.net.SendErrorDetail(network.V6, network.ReassemblyTimeExceeded, 0, 0, 0, pkt)
	pkt.Drop(stat.FragReasmTimeout)
}
