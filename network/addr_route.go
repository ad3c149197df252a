package network

import (
	"net/netip"
	"slices"

	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network/route"
)

// kernelMetric is the metric of prefix routes: IPv6's is 256, IPv4's 0, as on Linux.
func kernelMetric(a *Addr) uint32 {
	switch {
	case a.Metric != 0:
		return a.Metric
	case a.IP().Is6():
		return 256
	}
	return 0
}

// routed reports whether routes follow from a. Those of IPv6 do at once: a tentative
// address takes part in finding out whether it is one. An IPv4 address that may not
// be used is none of this host's (RFC 5227 §2.1).
func (a *Addr) routed() bool { return a.IP().Is6() || a.Usable() }

// addLocalRoutes makes the address, and its broadcast addresses, ours.
func (l *Layer) addLocalRoutes(dev *link.Device, a *Addr) {
	if !a.routed() {
		return
	}
	ip := a.IP()
	t, id := l.domainTable(dev.Index(), route.TableLocal)
	add := func(p netip.Prefix, typ route.Type, s route.Scope) {
		r := route.Route{
			Dst: p, Type: typ, Scope: s, Proto: route.ProtoKernel, Src: ip,
			Table: id, NextHops: []route.NextHop{{Index: dev.Index()}},
		}
		if !hasRoute(t, &r) { // of a device's addresses that want it the first has it
			t.Add(r, route.Append)
		}
	}
	add(netip.PrefixFrom(ip, ip.BitLen()), route.Local, route.Host)
	if ip.Is4() {
		if ip.IsLoopback() {
			add(a.Prefix.Masked(), route.Local, route.Host)
		}
		for _, b := range broadcasts(a) {
			add(netip.PrefixFrom(b, 32), route.Broadcast, route.LinkScope)
		}
	}
}

// broadcasts returns the all-ones address of a's subnet and its configured one.
func broadcasts(a *Addr) (out []netip.Addr) {
	if a.Broadcast.IsValid() {
		out = append(out, a.Broadcast)
	}
	if bits := a.Prefix.Bits(); bits < 31 && !a.IP().IsLoopback() {
		if b := lastAddr(a.Prefix); b != a.Broadcast {
			out = append(out, b)
		}
	}
	return out
}

// lastAddr returns the address of an IPv4 prefix whose host bits are ones.
func lastAddr(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	return netip.AddrFrom4(b)
}

// addPrefixRoute makes the subnet of an address reachable by its device.
func (l *Layer) addPrefixRoute(dev *link.Device, a *Addr) {
	if !a.routed() || a.Flags&(NoPrefixRoute|Secondary) != 0 && a.IP().Is4() || a.Flags&NoPrefixRoute != 0 || a.IP().IsLoopback() && a.IP().Is4() {
		return
	}
	dst := a.Prefix.Masked()
	if a.Peer.IsValid() {
		dst = netip.PrefixFrom(a.Peer, a.Prefix.Bits()).Masked()
	} else if a.Prefix.IsSingleIP() && a.IP().Is4() {
		return // the local route says it all
	}
	t, id := l.domainTable(dev.Index(), route.TableMain)
	r := route.Route{
		Dst: dst, Table: id, Scope: route.LinkScope, Proto: route.ProtoKernel, Metric: kernelMetric(a),
		NextHops: []route.NextHop{{Index: dev.Index()}},
	}
	if a.IP().Is4() {
		r.Src = a.IP()
	} else {
		r.Scope = route.Universe
	}
	if hasRoute(t, &r) {
		return
	}
	if t.Add(r, route.Append) != nil { // Append: other links may have the subnet, too
		return
	}
	if !dev.Up() { // since a moment ago: nobody else may take the route away
		_ = t.Delete(r.Dst, func(x *route.Route) bool { return x.Proto == r.Proto && usesOnly(x, dev.Index()) })
		return
	}
	l.notify(Event{Kind: RouteAdded, Route: &r})
}

// hasRoute reports whether t has r already, by the same device.
func hasRoute(t *route.Table, r *route.Route) bool {
	for _, x := range t.Get(r.Dst) {
		if x.Metric == r.Metric && usesOnly(x, r.NextHops[0].Index) {
			return true
		}
	}
	return false
}

// dropAddrRoutes removes what follows from an address that dev has no more, and
// routes that prefer it as source if no other device has it either.
func (l *Layer) dropAddrRoutes(dev *link.Device, a *Addr) {
	ip := a.IP()
	local, _ := l.domainTable(dev.Index(), route.TableLocal)
	local.DeleteFunc(func(r *route.Route) bool { return r.Src == ip && (local == &l.Local || ofHost(r)) })
	dst := a.Prefix.Masked()
	if a.Peer.IsValid() {
		dst = netip.PrefixFrom(a.Peer, a.Prefix.Bits()).Masked()
	}
	_, main := l.domainTable(dev.Index(), route.TableMain)
	other, _ := l.addrIn(ip, l.VRF(dev.Index()))
	l.dropRoutes(func(r *route.Route) bool {
		follows := r.Dst == dst && r.Proto == route.ProtoKernel && usesOnly(r, dev.Index())
		return r.Table == main && (r.Src == ip && (other == nil || follows) || ip.Is6() && follows)
	})
}

