package server

import (
	"errors"
	"net/netip"
	"slices"
	"syscall"

	"github.com/knitnet/knit/control"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
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

func (x *ipCall) routeShow() error {
	if err := x.checkFilter("Cannot find device \"%s\""); err != nil {
		return err
	}
	switch t := x.q.Filter.Table; t {
	case "main", "local", "all", "", "cache":
	default:
		return control.Errorf(2, "Error: ipv4: FIB table does not exist.\nDump terminated\nWant: table main, local or all, not %s", t)
	}
	return x.emit(control.IPReply{Routes: x.selectRoutes()})
}

// selectRoutes lists what the filter lets through, of IPv4 alone if no family and
// no table of both was asked for.
func (x *ipCall) selectRoutes() []control.IPRoute {
	f, family := x.q.Filter, x.q.Family
	if family == "" && f.Table != "all" {
		family = "inet"
	}
	return sel(x.routes(), func(r *control.IPRoute) bool { return f.MatchRoute(r, family) })
}

// routes lists both tables in Linux's order: main before local, IPv4 before IPv6,
// and IPv6's default routes last.
func (x *ipCall) routes() (list []control.IPRoute) {
	n := x.Kernel.Network
	for _, v6 := range []bool{false, true} {
		for _, t := range []struct {
			name  string
			table *route.Table
		}{{"main", &n.Main}, {"local", &n.Local}} {
			var defaults []control.IPRoute
			for _, r := range t.table.All() {
				if r.Dst.Addr().Is6() != v6 {
					continue
				}
				if d := x.ipRoute(r, t.name); v6 && r.Dst.Bits() == 0 {
					defaults = append(defaults, d)
				} else {
					list = append(list, d)
				}
			}
			list = append(list, defaults...)
		}
	}
	return list
}

// ipRoute describes a route of a table.
func (x *ipCall) ipRoute(r *route.Route, table string) control.IPRoute {
	out := control.IPRoute{
		Family: "inet", Dst: r.Dst, Type: r.Type.String(), Table: table, Proto: control.ProtoName(r.Proto),
		Scope: r.Scope.String(), Src: r.Src, Metric: r.Metric, MTU: r.MTU,
	}
	if r.Proto == 0 {
		out.Proto = "boot"
	}
	if r.Dst.Addr().Is6() {
		out.Family, out.Scope = "inet6", "global" // IPv6 routes have no scope
		if table == "local" {
			out.Src = netip.Addr{}
		}
	}
	for i := range r.NextHops {
		h := &r.NextHops[i]
		hop := control.IPNextHop{Gateway: h.Gateway, Weight: h.Weight, Onlink: table == "main" && x.onlink(h)}
		if dev := x.Kernel.Link.Device(h.Index); dev != nil {
			hop.Dev = dev.Name()
			hop.Linkdown = r.Type != route.Local && dev.Flags()&(link.Up|link.Running) == link.Up
		}
		out.NextHops = append(out.NextHops, hop)
	}
	return out
}

// onlink reports whether no route says that the gateway is on the device's link:
// only the word onlink makes such a route.
func (x *ipCall) onlink(h *route.NextHop) bool {
	if !h.Gateway.IsValid() || h.Gateway.Is6() && h.Gateway.IsLinkLocalUnicast() {
		return false
	}
	g := x.Kernel.Network.Main.LookupIndex(h.Gateway, h.Index)
	return g == nil || !slices.ContainsFunc(g.NextHops, func(n route.NextHop) bool {
		return n.Index == h.Index && !n.Gateway.IsValid()
	})
}

// newRoute translates a command. defaults says whether what was left out gets its
// usual value, as for new routes, or stays open.
func (x *ipCall) newRoute(c *control.IPRouteChange, defaults bool) (r route.Route, onlink bool, err error) {
	v6 := c.Dst.Addr().Is6()
	r = route.Route{Dst: c.Dst, Src: c.Src, MTU: c.MTU}
	for t := route.Unicast; t <= route.Prohibit; t++ {
		if t.String() == c.Type {
			r.Type = t
		}
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
	hops := c.NextHops
	if c.Hop != (control.IPNextHop{}) {
		hops = append([]control.IPNextHop{c.Hop}, hops...)
	}
	for _, h := range hops {
		hop, err := x.nextHop(h)
		if err != nil {
			return r, false, err
		}
		onlink = onlink || h.Onlink
		r.NextHops = append(r.NextHops, hop)
	}
	return r, onlink, nil
}

func (x *ipCall) nextHop(h control.IPNextHop) (hop route.NextHop, err error) {
	hop = route.NextHop{Gateway: h.Gateway, Weight: h.Weight}
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
	r, onlink, err := x.newRoute(c, true)
	if err != nil {
		return err
	}
	if err := x.checkRoute(c, &r, onlink); err != nil {
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
	if onlink || c.Table == "local" || r.Type == route.Local || r.Type == route.Broadcast {
		return x.addUnchecked(c, r, m)
	}
	return routeAnswer(&r, x.Kernel.Network.AddRoute(r, m))
}

// checkRoute refuses what Linux refuses before it looks at its tables.
func (x *ipCall) checkRoute(c *control.IPRouteChange, r *route.Route, onlink bool) error {
	v6 := r.Dst.Addr().Is6()
	switch {
	case c.Table != "" && c.Table != "main" && c.Table != "local":
		return unsupported("Want: table main or local, not " + c.Table)
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
		if err := x.checkHop(r, &r.NextHops[i]); err != nil && !onlink {
			return err
		}
	}
	return nil
}

// checkHop refuses a gateway that is no neighbour on the device of the command.
func (x *ipCall) checkHop(r *route.Route, h *route.NextHop) error {
	dev := x.Kernel.Link.Device(h.Index)
	switch g := h.Gateway; {
	case g.Is6() && g.IsLinkLocalUnicast() && dev == nil:
		return refuse("Egress device not specified")
	case dev != nil && dev.Up() && x.onlink(h):
		return routeAnswer(r, syscall.ENETUNREACH)
	}
	return nil
}

func (x *ipCall) hasRoute(r *route.Route) bool {
	return slices.ContainsFunc(x.Kernel.Network.Main.All(), func(o *route.Route) bool {
		return o.Dst == r.Dst.Masked() && o.Metric == r.Metric
	})
}

// addUnchecked adds routes whose gateway is taken on the user's word, and those of
// the local table. Their devices must be up.
func (x *ipCall) addUnchecked(c *control.IPRouteChange, r route.Route, m route.Mode) error {
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
	if r.Src.IsValid() && !n.IsLocal(r.Src) {
		return refuse("Invalid prefsrc address")
	}
	table := &n.Main
	if c.Table == "local" || c.Table == "" && (r.Type == route.Local || r.Type == route.Broadcast) {
		table = &n.Local
	}
	err := table.Add(r, m)
	n.Invalidate()
	return answer(err)
}

// routeAnswer finds Linux's words for what AddRoute says.
func routeAnswer(r *route.Route, err error) error {
	v6 := r.Dst.Addr().Is6()
	switch errno := errnoOf(err); {
	case err == nil:
		return nil
	case errno == syscall.ENETDOWN && v6:
		return refuse("Nexthop device is not up")
	case errno == syscall.ENETDOWN:
		return refuse("Device for nexthop is not up")
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

func (x *ipCall) routeDelete(c *control.IPRouteChange) error {
	r, _, err := x.newRoute(c, false)
	if err != nil {
		return err
	}
	if c.Table == "local" || c.Table == "" && (r.Type == route.Local || r.Type == route.Broadcast) {
		err := x.Kernel.Network.Local.Delete(r.Dst, func(o *route.Route) bool {
			return o.Type == r.Type && (r.Metric == 0 || o.Metric == r.Metric)
		})
		x.Kernel.Network.Invalidate()
		return answer(err)
	}
	if c.Table != "" && c.Table != "main" {
		return answer(route.ErrNotFound)
	}
	return answer(x.Kernel.Network.DelRoute(r))
}

func (x *ipCall) routeFlush() error {
	if err := x.checkFilter("Cannot find device \"%s\""); err != nil {
		return err
	}
	gone, n := x.selectRoutes(), 0
	for i := range gone {
		if x.flushRoute(&gone[i]) {
			n++
		}
	}
	return x.emit(control.IPReply{Routes: gone, Flushed: &n})
}

// flushRoute removes a route that was listed.
func (x *ipCall) flushRoute(d *control.IPRoute) bool {
	n := x.Kernel.Network
	proto, _ := control.ProtoNumber(d.Proto)
	if d.Table == "local" {
		defer n.Invalidate()
		return n.Local.Delete(d.Dst, func(r *route.Route) bool { return r.Type.String() == d.Type && r.Proto == proto }) == nil
	}
	r := route.Route{Dst: d.Dst, Metric: d.Metric, Proto: proto, Src: d.Src}
	for t := route.Unicast; t <= route.Prohibit; t++ {
		if t.String() == d.Type {
			r.Type = t
		}
	}
	for _, h := range d.NextHops {
		if dev, err := x.Kernel.Link.Lookup(h.Dev); err == nil {
			r.NextHops = append(r.NextHops, route.NextHop{Gateway: h.Gateway, Index: dev.Index()})
		}
	}
	return n.DelRoute(r) == nil
}

func (x *ipCall) routeGet() error {
	g := x.q.Get
	flow := network.Flow{Dst: g.Dst, Src: g.From}
	if g.Oif != "" {
		dev, err := x.device(g.Oif)
		if err != nil {
			return err
		}
		flow.Index = dev.Index()
	}
	if g.From.IsValid() && !g.From.IsUnspecified() && !x.Kernel.Network.IsLocal(g.From) {
		return answer(syscall.ENETUNREACH)
	}
	p, err := x.Kernel.Network.Resolve(flow)
	if err != nil && !errors.Is(err, syscall.EHOSTUNREACH) || p == nil {
		return answer(err)
	}
	return x.emit(control.IPReply{Routes: []control.IPRoute{x.answerRoute(p)}})
}

// answerRoute describes the way that was found.
func (x *ipCall) answerRoute(p *network.Path) control.IPRoute {
	g := x.q.Get
	hop := control.IPNextHop{Dev: p.Device.Name()}
	if p.NextHop != p.Dst {
		hop.Gateway = p.NextHop
	}
	r := control.IPRoute{
		Family: "inet", Dst: netip.PrefixFrom(p.Dst, p.Dst.BitLen()), Type: p.Type.String(), Table: "main",
		NextHops: []control.IPNextHop{hop}, Resolved: true, From: g.From, Cache: cacheFlags(p.Type),
	}
	if r.Src = p.Src; g.From.IsValid() && !g.From.IsUnspecified() {
		r.Src = netip.Addr{}
	}
	if p.Type != route.Unicast {
		r.Table = "local"
	}
	if p.Route != nil {
		r.MTU = p.Route.MTU
	}
	if p.Dst.Is6() {
		r.Family = "inet6"
		answer6(&r, p)
	}
	return r
}

// answer6 adds what answers about IPv6 have: the route itself.
func answer6(r *control.IPRoute, p *network.Path) {
	if !r.From.IsValid() {
		r.From = netip.IPv6Unspecified()
	}
	r.Cache = nil
	if p.Route == nil {
		r.Metric = 256
		return
	}
	r.Metric = p.Route.Metric
	r.Proto = control.ProtoName(p.Route.Proto)
	if r.Proto == "boot" || p.Route.Proto == 0 {
		r.Proto = ""
	}
}

func cacheFlags(t route.Type) []string {
	switch t {
	case route.Local:
		return []string{"local"}
	case route.Broadcast:
		return []string{"local", "brd"}
	case route.Multicast:
		return []string{"local", "mc"}
	}
	return nil
}
