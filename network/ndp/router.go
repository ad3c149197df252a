package ndp

import (
	"net/netip"
	"slices"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/internal/conf6"
	"github.com/knitnet/knit/network/neigh"
	"github.com/knitnet/knit/network/route"
	"github.com/knitnet/knit/wire"
)

// Metrics of learned routes: IP6_RT_PRIO_ADDRCONF for prefixes on the link,
// IP6_RT_PRIO_USER for what goes by a router. A router's preference (RFC 4191 §2.1)
// moves the latter by one, so that the table itself chooses.
const (
	onLinkMetric = 256
	routerMetric = 1024
)

func metric(preference uint8) uint32 {
	switch preference {
	case wire.PreferenceHigh:
		return routerMetric - 1
	case wire.PreferenceLow:
		return routerMetric + 1
	}
	return routerMetric
}

// routerAdvert learns from a router (RFC 4861 §6.3.4).
func (d *ndp) routerAdvert(m *message) {
	ra, ok := wire.ParseRouterAdvert(m.b)
	if !ok || !m.src.IsLinkLocalUnicast() {
		m.bad = stat.IPv6NDiscBadOptions
		return
	}
	c := d.conf.Of(m.dev.Index())
	if !accepts(c) || d.find(m.dev, m.src) != nil {
		return
	}
	d.mu.Lock()
	i := d.iface(m.dev)
	if ra.Fields().Lifetime > 0 {
		i.soliciting = false // RFC 7559 §2.1
		i.solicitor.Stop()
	}
	d.mu.Unlock()
	i.routerFields(m.src, ra.Fields(), c)
	options := ra.Options()
	for o, ok := options.Next(); ok; o, ok = options.Next() {
		i.option(m.src, o, c)
	}
}

// routerFields takes over the fixed part.
func (i *iface) routerFields(router netip.Addr, f wire.RouterAdvertFields, c *conf6.Conf) {
	if c.AcceptRADefRtr.Load() != 0 {
		i.defaultRouter(router, f, c)
	}
	if n := int64(f.HopLimit); n != 0 && n >= c.AcceptRAMinHopLimit.Load() {
		c.HopLimit.Store(n)
	}
	p := i.d.neigh.Params(i.dev)
	next := p
	if f.ReachableTime != 0 {
		next.BaseReachable = time.Duration(min(f.ReachableTime, 3600000)) * time.Millisecond // RFC 4861 §6.2.1
	}
	if f.RetransmitTime != 0 {
		// RFC 4861 sets no bounds; neither 1 ms nor years are of use.
		next.Retrans = time.Duration(min(max(f.RetransmitTime, 100), 60000)) * time.Millisecond
	}
	if next != p {
		i.d.neigh.SetParams(i.dev, next)
	}
}

var defaultPrefix = netip.PrefixFrom(netip.IPv6Unspecified(), 0)

func (i *iface) defaultRouter(router netip.Addr, f wire.RouterAdvertFields, c *conf6.Conf) {
	preference := f.Preference
	if c.AcceptRARtrPref.Load() == 0 {
		preference = wire.PreferenceMedium
	}
	i.learn(i.via(defaultPrefix, router, preference), time.Duration(f.Lifetime)*time.Second)
}

// via is the route to dst by a router.
func (i *iface) via(dst netip.Prefix, router netip.Addr, preference uint8) route.Route {
	return route.Route{
		Dst: dst, Table: i.d.net.MainTable(i.dev.Index()), Proto: route.ProtoRA, Metric: metric(preference),
		NextHops: []route.NextHop{{Gateway: router, Index: i.dev.Index()}},
	}
}

// option takes over one option.
func (i *iface) option(router netip.Addr, o wire.NDPOption, c *conf6.Conf) {
	switch o.Type() {
	case wire.NDPOptSourceLink:
		if mac, ok := o.LinkAddr(); ok && !mac.IsMulticast() {
			i.d.neigh.Update(i.dev, router, mac, neigh.Update{Override: true, Create: true, Router: neigh.RouterYes})
		}
	case wire.NDPOptMTU:
		if mtu, ok := o.MTU(); ok && c.AcceptRAMTU.Load() != 0 {
			i.setMTU(mtu, c)
		}
	case wire.NDPOptPrefix:
		if p, ok := o.Prefix(); ok && c.AcceptRAPInfo.Load() != 0 {
			i.prefix(p, c)
		}
	case wire.NDPOptRoute:
		if r, ok := o.Route(); ok && c.AcceptRARtrPref.Load() != 0 {
			i.routeInformation(router, r)
		}
	case wire.NDPOptRDNSS:
		if s, ok := o.RDNSS(); ok {
			i.servers(s)
		}
	}
}

