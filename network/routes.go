package network

import (
	"fmt"
	"syscall"

	"github.com/knitnet/knit/network/route"
)

// AddRoute adds r to the main table, checked as `ip route` checks: the devices
// must be there and up (ENETDOWN), gateways must be neighbours (ENETUNREACH),
// the preferred source must be ours (EINVAL).
func (l *Layer) AddRoute(r route.Route, mode route.Mode) error {
	if err := l.checkRoute(&r); err != nil {
		return fmt.Errorf("route %v: %w", r.Dst, err)
	}
	if err := l.Main.Add(r, mode); err != nil {
		return err
	}
	l.changed()
	l.notify(Event{Kind: RouteAdded, Route: &r})
	return nil
}

func (l *Layer) checkRoute(r *route.Route) error {
	if l.Family(VersionOf(r.Dst.Addr())) == nil {
		if err := l.requestFamily(VersionOf(r.Dst.Addr())); err != nil {
			return err
		}
	}
	if r.Src.IsValid() && !l.IsLocal(r.Src) {
		return fmt.Errorf("%w: source %v is not an address of this host", syscall.EINVAL, r.Src)
	}
	if len(r.NextHops) == 0 && r.Type <= route.Multicast {
		return fmt.Errorf("%w: want a gateway or a device", syscall.EINVAL)
	}
	for i := range r.NextHops {
		if err := l.checkHop(&r.NextHops[i]); err != nil {
			return err
		}
	}
	return nil
}

// checkHop finds the device of a next hop that names only a gateway.
func (l *Layer) checkHop(h *route.NextHop) error {
	if h.Gateway.IsValid() {
		if l.IsLocal(h.Gateway) {
			return fmt.Errorf("%w: gateway %v is an address of this host", syscall.EINVAL, h.Gateway)
		}
		g := l.Main.Lookup(h.Gateway)
		if h.Index != 0 && g == nil {
			g = l.Main.LookupIndex(h.Gateway, h.Index)
		}
		linkLocal := h.Gateway.Is6() && h.Gateway.IsLinkLocalUnicast() && h.Index != 0
		if !linkLocal && (g == nil || len(g.NextHops) == 0 || g.NextHops[0].Gateway.IsValid()) {
			return fmt.Errorf("%w: gateway %v is on no link", syscall.ENETUNREACH, h.Gateway)
		}
		if h.Index == 0 {
			h.Index = g.NextHops[0].Index
		}
	}
	dev := l.Link.Device(h.Index)
	switch {
	case dev == nil:
		return syscall.ENODEV
	case !dev.Up():
		return fmt.Errorf("%w: %s is down", syscall.ENETDOWN, dev.Name())
	}
	return nil
}

// DelRoute removes the first route to r.Dst of the main table that agrees with
// what is set of r's other fields; route.ErrNotFound if there is none.
func (l *Layer) DelRoute(r route.Route) error {
	var gone *route.Route
	err := l.Main.Delete(r.Dst, func(x *route.Route) bool {
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
	l.notify(Event{Kind: RouteRemoved, Route: gone})
	return nil
}

func agrees(x, want *route.Route) bool {
	if want.Metric != 0 && x.Metric != want.Metric || want.Proto != 0 && x.Proto != want.Proto ||
		want.Type != route.Unicast && x.Type != want.Type || want.Src.IsValid() && x.Src != want.Src {
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
