// Package ip4 is the Internet Protocol version 4 (RFC 791, RFC 1122, RFC 1812).
package ip4

import (
	"sync"
	"time"

	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/core/sysctl"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/frag"
	"github.com/knitnet/knit/network/offload"
	"github.com/knitnet/knit/wire"
)

// Module is the metadata.
var Module = module.Spec{
	Name:        "ip4",
	Version:     "1.0",
	Description: "Internet Protocol version 4",
	Author:      "the knit authors",
	License:     "Apache-2.0",
	Alias:       []string{"net-pf-2"},
	Softdep:     module.Softdep{Pre: []string{"loopback"}, Post: []string{"arp", "icmp4", "igmp"}},
	Init:        start,
}

// ip4 is one kernel's instance: its network.Family and the link.Handler of IPv4.
type ip4 struct {
	net      *network.Layer
	hooks    *network.Hooks
	offload  *offload.Offload
	frags    *frag.Table
	paths    *network.PathCache // of forwarded packets and of those that hooks rerouted
	conf     *network.DeviceConf[conf]
	settings settings
	idents   idents
	fates    fateCache
	carrier  sync.Mutex // serialises carrierChanged
	mib      mib
}

func start(c *module.Context) error {
	n, err := module.Import[*network.Layer](c, network.Symbol)
	if err != nil {
		return err
	}
	table, err := module.Import[*sysctl.Table](c, "sysctl")
	if err != nil {
		return err
	}
	p := newIP4(n)
	c.Free(p.frags.Close)
	if err := p.publish(c, table); err != nil {
		return err
	}
	if err := c.Register(n.AddFamily(network.V4, p)); err != nil {
		return err
	}
	if err := c.Register(n.Link.Offload(wire.EtherTypeIPv4, p.offload)); err != nil {
		return err
	}
	if err := c.Register(n.Link.Handle(wire.EtherTypeIPv4, p)); err != nil {
		return err
	}
	p.configureLoopback(c)
	p.watchCarrier(c)
	return nil
}

func newIP4(n *network.Layer) *ip4 {
	p := &ip4{net: n, hooks: &n.Hooks[network.V4], offload: offload.New(), paths: n.NewPathCache()}
	p.frags = frag.New(frag.Config{
		Clock: n.Clock, Walks: n.Walks, Expired: p.expired, Domain: n.VRF, Params: frag.Params{MaxDist: frag.MaxDist4},
	})
	p.settings.ttl.Store(defaultTTL)
	p.settings.minPMTU.Store(defaultMinPMTU)
	p.idents.init(n.Clock)
	return p
}

const (
	// defaultTTL is net.ipv4.ip_default_ttl's first value, that of RFC 1700.
	defaultTTL = 64
	// defaultMinPMTU is net.ipv4.route.min_pmtu's. RFC 791 would allow 68, which
	// is only good for attacks.
	defaultMinPMTU = 552
)

// MinMTU is the smallest path MTU that is believed: net.ipv4.route.min_pmtu.
func (p *ip4) MinMTU() int { return int(p.settings.minPMTU.Load()) }

// LinkMTU implements network.MTULimiter: no IPv4 packet is longer than its header
// can say (RFC 791 §3.1), though the loopback device would take one that is.
func (p *ip4) LinkMTU(dev *link.Device) int { return min(dev.MTU(), wire.IPv4MaxTotal) }

// Forwarding implements network.Forwarder.
func (p *ip4) Forwarding(index int32) bool { return p.conf.Of(index).forwarding.Load() }

// milliseconds returns the kernel's time since midnight UT, for timestamp options
// (RFC 791 §3.1).
func (p *ip4) milliseconds() uint32 {
	now := p.net.Clock.Wall().UTC()
	return uint32(now.Sub(now.Truncate(24*time.Hour)) / time.Millisecond)
}
