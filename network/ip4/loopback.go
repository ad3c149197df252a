package ip4

import (
	"errors"
	"net/netip"
	"syscall"

	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/route"
)

// configureLoopback gives loopback devices 127.0.0.1 when they go up, those that
// are up now too (RFC 1122 §3.2.1.3 (g); Linux does so).
func (p *ip4) configureLoopback(c *module.Context) {
	c.Cleanup(p.net.Link.Watch(func(e link.Event) {
		if e.Kind == link.WentUp {
			p.addLoopback(c, e.Device)
		}
	}))
	for _, dev := range p.net.Link.Devices() {
		if dev.Up() {
			p.addLoopback(c, dev)
		}
	}
}

func (p *ip4) addLoopback(c *module.Context, dev *link.Device) {
	if dev.Type() != link.Loopback {
		return
	}
	err := p.net.AddAddr(dev, network.Addr{
		Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 8), Scope: route.Host, Proto: route.ProtoKernel,
	})
	if err != nil && !errors.Is(err, syscall.EEXIST) {
		c.Log().Warn("%v", err)
	}
}
