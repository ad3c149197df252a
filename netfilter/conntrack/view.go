package conntrack

import (
	"cmp"
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/netfilter"
)

// Snapshot implements netfilter.ConnTable.
func (t *tracker) Snapshot(c *netfilter.Conn) netfilter.ConnView {
	e, now := entryOf(c), t.clock.Now()
	v := netfilter.ConnView{
		Tuples: c.Tuples, Status: c.Status.Load(), Mark: c.Mark.Load(), ID: c.ID, Use: 1,
		Timeout: max(0, int64(clock.Time(c.Deadline.Load()).Sub(now)/time.Second)),
	}
	e.describe(&v)
	if h := c.Helper.Load(); h != nil {
		v.Helper = h.Name
	}
	if a := c.Acct; a != nil {
		v.Acct = new(netfilter.ConnAcct)
		for d := range a {
			v.Acct.Packets[d], v.Acct.Bytes[d] = a[d].Packets.Load(), a[d].Bytes.Load()
		}
	}
	if m := c.More.Load(); m != nil {
		v.Label = [2]uint64{m.Label[0].Load(), m.Label[1].Load()}
		if m.Start != 0 {
			age := now.Sub(m.Start)
			v.Start, v.Age = t.clock.Wall().Add(-age).UnixNano(), int64(age/time.Second)
		}
	}
	return v
}

// describe writes what the protocol knows.
func (e *entry) describe(v *netfilter.ConnView) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch e.proto {
	case tcpProtocol:
		v.State = e.tcp.state.String()
	case sctpProtocol:
		v.State, v.Tags = e.sctp.state.String(), e.sctp.tags
	}
}

// adopt is the inverse of describe, for a connection that begins with it.
func (e *entry) adopt(v *netfilter.ConnView) error {
	s, name := -1, v.State
	switch e.proto {
	case tcpProtocol:
		s = slices.Index(stateNames[:], name)
		e.tcp.state = state(max(s, 0))
		e.tcp.sides[0].flags, e.tcp.sides[1].flags = loose|sacks, loose|sacks
	case sctpProtocol:
		s = slices.Index(assocNames[:], name)
		e.sctp = sctpState{state: assoc(max(s, 0)), tags: v.Tags}
	default:
		return nil
	}
	if s < 0 {
		return fmt.Errorf("conntrack: state %q: %w", name, syscall.EINVAL)
	}
	return nil
}

// Insert implements netfilter.ConnTable. EINVAL: its tuples cannot be of one
// connection; ENOMEM: the table is full.
func (t *tracker) Insert(v *netfilter.ConnView) error {
	orig, reply := v.Tuples[netfilter.Original], v.Tuples[netfilter.Reply]
	mirror, ok := invert(&orig)
	if protocolOf(orig.Version, orig.Proto) == icmpProtocol { // it has no ports to be told
		reply.SrcPort, reply.DstPort = mirror.SrcPort, mirror.DstPort
	}
	if !ok || orig.Proto != reply.Proto || orig.Version != reply.Version || orig.Zone != reply.Zone {
		return fmt.Errorf("conntrack: %w", syscall.EINVAL)
	}
	e := newEntry(&orig, &reply, protocolOf(orig.Version, orig.Proto))
	if err := e.adopt(v); err != nil {
		return err
	}
	now := t.clock.Now()
	if !t.room(&orig, now) {
		t.stats.drop.Inc()
		return fmt.Errorf("conntrack: the table is full: %w", syscall.ENOMEM)
	}
	e.Deadline.Store(int64(now.Add(time.Duration(v.Timeout) * time.Second)))
	e.Mark.Store(v.Mark)
	e.set(v.Status & (netfilter.SeenReply | netfilter.Assured | netfilter.Fixed | netfilter.SrcNAT | netfilter.DstNAT))
	e.set(netfilter.SrcDone | netfilter.DstDone) // NAT leaves it alone
	t.prepare(e, now)
	if t.table.insert(e, now) != nil {
		return fmt.Errorf("conntrack: %w", syscall.EEXIST)
	}
	t.stats.insert.Inc()
	t.armGC()
	t.tell(netfilter.EventNew|netfilter.EventMark, e)
	return nil
}

// prepare gives a new connection what the settings ask for.
func (t *tracker) prepare(e *entry, now clock.Time) {
	e.ID = t.ids.Add(1)
	if t.acct.Load() {
		e.Acct = new([2]netfilter.Acct)
	}
	if t.timestamp.Load() {
		e.Extra().Start = max(now, 1)
	}
}

// SetTimeout implements netfilter.ConnTable. Of a connection in a flowtable no time
// runs out.
func (t *tracker) SetTimeout(c *netfilter.Conn, d time.Duration) {
	e := entryOf(c)
	e.mu.Lock()
	defer e.mu.Unlock()
	if c.Is(netfilter.Offload) {
		return
	}
	c.Deadline.Store(int64(t.clock.Now().Add(d)))
}

// EachExpectation implements netfilter.ConnTable.
func (t *tracker) EachExpectation(f func(x *netfilter.Expectation, left time.Duration) bool) {
	s := &t.expects
	now := t.clock.Now()
	s.mu.Lock()
	over := t.sweep(now)
	var all []expected
	for _, list := range s.bySrv {
		for _, o := range list {
			all = append(all, *o)
		}
	}
	s.mu.Unlock()
	for _, o := range over {
		t.tellExpect(netfilter.EventDestroy, o.Expectation)
	}
	slices.SortFunc(all, func(a, b expected) int { return cmp.Compare(a.until, b.until) })
	for _, x := range all {
		if !f(x.Expectation, x.until.Sub(now)) {
			return
		}
	}
}

// Stats implements netfilter.ConnTable.
func (t *tracker) Stats() netfilter.TrackerStats {
	s := &t.stats
	return netfilter.TrackerStats{
		Invalid: s.invalid.Load(), Insert: s.insert.Load(), InsertFailed: s.insertFailed.Load(), Drop: s.drop.Load(),
		EarlyDrop: s.earlyDrop.Load(), Error: s.icmpError.Load(), ClashResolved: s.clash.Load(),
		ExpectNew: s.expectNew.Load(), ExpectCreate: s.expectCreate.Load(), ExpectDelete: s.expectDelete.Load(),
	}
}

// Tell implements netfilter.ConnTable.
func (t *tracker) Tell(e netfilter.Event) { t.watchers.tell(e) }

// Told implements netfilter.ConnTable.
func (t *tracker) Told(e netfilter.Event) bool {
	if t.events.Load() == 0 {
		return false
	}
	m := e.Conn.More.Load()
	if m == nil {
		return true
	}
	mask := m.Events.Load()
	return mask == 0 || mask&uint32(e.Kind) != 0
}
