package network

import (
	"fmt"
	"net/netip"
	"slices"
	"syscall"

	"github.com/knitnet/knit/network/route"
)

// AddRoute adds r to its table, main if it names none, checked as `ip route` checks: the devices
// must be there and up (ENETDOWN), gateways must be neighbours on them, or be
// called so by Onlink (ENETUNREACH, EINVAL), the preferred source must be ours
// (EINVAL). A route whose Expires has passed is EINVAL.
func (l *Layer) AddRoute(r route.Route, mode route.Mode) error {
	r.Dst = r.Dst.Masked()
	r.NextHops = slices.Clone(r.NextHops) // those of the caller stay as they are
	if r.Table == 0 {
		r.Table = route.TableMain
	}
	if r.From.Bits() <= 0 {
		r.From = netip.Prefix{}
	}
	if err := l.checkRoute(&r); err != nil {
		return fmt.Errorf("route %v: %w", r.Dst, err)
	}
	t, err := l.MakeTable(r.Table)
	if err != nil {
		return fmt.Errorf("table %d: %w", r.Table, err)
	}
	if err := t.Add(r, mode); err != nil {
		return err
	}
	if err := l.checkUp(&r); err != nil { // it went down meanwhile, perhaps before the route came
		_ = t.Delete(r.Dst, func(x *route.Route) bool {
			return x.Metric == r.Metric && x.From == r.From && slices.Equal(x.NextHops, r.NextHops)
		})
		l.changed()
		return fmt.Errorf("route %v: %w", r.Dst, err)
	}
	l.changed()
	if r.Expires != 0 {
		l.watchEnd(r.Expires)
	}
	l.notify(Event{Kind: RouteAdded, Route: &r})
	return nil
}

func (l *Layer) checkRoute(r *route.Route) error {
	if l.Family(VersionOf(r.Dst.Addr())) == nil {
		if err := l.requestFamily(VersionOf(r.Dst.Addr())); err != nil {
			return err
		}
	}
	if len(r.NextHops) == 0 && r.Type <= route.Multicast {
		return fmt.Errorf("%w: want a gateway or a device", syscall.EINVAL)
	}
	if r.Expires != 0 && r.Expires <= l.Clock.Now() {
		return fmt.Errorf("%w: it has expired already", syscall.EINVAL)
	}
	for i := range r.NextHops {
		if err := l.checkHop(r, &r.NextHops[i]); err != nil {
			return err
		}
	}
	if r.Src.IsValid() && !l.IsLocal(r.Src) && !slices.ContainsFunc(r.NextHops, func(h route.NextHop) bool { return l.IsLocalTo(r.Src, h.Index) }) {
		return fmt.Errorf("%w: source %v is not an address of this host", syscall.EINVAL, r.Src)
	}
	return nil
}

// checkUp reports whether the devices of all next hops are there and up.
func (l *Layer) checkUp(r *route.Route) error {
	for i := range r.NextHops {
		if err := l.checkDevice(r.NextHops[i].Index); err != nil {
			return err
		}
	}
	return nil
}

func (l *Layer) checkDevice(index int32) error {
	dev := l.Link.Device(index)
	switch {
	case dev == nil:
		return syscall.ENODEV
	case !dev.Up():
		return fmt.Errorf("%w: %s is down", syscall.ENETDOWN, dev.Name())
	}
	return nil
}

// checkHop checks a next hop of r, and finds the device of one that names only a
// gateway.
func (l *Layer) checkHop(r *route.Route, h *route.NextHop) error {
	if h.Gateway.IsValid() {
		if err := l.checkGateway(r.Table, h); err != nil {
			return err
		}
	}
	if err := l.checkDevice(h.Index); err != nil {
		return err
	}
	if h.Onlink && r.Scope >= route.LinkScope {
		return fmt.Errorf("%w: a route of scope %v has no gateway", syscall.EINVAL, r.Scope)
	}
	return nil
}