// setMTU takes over the link's MTU: "hosts SHOULD copy the option's value into
// LinkMTU so long as the value is greater than or equal to the minimum link MTU
// [IPv6] and does not exceed the maximum LinkMTU value".
func (i *iface) setMTU(mtu uint32, c *conf6.Conf) {
	if mtu < wire.IPv6MinMTU || uint64(mtu) > uint64(i.dev.MTU()) {
		return
	}
	if c.MTU.Swap(int64(mtu)) != int64(mtu) {
		i.d.net.Invalidate()
	}
}

// prefix takes over a prefix information option.
func (i *iface) prefix(p wire.NDPPrefix, c *conf6.Conf) {
	dst := netip.PrefixFrom(netip.AddrFrom16(p.Prefix), int(p.Bits)).Masked()
	if dst.Addr().IsLinkLocalUnicast() || dst.Addr().IsMulticast() {
		return // "silently ignore" (RFC 4862 §5.5.3 (b), RFC 4861 §6.3.4)
	}
	if p.OnLink && p.Bits > 0 {
		i.learn(route.Route{
			Dst: dst, Table: i.d.net.MainTable(i.dev.Index()), Proto: route.ProtoRA, Metric: onLinkMetric,
			NextHops: []route.NextHop{{Index: i.dev.Index()}},
		}, lifetime(p.Valid))
	}
	if p.Autonomous && c.Autoconf.Load() != 0 {
		i.autoconfigure(dst, p)
	}
}

// routeInformation takes over a more specific route (RFC 4191 §2.3).
func (i *iface) routeInformation(router netip.Addr, r wire.NDPRoute) {
	dst := netip.PrefixFrom(netip.AddrFrom16(r.Prefix), int(r.Bits)).Masked()
	if dst.Bits() > 0 && (dst.Addr().IsLinkLocalUnicast() || dst.Addr().IsMulticast()) {
		return
	}
	i.learn(i.via(dst, router, r.Preference), lifetime(r.Lifetime))
}

// servers takes over recursive DNS servers (RFC 8106 §6.1). Those heard of last come
// first.
func (i *iface) servers(s wire.NDPServers) {
	now := i.d.net.Clock.Now()
	end := until(now, lifetime(s.Lifetime()))
	i.d.mu.Lock()
	defer i.d.mu.Unlock()
	var list []network.Resolver
	for n := range s.Len() {
		addr := s.At(n)
		if addr.IsMulticast() || addr.IsUnspecified() {
			continue
		}
		same := func(r network.Resolver) bool { return r.Addr == addr }
		if slices.ContainsFunc(list, same) {
			continue
		}
		i.resolvers = slices.DeleteFunc(i.resolvers, same)
		if s.Lifetime() > 0 {
			list = append(list, network.Resolver{Addr: addr, Device: i.dev, Until: end})
		}
	}
	list = append(list, liveResolvers(i.resolvers, now)...)
	i.resolvers = list[:min(len(list), maxResolvers)]
	i.arm()
}

func liveResolvers(rs []network.Resolver, now clock.Time) []network.Resolver {
	return slices.DeleteFunc(slices.Clone(rs), func(r network.Resolver) bool { return r.Until <= now })
}

// resolvers is the network.ResolversFunc.
func (d *ndp) resolvers() (list []network.Resolver) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, i := range d.ifaces {
		list = append(list, liveResolvers(i.resolvers, d.net.Clock.Now())...)
	}
	slices.SortStableFunc(list, func(a, b network.Resolver) int { return int(a.Device.Index() - b.Device.Index()) })
	return list
}

// room reports whether one more address may be made on a device (max_addresses).
func (d *ndp) room(dev *link.Device) bool {
	most, n := d.conf.Of(dev.Index()).MaxAddresses.Load(), int64(0)
	for _, a := range d.net.Addrs(dev.Index()) {
		if a.IP().Is6() {
			n++
		}
	}
	return most == 0 || n < most
}
