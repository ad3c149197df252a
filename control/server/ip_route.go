package server

import (
	"slices"
	"syscall"
	"time"

	"github.com/knitnet/knit/control"
	"github.com/knitnet/knit/network/route"
)

// metric6 is the metric of IPv6 routes whose command says none, as on Linux.
const metric6 = 1024

func (x *ipCall) route() error {
	switch c := x.q.Route; {
	case x.q.Command == "show":
		return x.routeShow()
	case x.q.Command == "flush":
		return x.routeFlush()
	case x.q.Command == "get" && x.q.Get != nil:
		return x.routeGet()
	case c == nil:
		return x.unknown()
	case x.q.Command == "delete":
		return x.routeDelete(c)
	default:
		return x.routeAdd(c)
	}
}

// newRoute translates a command. defaults says whether what was left out gets its
// usual value, as for new routes, or stays open.
func (x *ipCall) newRoute(c *control.IPRouteChange, defaults bool) (r route.Route, err error) {
	v6 := c.Dst.Addr().Is6()
	r = route.Route{Dst: c.Dst, Src: c.Src, MTU: c.MTU}
	r.Type, _ = route.ParseType(c.Type)
	if v6 && c.From.Bits() > 0 { // of IPv4 it has no meaning
		r.From = c.From.Masked()
	}
	r.Table = tableOf(c, r.Type)
	if c.VRF != "" {
		table, ok := x.vrfTable(c.VRF)
		if !ok {
			return r, wrongArgument(c.VRF, "Invalid VRF")
		}
		r.Table = table
	}
	if c.Proto != "" {
		r.Proto, _ = control.ProtoNumber(c.Proto)
	}
	scope := c.Scope
	if defaults && scope == "" {
		scope = c.DefaultScope()
	}
	if n, ok := control.ScopeNumber(scope); ok && !v6 {
		r.Scope = route.Scope(n)
	}
	if c.Metric != nil {
		r.Metric = *c.Metric
	}
	if defaults {
		if r.Proto == 0 {
			r.Proto = route.ProtoBoot
		}
		if v6 && r.Metric == 0 {
			r.Metric = metric6
		}
	}
	if c.Expires != 0 && v6 && r.Type <= route.Multicast {
		r.Expires = x.Kernel.Clock.Now().Add(time.Duration(c.Expires) * time.Second)
	}
	hops := c.NextHops
	if c.Hop != (control.IPNextHop{}) {
		hops = append([]control.IPNextHop{c.Hop}, hops...)
	}
	for _, h := range hops {
		hop, err := x.nextHop(h)
		if err != nil {
			return r, err
		}
		r.NextHops = append(r.NextHops, hop)
	}
	return r, nil
}

// tableOf is the table that a command is about.
func tableOf(c *control.IPRouteChange, t route.Type) uint32 {
	if n, ok := control.TableNumber(c.Table); ok && n != 0 {
		return n
	}
	if t == route.Local || t == route.Broadcast {
		return route.TableLocal
	}
	return route.TableMain
}

func (x *ipCall) nextHop(h control.IPNextHop) (hop route.NextHop, err error) {
	hop = route.NextHop{Gateway: h.Gateway, Weight: h.Weight, Onlink: h.Onlink}
	if h.Dev != "" {
		dev, err := x.device(h.Dev)
		if err != nil {
			return hop, err
		}
		hop.Index = dev.Index()
	}
	return hop, nil
}

func (x *ipCall) routeAdd(c *control.IPRouteChange) error {
	r, err := x.newRoute(c, true)
	if err != nil {
		return err
	}
	if err := x.checkRoute(c, &r); err != nil {
		return err
	}
	mode := map[string]route.Mode{"add": route.Create, "append": route.Append}
	m, ok := mode[x.q.Command]
	if !ok {
		m = route.Replace
	}
	if x.q.Command == "change" && !x.hasRoute(&r) {
		return answer(syscall.ENOENT)
	}
	if r.Table == route.TableLocal || r.Type == route.Local || r.Type == route.Broadcast {
		return x.addUnchecked(r, m)
	}
	return routeAnswer(&r, x.Kernel.Network.AddRoute(r, m))
}

