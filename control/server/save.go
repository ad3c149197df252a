package server

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/knitnet/knit/control"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/route"
)

func save() Handler {
	return Handle(control.Save(), func(_ context.Context, e *Env, _ control.SaveRequest, emit func(control.SaveReply) error) error {
		s := saver{Env: e}
		s.modules()
		s.links()
		s.addresses()
		s.routes()
		s.neighbours()
		s.sysctls()
		return emit(control.SaveReply{Script: s.b.String()})
	})
}

// A saver writes the commands of a boot script.
type saver struct {
	*Env
	b strings.Builder
}

// line writes one command.
func (s *saver) line(words ...string) { s.b.WriteString(control.Quote(words...) + "\n") }

// modules loads in the order of loading, with the parameters that are not the
// default. A module that loaded others in its Init comes before them, and they
// are there already when their line comes.
func (s *saver) modules() {
	for _, m := range slices.Backward(s.Kernel.Modules.Modules()) {
		words := []string{"modprobe", m.Name}
		for _, p := range m.Params {
			if p.Value != p.Default {
				words = append(words, p.Name+"="+p.Value)
			}
		}
		s.line(words...)
	}
}

// links makes the devices that commands can make, and sets up all of them.
func (s *saver) links() {
	made := make(map[*link.Device]bool)
	kinds := s.Kernel.Link.Kinds()
	for _, d := range s.Kernel.Link.Devices() {
		switch {
		case !slices.Contains(kinds, d.Kind()) || made[d]:
		case joinsOther(d):
			s.b.WriteString("# " + d.Name() + " leads into another kernel: whoever made it must make it again\n")
		default:
			s.add(d, made)
		}
	}
	for _, d := range s.Kernel.Link.Devices() {
		if joinsOther(d) {
			continue
		}
		words := []string{"ip", "link", "set", "dev", d.Name(), "mtu", strconv.Itoa(d.MTU())}
		if made[d] && d.Type() == link.Ether {
			words = append(words, "address", d.MAC().String())
		}
		if d.Up() {
			words = append(words, "up")
		}
		s.line(words...)
	}
}

// joinsOther reports whether d is one end of a pair whose other end is not here.
func joinsOther(d *link.Device) bool {
	p, ok := d.Driver().(link.Paired)
	if !ok {
		return false
	}
	peer := p.Peer(d)
	return peer == nil || peer.Layer() != d.Layer()
}

// add makes one device, or a pair of them.
func (s *saver) add(d *link.Device, made map[*link.Device]bool) {
	made[d] = true
	words := []string{"ip", "link", "add", d.Name(), "type", d.Kind()}
	options := s.journal.options(d)
	if p, ok := d.Driver().(link.Paired); ok {
		peer := p.Peer(d)
		made[peer] = true
		words = append(words, "peer", "name", peer.Name())
	}
	for _, k := range slices.Sorted(maps.Keys(options)) {
		if k != "peer" {
			words = append(words, k, options[k])
		}
	}
	s.line(words...)
}

// byHand reports whether a's origin is a user: the kernel's own addresses come by
// themselves, those of routers too.
func byHand(a *network.Addr) bool {
	return a.Proto != route.ProtoKernel && a.Proto != route.ProtoRA && a.ValidUntil == 0
}

func (s *saver) addresses() {
	for _, d := range s.Kernel.Link.Devices() {
		for _, a := range s.Kernel.Network.Addrs(d.Index()) {
			if !byHand(a) || joinsOther(d) || d.Type() == link.Loopback && a.IP().IsLoopback() {
				continue
			}
			s.address(d, a)
		}
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
	if a.Label != "" && a.Label != d.Name() {
		words = append(words, "label", a.Label)
	}
	if a.Metric != 0 {
		words = append(words, "metric", strconv.FormatUint(uint64(a.Metric), 10))
	}
	if a.Flags&network.NoDAD != 0 {
		words = append(words, "nodad")
	}
	if a.Flags&network.NoPrefixRoute != 0 {
		words = append(words, "noprefixroute")
	}
	s.line(words...)
}

// routes adds those that do not come by themselves; the ones with a gateway last,
// which must be on a link by then.
func (s *saver) routes() {
	all := slices.Clone(s.Kernel.Network.Main.All())
	slices.SortStableFunc(all, func(a, b *route.Route) int { return cmp.Compare(gateways(a), gateways(b)) })
	for _, r := range all {
		if r.Proto != route.ProtoKernel && r.Proto != route.ProtoRA && r.Expires == 0 {
			s.route(r)
		}
	}
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

func (s *saver) route(r *route.Route) {
	words := []string{"ip", "route", "append"}
	if r.Type != route.Unicast {
		words = append(words, r.Type.String())
	}
	words = append(words, r.Dst.String())
	if len(r.NextHops) == 1 {
		words = append(words, s.hop(&r.NextHops[0])...)
	}
	if r.Proto != route.ProtoBoot && r.Proto != 0 {
		words = append(words, "proto", strconv.Itoa(int(r.Proto)))
	}
	if len(r.NextHops) == 1 && r.Scope != route.Universe && gateways(r) > 0 {
		words = append(words, "scope", r.Scope.String())
	}
	if r.Src.IsValid() {
		words = append(words, "src", r.Src.String())
	}
	if r.Metric != 0 {
		words = append(words, "metric", strconv.FormatUint(uint64(r.Metric), 10))
	}
	if r.MTU != 0 {
		words = append(words, "mtu", strconv.Itoa(r.MTU))
	}
	if len(r.NextHops) > 1 {
		for i := range r.NextHops {
			words = append(append(words, "nexthop"), s.hop(&r.NextHops[i])...)
			if w := r.NextHops[i].Weight; w > 1 {
				words = append(words, "weight", strconv.Itoa(w))
			}
		}
	}
	s.line(words...)
}

// hop names one way out.
func (s *saver) hop(h *route.NextHop) (words []string) {
	if h.Gateway.IsValid() {
		words = append(words, "via", h.Gateway.WithZone("").String())
	}
	if d := s.Kernel.Link.Device(h.Index); d != nil {
		words = append(words, "dev", d.Name())
	}
	if h.Onlink {
		words = append(words, "onlink")
	}
	return words
}

// neighbours adds those that were set by hand for good.
func (s *saver) neighbours() {
	for _, v := range []network.Version{network.V4, network.V6} {
		t := s.Kernel.Network.Neighbours(v)
		if t == nil {
			continue
		}
		for _, i := range t.List() {
			if i.Static && !joinsOther(i.Device) {
				s.line("ip", "neigh", "replace", i.IP.String(), "lladdr", i.MAC.String(), "dev", i.Device.Name(),
					"nud", strings.ToLower(i.State.String()))
			}
		}
	}
}

// sysctls sets those that were changed, by commands or by the program.
func (s *saver) sysctls() {
	for _, c := range s.Kernel.Sysctl.Changed() {
		s.line("sysctl", "-q", "-w", c.Name+"="+c.Value)
	}
}