// ofHost reports whether r comes with an address of this host, and with it alone: it
// stays while the device is down.
func ofHost(r *route.Route) bool {
	return r.Proto == route.ProtoKernel && (r.Type == route.Local || r.Type == route.Broadcast)
}

// dropLastRoutes takes the IPv4 routes by a device away that has no IPv4 address any
// more, as Linux does: nothing can be sent by it.
func (l *Layer) dropLastRoutes(dev *link.Device, gone *Addr) {
	if gone.IP().Is6() || slices.ContainsFunc(l.Addrs(dev.Index()), func(a *Addr) bool { return a.IP().Is4() }) {
		return
	}
	l.setDead(dev.Index(), V4, true)
	l.dropDead(dev, func(r *route.Route) bool { return r.Dst.Addr().Is4() })
}

// dropDead removes the routes for which are holds that leave by a device and by no other
// that is alive.
func (l *Layer) dropDead(dev *link.Device, are func(*route.Route) bool) {
	alive := func(h route.NextHop) bool { return h.Index != dev.Index() && !h.Dead }
	l.dropRoutes(func(r *route.Route) bool {
		return are(r) && r.Uses(dev.Index()) && !slices.ContainsFunc(r.NextHops, alive)
	})
}

// restoreRoutes adds what the addresses that are left need of what dropAddrRoutes
// has removed for gone: those of dev, the same on other devices, and those of the same
// IPv4 subnet, of which the first one has the routes.
func (l *Layer) restoreRoutes(dev *link.Device, gone *Addr) {
	for _, d := range l.Link.Devices() {
		for _, a := range l.Addrs(d.Index()) {
			if d != dev && a.IP() != gone.IP() && (a.IP().Is6() || a.Prefix.Masked() != gone.Prefix.Masked()) {
				continue
			}
			l.addLocalRoutes(d, a)
			if d.Up() {
				l.addPrefixRoute(d, a)
			}
		}
	}
}

// usesOnly reports whether all next hops leave by a device.
func usesOnly(r *route.Route, index int32) bool {
	for i := range r.NextHops {
		if r.NextHops[i].Index != index {
			return false
		}
	}
	return len(r.NextHops) > 0
}

// dropRoutes removes the routes for which del holds from all tables, but for those
// of local and for what VRFs have instead of them.
func (l *Layer) dropRoutes(del func(*route.Route) bool) {
	var gone []*route.Route
	for _, id := range l.Tables() {
		if id != route.TableLocal {
			gone = append(gone, l.Table(id).DeleteFunc(func(r *route.Route) bool { return !ofHost(r) && del(r) })...)
		}
	}
	l.removed(gone)
}

// removed tells of routes that are not in their tables any more.
func (l *Layer) removed(gone []*route.Route) {
	if len(gone) == 0 {
		return
	}
	l.changed()
	expiring := false
	for _, r := range gone {
		expiring = expiring || r.Expires != 0
		l.notify(Event{Kind: RouteRemoved, Route: r})
	}
	if expiring {
		l.rearm()
	}
}

// setDead marks the next hops of a version by an interface as dead or alive in all
// tables.
func (l *Layer) setDead(index int32, v Version, dead bool) {
	for _, id := range l.Tables() {
		l.Table(id).SetDead(index, v == V6, dead)
	}
}

func (l *Layer) deviceUp(dev *link.Device) {
	l.setDead(dev.Index(), V4, false)
	l.setDead(dev.Index(), V6, false)
	for _, a := range l.Addrs(dev.Index()) {
		l.addPrefixRoute(dev, a)
	}
}

// deviceDown removes the routes through the device; its addresses stay. Routes with
// other ways out, too, go on with these, until the device is up again.
func (l *Layer) deviceDown(dev *link.Device) {
	l.setDead(dev.Index(), V4, true)
	l.setDead(dev.Index(), V6, true)
	l.dropDead(dev, func(*route.Route) bool { return true })
}

func (l *Layer) deviceRemoved(dev *link.Device) {
	for _, a := range l.Addrs(dev.Index()) {
		l.DelAddr(dev, a.Prefix)
	}
	l.dropRoutes(func(r *route.Route) bool { return r.Uses(dev.Index()) })
	l.groups.deviceGone(dev)
}
