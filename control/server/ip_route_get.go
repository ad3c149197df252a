package server

import (
	"errors"
	"net/netip"
	"slices"
	"syscall"

	"github.com/knitnet/knit/control"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/route"
	"github.com/knitnet/knit/wire"
)

func (x *ipCall) routeGet() error {
	g := x.q.Get
	flow := network.Flow{Dst: g.Dst, Mark: g.Mark, TOS: g.TOS, Proto: g.Proto, SrcPort: g.SPort, DstPort: g.DPort}
	if g.Proto == 0 && g.Dst.Is4() {
		flow.Proto = wire.ProtoUDP // as Linux: what is asked for is a packet of some kind
	}
	if g.From.IsValid() && !g.From.IsUnspecified() {
		flow.Src = g.From
	}
	if _, ok := x.vrfTable(g.VRF); g.VRF != "" && !ok {
		return wrongArgument(g.VRF, "Invalid VRF")
	}
	for _, d := range []struct {
		name  string
		index *int32
	}{{g.Oif, &flow.Index}, {g.VRF, &flow.Index}, {g.Iif, &flow.In}} {
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
	case !askable(g):
		return refuse("Unsupported ip proto")
	case g.Explain:
		return x.routeExplain(flow)
	}
	p, err := x.way(flow)
	if err != nil {
		return answer(err)
	}
	return x.emit(control.IPReply{Routes: []control.IPRoute{x.answerRoute(p)}})
}

// way returns the way of a packet of this host, or of one that comes in by a device.
func (x *ipCall) way(f network.Flow) (*network.Path, error) {
	n := x.Kernel.Network
	switch {
	case f.In != 0:
		return x.wayIn(f)
	case f.Src.IsValid() && f.Dst.Is4() && !n.IsLocalTo(f.Src, f.Index):
		return nil, syscall.ENETUNREACH
	}
	p, err := n.Resolve(f)
	if p != nil && errors.Is(err, syscall.EHOSTUNREACH) {
		err = nil // there is a way, and nobody at its end
	}
	return p, err
}

// askable reports whether Linux looks up the way of a protocol's packets.
func askable(g *control.IPRouteGet) bool {
	switch g.Proto {
	case 0, wire.ProtoTCP, wire.ProtoUDP:
		return true
	case wire.ProtoICMP:
		return g.Dst.Is4()
	case wire.ProtoICMPv6:
		return g.Dst.Is6()
	}
	return false
}

// wayIn returns which way a packet goes that comes in by a device.
func (x *ipCall) wayIn(f network.Flow) (*network.Path, error) {
	n := x.Kernel.Network
	v := network.VersionOf(f.Dst)
	f.Index = 0
	var source error
	if c, ok := n.Family(v).(network.SourceChecker); ok {
		source = c.CheckSource(f)
	}
	if errors.Is(source, syscall.EINVAL) {
		return nil, syscall.EINVAL
	}
	if t, _ := n.Inbound(&f); t == route.Unicast && !n.Forwarding(v, f.In) && v == network.V4 {
		return nil, syscall.EHOSTUNREACH
	}
	p, err := n.Resolve(f)
	if err == nil && source != nil {
		err = syscall.EINVAL // for whoever asks, Linux does not tell the reasons apart
	}
	return p, err
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
		if src, ok := x.Kernel.Network.Family(network.V6).SelectSource(p.Dst, p.Device); ok && r.In == "" && p.Type != route.Local && (p.Route == nil || !p.Route.Src.IsValid()) {
			r.Src = src // the one that would be chosen, whichever was asked for
		}
	}
	return r
}

// answer6 adds what answers about IPv6 have: the route itself.
func answer6(r *control.IPRoute, p *network.Path) {
	if !r.From.IsValid() {
		r.From = netip.IPv6Unspecified()
	}
	switch {
	case r.In != "":
	case p.Type == route.Local:
		r.Src = p.Dst
	default:
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
	if p.Device.Name() == x.q.Get.Iif && x.neighbour(p) {
		return []string{"redirect"} // the sender may learn of the next hop
	}
	return nil
}

// neighbour reports whether p's source is on the link by which it leaves.
func (x *ipCall) neighbour(p *network.Path) bool {
	index := p.Device.Index()
	k := route.Key{Dst: p.Src, Src: p.Dst, In: index, Proto: x.q.Get.Proto}
	back := x.Kernel.Network.Lookup(&k).Route
	if back != nil && !back.Uses(index) {
		k.Out = index
		back = x.Kernel.Network.Lookup(&k).Route
	}
	return back != nil && slices.ContainsFunc(back.NextHops, func(h route.NextHop) bool { return h.Index == index && !h.Gateway.IsValid() })
}
