package nat

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/knitnet/knit/core/hook"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/network"
)

// seats are the hook points where translation happens. Once a rule has needed them
// they stay until the module goes: connections live longer than rules.
type seats struct {
	mu       sync.Mutex
	attached [2]bool
	at       map[*hook.Point]*seat
	undo     []func()
}

// A seat is where translation happens at one hook point.
type seat struct {
	v     network.Version
	manip netfilter.Manip
	// local: the packet begins or ends at this host (OUTPUT, INPUT).
	local  bool
	chains atomic.Pointer[[]*netfilter.NATChain]
}

// AddChain implements netfilter.Translator. EINVAL: there is no translation at that
// hook point.
func (t *translator) AddChain(ch netfilter.NATChain) (undo func(), err error) {
	s := &t.seats
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.attached[ch.Version] {
		s.attached[ch.Version] = true
		t.attach(ch.Version)
	}
	at := s.at[ch.Point]
	if at == nil {
		return nil, syscall.EINVAL
	}
	p := &ch
	next := append([]*netfilter.NATChain{p}, at.list()...) // among equals it is the first, as on Linux
	slices.SortStableFunc(next, func(a, b *netfilter.NATChain) int { return cmp.Compare(a.Priority, b.Priority) })
	at.chains.Store(&next)
	return func() { s.remove(at, p) }, nil
}

func (s *seat) list() []*netfilter.NATChain {
	if l := s.chains.Load(); l != nil {
		return *l
	}
	return nil
}

func (s *seats) remove(at *seat, p *netfilter.NATChain) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := slices.DeleteFunc(slices.Clone(at.list()), func(x *netfilter.NATChain) bool { return x == p })
	at.chains.Store(&next)
}

// attach adds the hooks of a version: destinations change before routing, sources
// after it.
func (t *translator) attach(v network.Version) {
	var versions [2]bool
	versions[v] = true
	t.seats.undo = append(t.seats.undo, t.track.Hold(versions))
	h := &t.net.Hooks[v]
	t.attachAt(v, &h.Prerouting, hook.DstNAT, netfilter.ManipDst, false)
	t.attachAt(v, &h.Output, hook.DstNAT, netfilter.ManipDst, true)
	t.attachAt(v, &h.Input, hook.SrcNAT, netfilter.ManipSrc, true)
	t.attachAt(v, &h.Postrouting, hook.SrcNAT, netfilter.ManipSrc, false)
	t.attachSeq(v, &h.Input)
	t.attachSeq(v, &h.Postrouting)
}

func (t *translator) attachAt(v network.Version, p *hook.Point, prio hook.Priority, m netfilter.Manip, local bool) {
	at := &seat{v: v, manip: m, local: local}
	if t.seats.at == nil {
		t.seats.at = map[*hook.Point]*seat{}
	}
	t.seats.at[p] = at
	t.seats.undo = append(t.seats.undo, p.Add(hook.Entry{
		Owner: moduleName, Priority: prio, Batch: func(q *packet.Queue) { t.translate(at, q) }, KeepsHeaders: true,
	}))
}

func (s *seats) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, undo := range s.undo {
		undo()
	}
}

// translate decides about new connections and changes the packets of all.
func (t *translator) translate(at *seat, q *packet.Queue) {
	if at.manip == netfilter.ManipDst && !at.local && netfilter.ComesAgain(q) {
		return
	}
	passed := t.pass(at, q)
	if passed == q.Len() {
		return
	}
	var out packet.Queue
	for range passed {
		out.Push(q.Pop())
	}
	for pkt := q.Pop(); pkt != nil; pkt = q.Pop() {
		switch t.translateOne(at, pkt) {
		case hook.Accept:
			at.steer(pkt, t.track)
			out.Push(pkt)
		case hook.Drop:
			pkt.Drop(t.reasonOf(pkt))
		}
	}
	*q = out
}

// steer sends a packet that leaves this host to where its new destination is, if the
// address has changed and not the port alone.
func (s *seat) steer(pkt *packet.Packet, track netfilter.Tracker) {
	if !s.local || s.manip != netfilter.ManipDst {
		return
	}
	if c, info := track.Of(pkt); c != nil && elsewhere(c, info.Dir()) {
		pkt.Reroute = true
	}
}

// elsewhere reports whether what is sent in a direction of a connection goes to another
// address than it was sent to.
func elsewhere(c *netfilter.Conn, d netfilter.Dir) bool {
	return c.Tuples[d].Dst != c.Tuples[1-d].Src
}

func (t *translator) translateOne(at *seat, pkt *packet.Packet) hook.Verdict {
	c, info := t.track.Of(pkt)
	if c == nil {
		return hook.Accept
	}
	switch info {
	case netfilter.Related, netfilter.RelatedReply:
		if isICMP(at.v, pkt) {
			return t.translateError(at, pkt, c, info.Dir())
		}
	case netfilter.New:
	default:
		return t.change(at, pkt, c, info.Dir())
	}
	if !c.Is(doneBit(at.manip)) {
		if v := t.decide(at, pkt, c); v != hook.Accept {
			return v
		}
	}
	return t.change(at, pkt, c, info.Dir())
}

// decide lets the chains decide about a new connection. What none has an opinion
// about keeps its addresses, and its ports if nobody else has them.
func (t *translator) decide(at *seat, pkt *packet.Packet, c *netfilter.Conn) hook.Verdict {
	for _, ch := range at.list() {
		if v := ch.Decide(pkt); v != hook.Accept {
			return v
		}
		if c.Is(doneBit(at.manip)) {
			return hook.Accept
		}
	}
	switch {
	case at.local:
	case at.manip == netfilter.ManipSrc:
		t.turn(pkt, c)
	default:
		if t.accept(pkt, c) == filtered {
			return hook.Drop
		}
	}
	if !t.Setup(pkt, c, at.manip, &t.keep) {
		return hook.Drop
	}
	return hook.Accept
}

func doneBit(m netfilter.Manip) uint32 {
	if m == netfilter.ManipSrc {
		return netfilter.SrcDone
	}
	return netfilter.DstDone
}

func natBit(m netfilter.Manip) uint32 {
	if m == netfilter.ManipSrc {
		return netfilter.SrcNAT
	}
	return netfilter.DstNAT
}
