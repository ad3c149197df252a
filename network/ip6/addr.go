package ip6

import (
	"net/netip"
	"syscall"

	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/internal/conf6"
	"github.com/knitnet/knit/network/route"
	"github.com/knitnet/knit/wire"
)

// An owned address is one of a device: link-local ones may be on several.
type owned struct {
	index int32
	addr  netip.Addr
}

// CheckAddr implements network.AddrChecker: addresses begin as tentative where
// duplicates are looked for (RFC 4862 §5.4), and a device without IPv6 has none.
func (p *ip6) CheckAddr(dev *link.Device, a *network.Addr) error {
	c := p.conf.Of(dev.Index())
	if c.DisableIPv6.Load() != 0 {
		return syscall.EACCES
	}
	detect := dev.NeedsNeighbour() && dev.Flags()&link.NoARP == 0 && c.DADTransmits.Load() > 0 && c.AcceptDAD.Load() > 0
	if detect && a.Flags&network.NoDAD == 0 && p.net.Neighbours(network.V6) != nil {
		a.Flags |= network.Tentative
	}
	return nil
}

// changeTentative replaces the set of tentative addresses by a changed copy.
func (p *ip6) changeTentative(f func(map[owned]bool)) {
	for {
		old := p.tentative.Load()
		next := map[owned]bool{}
		if old != nil {
			for k := range *old {
				next[k] = true
			}
		}
		f(next)
		fresh := &next
		if len(next) == 0 {
			fresh = nil
		}
		if p.tentative.CompareAndSwap(old, fresh) {
			return
		}
	}
}

// isTentative reports whether dst, which is ours, may not be used yet.
func (p *ip6) isTentative(dev *link.Device, dst netip.Addr) bool {
	set := p.tentative.Load()
	if set == nil {
		return false
	}
	if (*set)[owned{dev.Index(), dst}] {
		return true
	}
	r := p.net.Own(dst, dev.Index()) // it may have come in by another link
	return r != nil && (*set)[owned{r.NextHops[0].Index, dst}]
}

// addrChanged follows the layer's addresses.
func (p *ip6) addrChanged(e network.Event) {
	if e.Addr == nil || !e.Addr.IP().Is6() {
		return
	}
	k := owned{e.Device.Index(), e.Addr.IP()}
	const unusable = network.Tentative | network.DADFailed
	tentative := false
	for _, a := range p.net.Addrs(k.index) { // what is true now: events may be late
		tentative = tentative || a.IP() == k.addr && a.Flags&unusable != 0 && a.Flags&network.Optimistic == 0
	}
	if set := p.tentative.Load(); set != nil || tentative {
		p.changeTentative(func(m map[owned]bool) {
			if delete(m, k); tentative {
				m[k] = true
			}
		})
	}
}

// deviceChanged follows the devices.
func (p *ip6) deviceChanged(e link.Event) {
	dev := e.Device
	switch e.Kind {
	case link.Added, link.Changed:
		p.followMTU(dev)
	case link.WentUp:
		p.configure(dev)
	case link.WentDown:
		if !dev.Up() { // as on Linux, whose keep_addr_on_down is 0
			p.dropAddrs(dev)
		}
	case link.Removed:
		p.mtus.Delete(dev.Index())
		p.leaveIf(func(d *link.Device) bool { return d == dev })
	}
}

// followMTU gives IPv6 a device's MTU when it is new: until then the one that a
// router advertised counts. A device whose MTU is too small for IPv6 loses its
// addresses (RFC 8200 §5).
func (p *ip6) followMTU(dev *link.Device) {
	mtu := dev.MTU()
	old, known := p.mtus.Swap(dev.Index(), mtu)
	if known && old == mtu {
		return
	}
	p.conf.Of(dev.Index()).MTU.Store(int64(mtu))
	p.net.Invalidate()
	switch {
	case mtu < wire.IPv6MinMTU:
		p.dropAddrs(dev)
	case known && old.(int) < wire.IPv6MinMTU && dev.Up():
		p.configure(dev)
	}
}

// configure gives a device that is up what every IPv6 interface has: the groups of
// all nodes, and the loopback or a link-local address (RFC 4291 §2.8).
func (p *ip6) configure(dev *link.Device) {
	if p.conf.Of(dev.Index()).DisableIPv6.Load() != 0 || dev.MTU() < wire.IPv6MinMTU {
		return
	}
	p.joinGroups(dev)
	if dev.Type() == link.Loopback {
		p.net.AddAddr(dev, network.Addr{Prefix: netip.PrefixFrom(netip.IPv6Loopback(), 128), Scope: route.Host, Proto: route.ProtoKernel})
		return
	}
	if !p.net.IsInner(dev) { // a VRF has no link
		p.addLinkLocal(dev)
	}
}

var linkLocal = netip.MustParsePrefix("fe80::/64")

// addLinkLocal generates the link-local address, unless there is one (RFC 4862
// §5.3).
func (p *ip6) addLinkLocal(dev *link.Device) {
	c := p.conf.Of(dev.Index())
	if c.AddrGenMode.Load() == conf6.GenNone {
		return
	}
	for _, a := range p.net.Addrs(dev.Index()) {
		if a.IP().Is6() && a.IP().IsLinkLocalUnicast() {
			return
		}
	}
	id, stable, ok := c.InterfaceID(dev, linkLocal.Addr(), 0)
	if !ok {
		return
	}
	a := network.Addr{
		Prefix: netip.PrefixFrom(conf6.WithID(linkLocal.Addr(), id), linkLocal.Bits()),
		Scope:  route.LinkScope, Proto: route.ProtoKernel,
	}
	if stable {
		a.Flags |= network.StablePrivacy
	}
	p.net.AddAddr(dev, a) // fails only when somebody else just added it
}

// settingChanged follows net.ipv6.conf.*.
func (p *ip6) settingChanged(name string, c *conf6.Conf) {
	for _, dev := range p.net.Link.Devices() {
		if !p.conf.Concerns(c, dev) {
			continue
		}
		switch name {
		case "disable_ipv6":
			if p.conf.Of(dev.Index()).DisableIPv6.Load() != 0 {
				p.dropAddrs(dev)
			} else if dev.Up() {
				p.configure(dev)
			}
		case "forwarding":
			if dev.Up() {
				p.joinGroups(dev)
			}
		case "addr_gen_mode", "stable_secret":
			if dev.Up() && !p.net.IsInner(dev) {
				p.addLinkLocal(dev)
			}
		}
	}
	p.net.Invalidate()
}

// dropAddrs takes the IPv6 addresses of a device away.
func (p *ip6) dropAddrs(dev *link.Device) {
	for _, a := range p.net.Addrs(dev.Index()) {
		if a.IP().Is6() {
			p.net.DelAddr(dev, a.Prefix)
		}
	}
}

// removeAddrs takes away all addresses of a version that is being unloaded.
func (p *ip6) removeAddrs() {
	for _, dev := range p.net.Link.Devices() {
		p.dropAddrs(dev)
	}
}
