package server

import (
	"errors"
	"net/netip"
	"syscall"

	"github.com/knitnet/knit/control"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/route"
)

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
