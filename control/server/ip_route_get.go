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

func (x *ipCall) routeGet() error {
	g, n := x.q.Get, x.Kernel.Network
	flow := network.Flow{Dst: g.Dst, Mark: g.Mark, TOS: g.TOS, Proto: g.Proto, SrcPort: g.SPort, DstPort: g.DPort}
	if g.From.IsValid() && !g.From.IsUnspecified() {
		flow.Src = g.From
	}
	for _, d := range []struct {
		name  string
		index *int32
	}{{g.Oif, &flow.Index}, {g.Iif, &flow.In}} {
		if d.name == "" {
			continue
		}
		dev, err := x.device(d.name)
		if err != nil {
			return err
		}
		*d.index = dev.Index()
	}
	switch {
	case g.Explain:
		return x.routeExplain(flow)
	case flow.In != 0:
		return x.routeGetIn(flow)
	case flow.Src.IsValid() && g.Dst.Is4() && !n.IsLocal(g.From):
		return answer(syscall.ENETUNREACH)
	}
	p, err := n.Resolve(flow)
	if err != nil && !errors.Is(err, syscall.EHOSTUNREACH) || p == nil {
		return answer(err)
	}
	return x.emit(control.IPReply{Routes: []control.IPRoute{x.answerRoute(p)}})
}

// routeGetIn asks which way a packet goes that comes in by a device.
func (x *ipCall) routeGetIn(f network.Flow) error {
	n := x.Kernel.Network
	v := network.VersionOf(f.Dst)
	f.Index = 0
	if c, ok := n.Family(v).(network.SourceChecker); ok {
		if err := c.CheckSource(f); err != nil {
			return answer(err)
		}
	}
	if t, _ := n.Inbound(&f); t == route.Unicast && !n.Forwarding(v, f.In) && v == network.V4 {
		return answer(syscall.EHOSTUNREACH)
	}
	p, err := n.Resolve(f)
	if err != nil {
		return answer(err)
	}
	return x.emit(control.IPReply{Routes: []control.IPRoute{x.answerRoute(p)}})
}

// answerRoute describes the way that was found.
func (x *ipCall) answerRoute(p *network.Path) control.IPRoute {
	g := x.q.Get
	if g.FIBMatch && p.Route != nil {
		return x.ipRoute(p.Route, control.TableName(p.Route.Table))
	}
	hop := control.IPNextHop{Dev: p.Device.Name()}
	if p.NextHop != p.Dst {
		hop.Gateway = p.NextHop
	}
	r := control.IPRoute{
		Family: "inet", Dst: netip.PrefixFrom(p.Dst, p.Dst.BitLen()), Type: p.Type.String(), Table: "main",
		NextHops: []control.IPNextHop{hop}, Resolved: true, From: g.From, Mark: g.Mark, Cache: x.cacheFlags(p), In: g.Iif,
		NoUID: g.Iif != "",
	}
	if g.UID != nil {
		r.UID = int(*g.UID)
	}
	if r.Src = p.Src; g.From.IsValid() && !g.From.IsUnspecified() {
		r.Src = netip.Addr{}
	}
	if p.Route != nil {
		r.MTU = p.Route.MTU
		// Until there are rules of one's own Linux has both tables in one.
		if p.Dst.Is6() || p.Route.Table != route.TableLocal || x.Kernel.Network.Rules(false).Touched() {
			r.Table = control.TableName(p.Route.Table)
		}
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
	if r.In == "" {
		r.Src = p.Src
	}
	r.Cache, r.Scope = nil, "global"
	if p.Route == nil {
		r.Metric = 256
		return
	}
	r.Metric = p.Route.Metric
	if r.Proto = control.ProtoName(p.Route.Proto); p.Route.Proto == 0 {
		r.Proto = "boot"
	}
}

// cacheFlags are what the second line of an answer says about IPv4.
func (x *ipCall) cacheFlags(p *network.Path) []string {
	switch p.Type {
	case route.Local:
		return []string{"local"}
	case route.Broadcast:
		return []string{"local", "brd"}
	case route.Multicast:
		return []string{"local", "mc"}
	}
	if dev, err := x.Kernel.Link.Lookup(x.q.Get.Iif); err == nil && x.redirected(dev, p) {
		return []string{"redirect"}
	}
	return nil
}

// redirected reports whether a packet that comes by dev goes out by it to a neighbour
// of its sender, who may be told of a better next hop.
func (x *ipCall) redirected(dev *link.Device, p *network.Path) bool {
	return dev == p.Device && slices.ContainsFunc(x.Kernel.Network.Addrs(dev.Index()), func(a *network.Addr) bool {
		return a.Prefix.Contains(p.Src) && a.Prefix.Contains(p.NextHop)
	})
}
