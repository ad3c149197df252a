package server

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/knitnet/knit/control"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/route"
	"github.com/knitnet/knit/wire"
)

// byHand reports whether a command is needed for an address of d: the kernel's own
// come by themselves, those of routers too.
func byHand(d *link.Device, a *network.Addr) bool {
	return !comesAgain(d, a) && a.Proto != route.ProtoRA
}

// comesAgain reports whether d gets a by itself when it goes up. A link-local address
// of a hardware address that d has no more does not.
func comesAgain(d *link.Device, a *network.Addr) bool {
	generated := a.IP().IsLinkLocalUnicast() && a.IP().Is6() && a.Flags&network.StablePrivacy == 0
	return a.Proto == route.ProtoKernel && (!generated || d.Type() != link.Ether || a.IP() == linkLocal(d.MAC()))
}

// linkLocal is the link-local address of a hardware address (RFC 2464 §5).
func linkLocal(m wire.MAC) netip.Addr {
	return netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 8: m[0] ^ 2, 9: m[1], 10: m[2], 11: 0xff, 12: 0xfe, 13: m[3], 14: m[4], 15: m[5]})
}

// addresses adds those of all devices in the order in which they came: of two devices
// with the same address, or in the same subnet, the first one has the routes.
func (s *saver) addresses() {
	type address struct {
		*network.Addr
		dev *link.Device
	}
	var all []address
	for _, d := range s.devices {
		s.withoutOwn(d)
		for _, a := range s.Kernel.Network.Addrs(d.Index()) {
			if byHand(d, a) {
				all = append(all, address{a, d})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b address) int { return cmp.Compare(a.Created, b.Created) })
	for _, a := range all {
		s.address(a.dev, a.Addr)
	}
}

// hasOwn reports whether a device has an address that came by itself.
func (s *saver) hasOwn(d *link.Device) bool {
	return slices.ContainsFunc(s.Kernel.Network.Addrs(d.Index()), func(a *network.Addr) bool { return comesAgain(d, a) })
}

// withoutOwn takes away the addresses that a device gets by itself when it goes up, if
// it has them no more.
func (s *saver) withoutOwn(d *link.Device) {
	missing := func(module string, v network.Version) bool {
		_, loaded := s.Kernel.Modules.Loaded(module)
		return loaded && !slices.ContainsFunc(s.Kernel.Network.Addrs(d.Index()), func(a *network.Addr) bool {
			return comesAgain(d, a) && network.VersionOf(a.IP()) == v
		})
	}
	scope := "link"
	if byModule(d) > 0 {
		scope = "host"
		if missing("ip4", network.V4) {
			s.line("ip", "-4", "addr", "flush", "dev", d.Name(), "scope", scope)
		}
	}
	off, _ := s.Kernel.Sysctl.Get("net.ipv6.conf." + slashed(d.Name()) + ".disable_ipv6")
	if (d.Up() || byModule(d) > 0) && off == "0" && missing("ip6", network.V6) {
		s.about([]string{d.Name()}, "ip", "-6", "addr", "flush", "dev", d.Name(), "scope", scope)
	}
}

func (s *saver) address(d *link.Device, a *network.Addr) {
	words := []string{"ip", "addr", "add", a.Prefix.String()}
	if a.Peer.IsValid() && a.Peer != a.IP() {
		words = []string{"ip", "addr", "add", a.IP().String(), "peer", fmt.Sprintf("%v/%d", a.Peer, a.Prefix.Bits())}
	}
	words = append(words, "dev", d.Name())
	if a.Broadcast.IsValid() {
		words = append(words, "broadcast", a.Broadcast.String())
	}
	if usual := map[bool]route.Scope{true: route.Host}[a.IP().IsLoopback()]; a.IP().Is4() && a.Scope != usual {
		words = append(words, "scope", a.Scope.String())
	}
	if a.Label != "" && a.Label != d.Name() {
		words = append(words, "label", a.Label)
	}
	if a.Metric != 0 {
		words = append(words, "metric", number(a.Metric))
	}
	for _, f := range addrFlags {
		if a.Flags&f.flag&settable != 0 {
			words = append(words, f.names[0])
		}
	}
	s.about([]string{d.Name()}, append(words, s.lifetimes(a)...)...)
}

// lifetimes says what is left of those that end.
func (s *saver) lifetimes(a *network.Addr) (words []string) {
	now := s.Kernel.Clock.Now()
	if a.ValidUntil != 0 {
		words = append(words, "valid_lft", number(max(left(now, a.ValidUntil), 1)))
	}
	switch {
	case a.Flags&network.Deprecated != 0:
		words = append(words, "preferred_lft", "0")
	case a.PreferredUntil != 0:
		words = append(words, "preferred_lft", number(min(left(now, a.PreferredUntil), left(now, a.ValidUntil))))
	}
	return words
}

func number(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

// routes adds those that do not come by themselves; the ones with a gateway last,
// which must be on a link by then. Those that came by themselves and have gone go.
func (s *saver) routes() {
	n := s.Kernel.Network
	ids := n.Tables()
	// What belongs to this host comes first: gateways must not be of it.
	slices.SortStableFunc(ids, func(a, b uint32) int { return cmp.Compare(savedLate(a), savedLate(b)) })
	for _, id := range ids {
		all := slices.Clone(n.Table(id).All())
		slices.SortStableFunc(all, func(a, b *route.Route) int { return cmp.Compare(gateways(a), gateways(b)) })
		for _, r := range all {
			if r.Proto != route.ProtoKernel && r.Proto != route.ProtoRA {
				s.route(r, control.TableName(id))
			}
		}
	}
	for _, d := range s.devices {
		s.withoutPrefix(d)
	}
}

// savedLate orders tables: local, main, by which others reach their gateways, and these.
func savedLate(id uint32) int {
	switch id {
	case route.TableLocal:
		return 0
	case route.TableMain:
		return 1
	}
	return 2
}

// withoutPrefix removes the routes to prefixes of addresses that are there no more.
func (s *saver) withoutPrefix(d *link.Device) {
	if !d.Up() {
		return
	}
	var gone []netip.Prefix
	for _, a := range s.Kernel.Network.Addrs(d.Index()) {
		p := a.Prefix
		if a.Peer.IsValid() {
			p = netip.PrefixFrom(a.Peer, p.Bits())
		}
		p = p.Masked()
		none := a.Flags&network.NoPrefixRoute != 0 || a.IP().IsLoopback() || p.IsSingleIP() && p.Addr() == a.IP()
		if !none && !slices.Contains(gone, p) && !s.followed(p, d) {
			gone = append(gone, p)
		}
	}
	for _, p := range gone {
		words := []string{"ip", "route", "flush", p.String(), "dev", d.Name(), "proto", "kernel"}
		if id := s.Kernel.Network.MainTable(d.Index()); id != route.TableMain {
			words = append(words, "table", control.TableName(id))
		}
		s.about([]string{d.Name()}, words...)
	}
}

// followed reports whether there is the route of an address to its prefix.
func (s *saver) followed(p netip.Prefix, d *link.Device) bool {
	t := s.Kernel.Network.Table(s.Kernel.Network.MainTable(d.Index()))
	return t != nil && slices.ContainsFunc(t.All(), func(r *route.Route) bool {
		// Of several devices in one IPv4 subnet the first has the route.
		return r.Proto == route.ProtoKernel && r.Dst == p && (p.Addr().Is4() || r.Uses(d.Index()))
	})
}

// gateways counts the next hops behind a gateway.
func gateways(r *route.Route) (n int) {
	for _, h := range r.NextHops {
		if h.Gateway.IsValid() {
			n++
		}
	}
	return n
}

func (s *saver) route(r *route.Route, table string) {
	words := []string{"ip", "route", "append"}
	if r.Type != route.Unicast {
		words = append(words, r.Type.String())
	}
	words = append(words, r.Dst.String())
	var devs []string
	hop := func(h *route.NextHop) {
		if h.Gateway.IsValid() {
			words = append(words, "via", h.Gateway.WithZone("").String())
		}
		if d := s.Kernel.Link.Device(h.Index); d != nil {
			devs = append(devs, d.Name())
			words = append(words, "dev", d.Name())
		}
		if h.Onlink {
			words = append(words, "onlink")
		}
	}
	if len(r.NextHops) == 1 {
		hop(&r.NextHops[0])
	}
	words = append(words, s.routeWords(r, table)...)
	if len(r.NextHops) > 1 {
		for i := range r.NextHops {
			words = append(words, "nexthop")
			hop(&r.NextHops[i])
			if w := r.NextHops[i].Weight; w > 1 {
				words = append(words, "weight", strconv.Itoa(w))
			}
		}
	}
	if why := s.refused(r, table, devs); why != "" {
		s.b.WriteString("# " + why + ": " + control.Quote(words...) + "\n")
		s.missing = append(s.missing, fmt.Sprintf("the route to %v is not saved: %s", r.Dst, why))
		return
	}
	undo := s.reachGateways(r)
	s.about(devs, words...)
	undo()
}

// reachGateways makes gateways reachable for as long as it takes to add r: what has
// made them reachable when it was added may have gone.
func (s *saver) reachGateways(r *route.Route) (undo func()) {
	var lost []func(command string)
	for i := range r.NextHops {
		h := &r.NextHops[i]
		d := s.Kernel.Link.Device(h.Index)
		if d == nil || !h.Gateway.IsValid() || h.Onlink || h.Gateway.IsLinkLocalUnicast() || s.onLink(r, h) {
			continue
		}
		to := netip.PrefixFrom(h.Gateway.WithZone(""), h.Gateway.BitLen()).String()
		lost = append(lost, func(command string) { s.about([]string{d.Name()}, "ip", "route", command, to, "dev", d.Name()) })
	}
	for _, f := range lost {
		f("append")
	}
	return func() {
		for _, f := range lost {
			f("del")
		}
	}
}

// onLink reports whether another route than r leads to a hop's gateway, directly.
func (s *saver) onLink(r *route.Route, h *route.NextHop) bool {
	n := s.Kernel.Network
	return linkedIn(&n.Main, r, h) || n.MainTable(h.Index) == r.Table && linkedIn(n.Table(r.Table), r, h)
}

// linkedIn reports whether another route of a table does.
func linkedIn(t *route.Table, r *route.Route, h *route.NextHop) bool {
	var best *route.Route
	for _, o := range t.All() {
		if o != r && o.Dst.Contains(h.Gateway) && (best == nil || o.Dst.Bits() > best.Dst.Bits()) {
			best = o
		}
	}
	return best != nil && gateways(best) == 0 && best.Uses(h.Index)
}

// refused says why no command can add a route that is there.
func (s *saver) refused(r *route.Route, table string, devs []string) string {
	down := slices.ContainsFunc(s.devices, func(d *link.Device) bool { return !d.Up() && slices.Contains(devs, d.Name()) })
	if table == "local" && down {
		return "its device is down"
	}
	for i := range r.NextHops {
		if g := r.NextHops[i].Gateway; g.IsValid() && s.Kernel.Network.IsLocalTo(g, r.NextHops[i].Index) {
			return "its gateway has become an address of this host"
		}
	}
	return ""
}

// routeWords is what a route says beside its destination and its next hops.
func (s *saver) routeWords(r *route.Route, table string) (words []string) {
	usual := "main"
	if r.Type == route.Local || r.Type == route.Broadcast {
		usual = "local"
	}
	if table != usual {
		words = append(words, "table", table)
	}
	if r.From.IsValid() {
		words = append(words, "from", r.From.String())
	}
	if r.Proto != route.ProtoBoot && r.Proto != 0 {
		words = append(words, "proto", strconv.Itoa(int(r.Proto)))
	}
	if r.Dst.Addr().Is4() && r.Scope.String() != usualScope(r) {
		words = append(words, "scope", r.Scope.String())
	}
	if r.Src.IsValid() {
		words = append(words, "src", r.Src.String())
	}
	if r.Metric != 0 {
		words = append(words, "metric", number(r.Metric))
	}
	if r.MTU != 0 {
		words = append(words, "mtu", strconv.Itoa(r.MTU))
	}
	if r.Expires != 0 {
		rest := r.Expires.Sub(s.Kernel.Clock.Now())
		words = append(words, "expires", strconv.FormatInt(int64(max(rest+time.Second-1, time.Second)/time.Second), 10))
	}
	return words
}

// usualScope is that of a route whose command says none.
func usualScope(r *route.Route) string {
	c := control.IPRouteChange{Dst: r.Dst, Type: r.Type.String()}
	for i := range r.NextHops {
		c.NextHops = append(c.NextHops, control.IPNextHop{Gateway: r.NextHops[i].Gateway, Dev: "dev"})
	}
	if len(r.NextHops) == 1 {
		c.Hop, c.NextHops = c.NextHops[0], nil
	}
	return c.DefaultScope()
}

// neighbours adds those that were set by hand for good.
func (s *saver) neighbours() {
	for _, v := range []network.Version{network.V4, network.V6} {
		t := s.Kernel.Network.Neighbours(v)
		if t == nil {
			continue
		}
		for _, i := range t.List() {
			if i.Static {
				s.about([]string{i.Device.Name()}, "ip", "neigh", "replace", i.IP.String(), "lladdr", i.MAC.String(),
					"dev", i.Device.Name(), "nud", strings.ToLower(i.State.String()))
			}
		}
	}
}

// groups joins what ip maddr has joined.
func (s *saver) groups() {
	for _, m := range s.joined.all(s.Kernel.Network) {
		s.about([]string{m.Device().Name()}, "ip", "maddr", "add", m.Group().String(), "dev", m.Device().Name())
	}
}
