package nft

import (
	"slices"

	"github.com/knitnet/knit/core/hook"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/netfilter/rule"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/wire"
)

// A seat is a base chain's place at the hook points. It stays while the chain's
// rules are replaced; what runs there is the chain of the current generation.
type seat struct {
	baseKey
	undo []func()
}

// A baseKey is what a seat stands for: a chain that differs in any of it sits
// elsewhere.
type baseKey struct {
	family   rule.Family
	table    string
	chain    string
	hook     rule.Hook
	typ      rule.ChainType
	priority hook.Priority
}

func keyOf(t *rule.Table, c *rule.Chain) baseKey {
	return baseKey{t.Family, t.Name, c.Name, c.Hook, c.Type, c.Priority}
}

// sit puts a base chain to its hook points.
func (m *machine) sit(k baseKey) (*seat, error) {
	s := &seat{baseKey: k}
	for _, p := range m.points(k) {
		undo, err := m.sitAt(s, p)
		if err != nil {
			s.leave()
			return nil, err
		}
		s.undo = append(s.undo, undo)
	}
	return s, nil
}

func (s *seat) leave() {
	for _, undo := range slices.Backward(s.undo) {
		undo()
	}
}

// A point is a hook point with the family of the packets there.
type point struct {
	family rule.Family
	at     *hook.Point
}

// points are the hook points of a base chain. There is no bridge: its chains see
// nothing.
func (m *machine) points(k baseKey) (out []point) {
	switch {
	case k.hook == rule.Ingress:
		return []point{{rule.Netdev, &m.link.Ingress}}
	case k.hook == rule.Egress:
		return []point{{rule.Netdev, &m.link.Egress}}
	case k.family == rule.ARP && k.hook == rule.Input:
		return []point{{rule.ARP, &m.net.ARP.Input}}
	case k.family == rule.ARP:
		return []point{{rule.ARP, &m.net.ARP.Output}}
	}
	if k.family == rule.IP || k.family == rule.Inet {
		out = append(out, point{rule.IP, hookOf(&m.net.Hooks[network.V4], k.hook)})
	}
	if k.family == rule.IP6 || k.family == rule.Inet {
		out = append(out, point{rule.IP6, hookOf(&m.net.Hooks[network.V6], k.hook)})
	}
	return out
}

func hookOf(h *network.Hooks, at rule.Hook) *hook.Point {
	switch at {
	case rule.Prerouting:
		return &h.Prerouting
	case rule.Input:
		return &h.Input
	case rule.Forward:
		return &h.Forward
	case rule.Output:
		return &h.Output
	}
	return &h.Postrouting
}

func (m *machine) sitAt(s *seat, p point) (undo func(), err error) {
	if s.typ == rule.NATChain {
		v := network.V4
		if p.family == rule.IP6 {
			v = network.V6
		}
		return m.translator.v.AddChain(netfilter.NATChain{
			Version: v, Point: p.at, Priority: s.priority,
			Decide: func(pkt *packet.Packet) hook.Verdict { return m.decide(s, p.family, pkt) },
		})
	}
	return p.at.Add(hook.Entry{
		Owner: moduleName, Priority: s.priority, Ahead: true, // as on Linux
		Batch: func(q *packet.Queue) { m.judge(s, p.family, q) },
	}), nil
}

// eval returns an eval for packets at a seat.
func (m *machine) eval(s *seat) *eval {
	ev := m.evals.Get().(*eval)
	ev.m, ev.hook, ev.now = m, s.hook, 0
	ev.watch = m.watch.Load()
	return ev
}

// meets returns the ruleset for a packet: a packet that has met one sees no other on
// its way through this kernel.
func (m *machine) meets(pkt *packet.Packet, current, previous *generation) *generation {
	if previous != nil && pkt.Rules == previous.mark {
		return previous
	}
	pkt.Rules = current.mark
	return current
}

