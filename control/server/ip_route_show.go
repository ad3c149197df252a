package server

import (
	"net/netip"

	"github.com/knitnet/knit/control"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network/route"
)

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
	if r.Expires != 0 {
		out.Expires = left(x.Kernel.Clock.Now(), r.Expires)
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
		hop := control.IPNextHop{Gateway: h.Gateway, Weight: h.Weight, Onlink: h.Onlink, Dead: h.Dead}
		if dev := x.Kernel.Link.Device(h.Index); dev != nil {
			hop.Dev = dev.Name()
			hop.Linkdown = r.Type != route.Local && dev.Flags()&(link.Up|link.Running) == link.Up || h.Dead
		}
		out.NextHops = append(out.NextHops, hop)
	}
	return out
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
