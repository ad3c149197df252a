package ip6

import (
	"net/netip"
	"sync"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
)

// maxLooped is how many copies may wait (net.core.netdev_max_backlog).
const maxLooped = 1000

// looped holds copies of sent multicast for members on this host. One goroutine
// at a time delivers them, so that who answers a group it is in itself does not
// nest without end.
type looped struct {
	mu    sync.Mutex
	queue packet.Queue
	busy  bool
	one   packet.Queue // of who delivers; a variable would be allocated
}

// loopBack gives members of the group on this host their copies, and reports
// whether the packets go out at all: groups of interface-local scope stay inside
// (RFC 4291 §2.7), and so does what may make no hops.
func (p *ip6) loopBack(s *network.Send, q *packet.Queue) (out bool) {
	dev, dst := s.Path.Device, s.Path.Dst
	if p.net.IsInner(dev) {
		return true // what is sent there comes back anyway
	}
	if !s.NoLoop && p.net.IsMember(dev.Index(), dst) {
		var copies packet.Queue
		for pkt := q.Front(); pkt != nil; pkt = pkt.Next() {
			c := pkt.Clone()
			c.In, c.Out, c.Kind = dev.Index(), 0, packet.Multicast
			copies.Push(c)
		}
		p.receiveLooped(copies)
	}
	return dst.As16()[1]&0xf != 1 && !s.NoHops
}

func (p *ip6) receiveLooped(copies packet.Queue) {
	l := &p.looped
	l.mu.Lock()
	if l.queue.Len()+copies.Len() > maxLooped {
		l.mu.Unlock()
		copies.Drop(stat.CPUBacklog)
		return
	}
	l.queue.Append(&copies)
	if l.busy {
		l.mu.Unlock()
		return
	}
	l.busy = true
	for pkt := l.queue.Pop(); pkt != nil; pkt = l.queue.Pop() {
		l.mu.Unlock()
		p.receiveCopy(pkt, &l.one)
		l.mu.Lock()
	}
	l.busy = false
	l.mu.Unlock()
}

func (p *ip6) receiveCopy(pkt *packet.Packet, q *packet.Queue) {
	dev := p.net.Link.Device(pkt.In)
	if dev == nil {
		pkt.Drop(stat.DevReady)
		return
	}
	p.mib.inReceives.Inc()
	q.Push(pkt)
	p.received(dev, q)
}

// groups are the memberships that every interface has by itself.
type groups struct {
	mu sync.Mutex
	m  map[membershipKey]*network.Membership // nil: being joined
}

type membershipKey struct {
	dev   *link.Device
	group netip.Addr
}

// Groups of all nodes and all routers (RFC 4291 §2.7.1).
var (
	nodeGroups   = [...]netip.Addr{netip.MustParseAddr("ff01::1"), netip.MustParseAddr("ff02::1")}
	routerGroups = [...]netip.Addr{netip.MustParseAddr("ff01::2"), netip.MustParseAddr("ff02::2"), netip.MustParseAddr("ff05::2")}
)

// joinGroups makes dev a member of the groups of all nodes and, if it forwards, of
// all routers.
func (p *ip6) joinGroups(dev *link.Device) {
	for _, g := range nodeGroups {
		p.join(dev, g)
	}
	router := p.Forwarding(dev.Index())
	for _, g := range routerGroups {
		if router {
			p.join(dev, g)
		} else {
			p.leave(membershipKey{dev, g})
		}
	}
}

func (p *ip6) join(dev *link.Device, group netip.Addr) {
	k := membershipKey{dev, group}
	if !p.groups.claim(k) {
		return
	}
	m, err := p.net.Join(dev, group, network.Filter{Exclude: true})
	p.groups.mu.Lock()
	defer p.groups.mu.Unlock()
	if err != nil {
		delete(p.groups.m, k)
		return
	}
	p.groups.m[k] = m
}

// claim reports whether the caller is to join.
func (g *groups) claim(k membershipKey) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, there := g.m[k]; there {
		return false
	}
	if g.m == nil {
		g.m = map[membershipKey]*network.Membership{}
	}
	g.m[k] = nil
	return true
}

func (p *ip6) leave(k membershipKey) {
	p.groups.mu.Lock()
	m := p.groups.m[k]
	if m != nil {
		delete(p.groups.m, k)
	}
	p.groups.mu.Unlock()
	if m != nil {
		m.Leave()
	}
}

// leaveGroups ends all memberships, or those of a device that is gone.
func (p *ip6) leaveGroups() { p.leaveIf(func(*link.Device) bool { return true }) }

func (p *ip6) leaveIf(of func(*link.Device) bool) {
	var keys []membershipKey
	p.groups.mu.Lock()
	for k := range p.groups.m {
		if of(k.dev) {
			keys = append(keys, k)
		}
	}
	p.groups.mu.Unlock()
	for _, k := range keys {
		p.leave(k)
	}
}