// interfaces notes what the packet's devices are at this hook: an interface that
// is not known yet, or no more, is none.
func (ev *eval) interfaces() {
	ev.in, ev.out, ev.slave = ev.pkt.In, ev.pkt.Out, 0
	if ev.pkt.VRF != 0 && ev.hook != rule.Ingress {
		ev.in, ev.slave = ev.pkt.VRF, ev.in
	}
	switch ev.hook {
	case rule.Prerouting, rule.Input, rule.Ingress:
		ev.out = 0
	case rule.Output, rule.Egress:
		ev.in, ev.slave = 0, 0
	}
	if ev.family == rule.ARP && ev.hook == rule.Output {
		ev.front = wire.EthernetLen
	}
}

// routed reports whether the packet's way has been decided at this hook.
func (ev *eval) routed() bool { return ev.hook != rule.Prerouting && ev.hook != rule.Ingress }

// judge lets the chain at a seat judge a batch.
func (m *machine) judge(s *seat, f rule.Family, q *packet.Queue) {
	current, previous := m.current.Load(), m.previous.Load()
	chains := [2]*chain{current.bases[s.baseKey]}
	if previous != nil {
		chains[1] = previous.bases[s.baseKey]
	}
	if chains == [2]*chain{} {
		return
	}
	ev := m.eval(s)
	defer m.evals.Put(ev)
	var out packet.Queue
	for pkt := q.Pop(); pkt != nil; pkt = q.Pop() {
		ev.gen = m.meets(pkt, current, previous)
		ch := chains[0]
		if ev.gen == previous {
			ch = chains[1]
		}
		if ch == nil || ev.judge(s, f, ch, pkt) {
			out.Push(pkt)
		}
	}
	*q = out
	ev.pkt = nil
}

// judge lets a chain judge a packet, and reports whether it goes on.
func (ev *eval) judge(s *seat, f rule.Family, ch *chain, pkt *packet.Packet) bool {
	ev.family = f
	ev.reset(pkt)
	ev.interfaces()
	r := goOn
	if ch.devices != nil {
		r = ev.enter(s.family, ch)
	}
	var before way
	if s.typ == rule.RouteChain {
		before = wayOf(f, pkt)
	}
	if r == goOn {
		r = ev.run(ch)
	}
	switch r {
	case acceptNow:
		pkt.Unpull(ev.pulled)
		if s.typ == rule.RouteChain && before != wayOf(f, pkt) {
			pkt.Reroute = true
		}
		return true
	case dropNow:
		pkt.Drop(stat.NetfilterDrop)
	}
	return false
}

// A way is what a chain of type route must have changed for a packet to be routed
// again: the mark, the addresses, of IPv4 the type of service, and of IPv6 the traffic
// class, the flow label and the hop limit.
type way struct {
	mark  uint32
	class [4]byte
	hops  uint8
	addrs [32]byte
}

func wayOf(f rule.Family, pkt *packet.Packet) (w way) {
	b := pkt.Head()
	w.mark = pkt.Mark
	switch {
	case f == rule.IP && len(b) >= wire.IPv4Len:
		w.class[0] = b[1]
		copy(w.addrs[:], b[12:20])
	case f == rule.IP6 && len(b) >= wire.IPv6Len:
		w.class, w.hops = [4]byte(b[:4]), b[7]
		copy(w.addrs[:], b[8:40])
	}
	return w
}

// decide lets a nat chain decide about a new connection.
func (m *machine) decide(s *seat, f rule.Family, pkt *packet.Packet) hook.Verdict {
	g := m.meets(pkt, m.current.Load(), m.previous.Load())
	ch := g.bases[s.baseKey]
	if ch == nil {
		return hook.Accept
	}
	ev := m.eval(s)
	defer m.evals.Put(ev)
	ev.gen, ev.family = g, f
	ev.reset(pkt)
	ev.interfaces()
	r := ev.run(ch)
	ev.pkt = nil
	switch r {
	case dropNow:
		return hook.Drop
	case stolenNow:
		return hook.Stolen
	}
	return hook.Accept
}
