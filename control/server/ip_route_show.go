package server

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"

	"github.com/knitnet/knit/control"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network/route"
)

func (x *ipCall) routeShow() error {
	if err := x.checkFilter("Cannot find device \"%s\""); err != nil {
		return err
	}
	if err := x.checkTable(); err != nil {
		return err
	}
	_, shown := x.selectRoutes()
	return x.emit(control.IPReply{Routes: shown})
}

// selectRoutes lists what the filter lets through, of IPv4 alone if no family and
// no table of both was asked for.
func (x *ipCall) selectRoutes() (routes []listed, shown []control.IPRoute) {
	f, family := x.q.Filter, x.q.Family
	if family == "" && f.Table != "all" {
		family = "inet"
	}
	shown = []control.IPRoute{} // in JSON a list, too
	for _, r := range x.routes() {
		s := x.ipRoute(r.Route, control.TableName(r.table))
		if f.MatchRoute(&s, family) {
			routes, shown = append(routes, r), append(shown, s)
		}
	}
	return routes, shown
}

// A listed route is one with the number of the table where it was found.
type listed struct {
	*route.Route
	table uint32
}

// checkTable complains of a table that is not there, as Linux does: main, local and
// those that had routes once are, of IPv6 also those that rules name.
func (x *ipCall) checkTable() error {
	id, ok := control.TableNumber(x.q.Filter.Table)
	v6 := x.q.Family == "inet6"
	if !ok || id == route.TableMain || id == route.TableLocal {
		return nil
	}
	if t := x.Kernel.Network.Table(id); t != nil && t.Used(v6) {
		return nil
	}
	ip := map[bool]string{false: "ipv4: FIB", true: "ipv6: FIB"}[v6]
	return control.Errorf(2, "Error: %s table does not exist.\nDump terminated", ip)
}

// routes lists the tables that the filter may be about in Linux's order: that of the
// last eight bits of their numbers, IPv4 before IPv6.
func (x *ipCall) routes() (list []listed) {
	n := x.Kernel.Network
	ids := n.Tables()
	if id, ok := control.TableNumber(x.q.Filter.Table); ok {
		ids = []uint32{id}
	}
	slices.SortStableFunc(ids, func(a, b uint32) int { return cmp.Or(cmp.Compare(a&255, b&255), cmp.Compare(b, a)) })
	for _, v6 := range []bool{false, true} {
		for _, id := range ids {
			t := n.Table(id)
			if t == nil {
				continue
			}
			var all []*route.Route
			for _, r := range t.All() {
				if r.Dst.Addr().Is6() == v6 {
					all = append(all, r)
				}
			}
			if v6 {
				slices.SortStableFunc(all, order6)
			}
			for _, r := range all {
				list = append(list, listed{r, id})
			}
		}
	}
	return list
}

// order6 is Linux's order of IPv6 routes: of a prefix the routes for some sources come
// before those to prefixes inside of it, and these before those for all sources.
func order6(a, b *route.Route) int {
	switch {
	case a.Dst == b.Dst:
		return cmp.Compare(b.From.Bits(), a.From.Bits())
	case a.Dst.Overlaps(b.Dst):
		inner := a.Dst.Bits() > b.Dst.Bits()
		outer := map[bool]*route.Route{true: b, false: a}[inner]
		if inner == outer.From.IsValid() {
			return 1
		}
		return -1
	}
	return a.Dst.Addr().Compare(b.Dst.Addr())
}

// ipRoute describes a route of a table.
func (x *ipCall) ipRoute(r *route.Route, table string) control.IPRoute {
	out := control.IPRoute{
		Family: "inet", Dst: r.Dst, Type: r.Type.String(), Table: table, Proto: control.ProtoName(r.Proto),
		Scope: r.Scope.String(), Src: r.Src, Metric: r.Metric, MTU: r.MTU, Source: r.From,
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
	routes, shown := x.selectRoutes()
	chosen, tables := map[*route.Route]bool{}, map[uint32]bool{}
	for _, r := range routes {
		chosen[r.Route], tables[r.table] = true, true
	}
	n := 0
	for _, id := range slices.Sorted(maps.Keys(tables)) {
		n += x.Kernel.Network.DelRoutes(id, func(r *route.Route) bool { return chosen[r] })
	}
	return x.emit(control.IPReply{Routes: shown, Flushed: &n})
}