// checkGateway refuses gateways that are not, and are not said to be, neighbours on
// the next hop's link, by the routes of the table or else by those of main.
func (l *Layer) checkGateway(table uint32, h *route.NextHop) error {
	g := h.Gateway
	r := l.Own(g, l.domainOf(table, h))
	switch {
	case r != nil && r.Type == route.Local:
		return fmt.Errorf("%w: gateway %v is an address of this host", syscall.EINVAL, g)
	case r != nil, g.IsUnspecified(), groupType(g) != route.Unicast:
		return fmt.Errorf("%w: gateway %v is not the address of one host", syscall.ENETUNREACH, g)
	case h.Onlink:
		return l.checkOnlink(h)
	case g.Is6() && g.IsLinkLocalUnicast():
		if h.Index == 0 {
			return fmt.Errorf("%w: gateway %v needs a device", syscall.EINVAL, g)
		}
		return nil
	}
	if t := l.Table(table); t != nil && table != route.TableLocal {
		r = t.LookupLink(g, h.Index)
	}
	if r == nil {
		r = l.Main.LookupLink(g, h.Index)
	}
	if r == nil {
		return fmt.Errorf("%w: gateway %v is not on the link", syscall.ENETUNREACH, g)
	}
	if h.Index == 0 {
		h.Index = onLinkHop(r).Index
	}
	return nil
}

// domainOf returns the VRF that a next hop of a table is in, 0 for none: that of its
// interface, or else the one that has the table.
func (l *Layer) domainOf(table uint32, h *route.NextHop) int32 {
	if h.Index != 0 {
		return l.VRF(h.Index)
	}
	return l.VRFByTable(table).Index
}

// onLinkHop returns the first next hop of r without a gateway.
func onLinkHop(r *route.Route) *route.NextHop {
	at := slices.IndexFunc(r.NextHops, func(h route.NextHop) bool { return !h.Gateway.IsValid() })
	return &r.NextHops[at]
}

// checkOnlink refuses onlink without a device, and of IPv6 for a gateway that a
// route other than the default sends elsewhere, as Linux does.
func (l *Layer) checkOnlink(h *route.NextHop) error {
	if h.Index == 0 {
		return fmt.Errorf("%w: onlink needs a device", syscall.ENODEV)
	}
	if h.Gateway.Is4() || h.Gateway.IsLinkLocalUnicast() {
		return nil
	}
	r := l.Main.Lookup(h.Gateway)
	if r == nil || r.Dst.Bits() == 0 || len(r.NextHops) == 0 || usesOnly(r, h.Index) {
		return nil
	}
	return fmt.Errorf("%w: gateway %v is on another link", syscall.EINVAL, h.Gateway)
}

// DelRoute removes the first route to r.Dst of r's table, main if it names none, that
// agrees with what is set of r's other fields; route.ErrNotFound if there is none.
func (l *Layer) DelRoute(r route.Route) error {
	if r.Table == 0 {
		r.Table = route.TableMain
	}
	t := l.Table(r.Table)
	if t == nil {
		return fmt.Errorf("table %d: %w", r.Table, route.ErrNotFound)
	}
	var gone *route.Route
	err := t.Delete(r.Dst, func(x *route.Route) bool {
		if !agrees(x, &r) {
			return false
		}
		gone = x
		return true
	})
	if err != nil {
		return err
	}
	l.changed()
	if gone.Expires != 0 {
		l.rearm()
	}
	l.notify(Event{Kind: RouteRemoved, Route: gone})
	return nil
}

// DelRoutes removes all routes of a table for which del holds, and returns how many these
// were. It costs less than removing many one by one, and tells the watchers of each.
func (l *Layer) DelRoutes(table uint32, del func(*route.Route) bool) int {
	t := l.Table(table)
	if t == nil {
		return 0
	}
	gone := t.DeleteFunc(del)
	l.removed(gone)
	return len(gone)
}

func agrees(x, want *route.Route) bool {
	if want.Metric != 0 && x.Metric != want.Metric || want.Proto != 0 && x.Proto != want.Proto ||
		want.From.Bits() > 0 && want.From != x.From || want.Type != route.Unicast && x.Type != want.Type || want.Src.IsValid() && x.Src != want.Src {
		return false
	}
	if len(want.NextHops) == 0 {
		return true
	}
	w := want.NextHops[0]
	for _, h := range x.NextHops {
		if (w.Index == 0 || h.Index == w.Index) && (!w.Gateway.IsValid() || h.Gateway == w.Gateway) {
			return true
		}
	}
	return false
}