// checkRoute refuses what Linux refuses before it looks at its tables.
func (x *ipCall) checkRoute(c *control.IPRouteChange, r *route.Route) error {
	v6 := r.Dst.Addr().Is6()
	switch {
	case c.From.Bits() > 0 && c.From.Addr().Is4() == v6:
		return answer(syscall.EINVAL)
	case !v6 && r.Dst != r.Dst.Masked():
		return refuse("Invalid prefix for given prefix length")
	case len(r.NextHops) == 0 && r.Type <= route.Multicast:
		return control.Errorf(2, "RTNETLINK answers: No such device\nWant: via or dev")
	case c.Hop != (control.IPNextHop{}) && len(c.NextHops) > 0:
		return refuse("Nexthop device index does not match RTA_OIF")
	case c.MTU != 0 && v6 && c.MTU < 1280, c.MTU != 0 && c.MTU < 68:
		return answer(syscall.EINVAL)
	case r.Type > route.Multicast && len(r.NextHops) > 0:
		r.NextHops = nil // a device or a gateway of a route to nowhere has no meaning
	}
	for i := range r.NextHops {
		if err := checkHop(r, &r.NextHops[i]); err != nil {
			return err
		}
	}
	return nil
}

// checkHop has Linux's words for next hops that make no sense without a device.
func checkHop(r *route.Route, h *route.NextHop) error {
	switch g := h.Gateway; {
	case g.IsValid() && g.Is4() != r.Dst.Addr().Is4():
		return unsupported("Want: a gateway of the same family")
	case h.Onlink && h.Index == 0:
		return refuse("Nexthop device required for onlink")
	case h.Onlink && g.Is4() && r.Scope >= route.LinkScope:
		return refuse("Nexthop has invalid scope")
	case g.Is6() && g.IsLinkLocalUnicast() && h.Index == 0:
		return refuse("Egress device not specified")
	}
	return nil
}

func (x *ipCall) hasRoute(r *route.Route) bool {
	t := x.Kernel.Network.Table(r.Table)
	return t != nil && slices.ContainsFunc(t.Get(r.Dst), func(o *route.Route) bool {
		return o.Metric == r.Metric && o.From == r.From
	})
}

// addUnchecked adds routes of the local table and to addresses of this host. Their
// devices must be up.
func (x *ipCall) addUnchecked(r route.Route, m route.Mode) error {
	n := x.Kernel.Network
	for i := range r.NextHops {
		dev := x.Kernel.Link.Device(r.NextHops[i].Index)
		switch {
		case dev == nil:
			return answer(syscall.ENODEV)
		case !dev.Up():
			return refuse("Device for nexthop is not up")
		}
	}
	if r.Src.IsValid() && !n.IsLocal(r.Src) && !slices.ContainsFunc(r.NextHops, func(h route.NextHop) bool { return n.IsLocalTo(r.Src, h.Index) }) {
		return refuse("Invalid prefsrc address")
	}
	table, err := n.MakeTable(r.Table)
	if err == nil {
		err = table.Add(r, m)
		n.Invalidate()
	}
	return answer(err)
}

// routeAnswer finds Linux's words for what AddRoute says.
func routeAnswer(r *route.Route, err error) error {
	v6 := r.Dst.Addr().Is6()
	switch errno := errnoOf(err); {
	case err == nil:
		return nil
	case errno == syscall.ENETDOWN && (v6 || anyOnlink(r)):
		return refuse("Nexthop device is not up")
	case errno == syscall.ENETDOWN:
		return refuse("Device for nexthop is not up")
	case errno == syscall.EINVAL && v6 && anyOnlink(r):
		return refuse("Nexthop has invalid gateway or device mismatch")
	case errno == syscall.ENETUNREACH && v6:
		return answer(syscall.EHOSTUNREACH)
	case errno == syscall.ENETUNREACH:
		return refuse("Nexthop has invalid gateway")
	case errno == syscall.EINVAL && r.Src.IsValid() && v6:
		return refuse("Invalid source address")
	case errno == syscall.EINVAL && r.Src.IsValid():
		return refuse("Invalid prefsrc address")
	}
	return answer(err)
}

func anyOnlink(r *route.Route) bool {
	return slices.ContainsFunc(r.NextHops, func(h route.NextHop) bool { return h.Onlink })
}

func (x *ipCall) routeDelete(c *control.IPRouteChange) error {
	r, err := x.newRoute(c, false)
	if err != nil {
		return err
	}
	if r.Table == route.TableLocal {
		err := x.Kernel.Network.Local.Delete(r.Dst, func(o *route.Route) bool {
			return (o.Type == r.Type || c.Type == "") && (r.Metric == 0 || o.Metric == r.Metric)
		})
		x.Kernel.Network.Invalidate()
		return answer(err)
	}
	return answer(x.Kernel.Network.DelRoute(r))
}
