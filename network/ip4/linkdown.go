package ip4

import (
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/link"
)

// watchCarrier keeps the table of routes informed of the devices whose routes do not
// count because they have no carrier: net.ipv4.conf.IF.ignore_routes_with_linkdown.
func (p *ip4) watchCarrier(c *module.Context) {
	c.Cleanup(func() { p.net.SetDown(false, nil) })
	c.Cleanup(p.net.Link.Watch(func(link.Event) { p.carrierChanged() }))
	p.carrierChanged()
}

func (p *ip4) carrierChanged() {
	p.carrier.Lock() // who looks last must not be overtaken
	defer p.carrier.Unlock()
	down := map[int32]bool{}
	for _, dev := range p.net.Link.Devices() {
		ignored := either(&p.conf.All.ignoreLinkdown, &p.conf.Of(dev.Index()).ignoreLinkdown)
		if ignored && dev.Flags()&(link.Up|link.Running) == link.Up {
			down[dev.Index()] = true
		}
	}
	p.net.SetDown(false, down)
	p.net.Invalidate()
}
