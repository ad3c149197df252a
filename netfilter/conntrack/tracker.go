package conntrack

import (
	"sync"
	"sync/atomic"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/hook"
	"github.com/knitnet/knit/core/klog"
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/network"
)

// A tracker is one kernel's connection tracking.
type tracker struct {
	net      *network.Layer
	clock    *clock.Clock
	log      *klog.Logger
	slot     packet.Slot[*entry]
	table    *table
	timeouts timeouts
	ids      atomic.Uint32
	stats    counters

	users    *module.Users   // nil in tests of this package alone
	requests *module.Context // the same

	acct, loose, liberal, checksum, timestamp, autoHelp atomic.Bool
	ignoreBadReset                                      atomic.Bool
	events                                              atomic.Int64
	max, expectMax, maxRetrans                          atomic.Int64
	logInvalid                                          atomic.Int64 // the protocol of which invalid packets are logged; 0: none
	fullLogged, invalidLogged                           atomic.Int64 // when that was last done
	closed                                              atomic.Bool

	zones sync.Map // uint16 -> *entry, templates

	gc      clock.Timer
	gcArmed atomic.Bool
	gcAt    int // of the timer function

	holds          holds
	expects        expectations
	watchers       watchers[netfilter.Event]
	expectWatchers watchers[netfilter.ExpectEvent]
	helpers        struct {
		sync.Mutex
		list []*netfilter.Helper
		some atomic.Bool // there ever was one
	}
}

// counters are those of /proc/net/stat/nf_conntrack.
type counters struct {
	invalid, drop, earlyDrop, insert, insertFailed, clash stat.Counter
	expectNew, expectCreate, expectDelete, icmpError      stat.Counter
}

// Of implements netfilter.Tracker.
func (t *tracker) Of(pkt *packet.Packet) (*netfilter.Conn, netfilter.Info) {
	e, ok := t.slot.Get(pkt)
	if !ok || e == nil || e.Is(netfilter.Template) {
		return nil, netfilter.Info(pkt.Track)
	}
	return &e.Conn, netfilter.Info(pkt.Track)
}

// RunOf implements netfilter.Tracker.
func (t *tracker) RunOf(pkt *packet.Packet) (c *netfilter.Conn, info netfilter.Info, n int, next *packet.Packet) {
	first, _ := t.slot.Get(pkt)
	c, info = t.Of(pkt)
	for n = 1; ; n++ {
		pkt = pkt.Next()
		if pkt == nil || netfilter.Info(pkt.Track) != info {
			return c, info, n, pkt
		}
		if e, _ := t.slot.Get(pkt); e != first {
			return c, info, n, pkt
		}
	}
}

// Set implements netfilter.Tracker.
func (t *tracker) Set(pkt *packet.Packet, c *netfilter.Conn, info netfilter.Info) {
	pkt.Track = uint8(info)
	if c == nil {
		t.slot.Set(pkt, nil)
		return
	}
	t.slot.Set(pkt, entryOf(c))
}

// SetZone implements netfilter.Tracker. Until its connection is known, a packet in
// a zone carries a template that says so.
func (t *tracker) SetZone(pkt *packet.Packet, zone uint16) bool {
	if e, ok := t.slot.Get(pkt); ok && e != nil && !e.Is(netfilter.Template) {
		return false
	}
	tmpl, ok := t.zones.Load(zone)
	if !ok {
		fresh := newEntry(&netfilter.Tuple{Zone: zone}, &netfilter.Tuple{Zone: zone}, genericProtocol)
		fresh.set(netfilter.Template)
		tmpl, _ = t.zones.LoadOrStore(zone, fresh)
	}
	t.slot.Set(pkt, tmpl.(*entry))
	return true
}

// noted returns the zone that a rule has put the packet into; seen says that the
// packet has its connection already, or is to have none.
func (t *tracker) noted(pkt *packet.Packet) (zone uint16, seen bool) {
	e, ok := t.slot.Get(pkt)
	switch {
	case netfilter.Info(pkt.Track) == netfilter.Untracked:
		return 0, true
	case !ok || e == nil:
		return 0, false
	case e.Is(netfilter.Template):
		t.slot.Set(pkt, nil)
		return e.Tuples[netfilter.Original].Zone, false
	}
	return 0, true
}

// Lookup implements netfilter.Tracker.
func (t *tracker) Lookup(tuple *netfilter.Tuple) (*netfilter.Conn, netfilter.Dir) {
	n := t.table.find(tuple, t.clock.Now())
	if n == nil {
		return nil, 0
	}
	return &n.e.Conn, n.dir
}

// Taken implements netfilter.Tracker.
func (t *tracker) Taken(tuple *netfilter.Tuple, c *netfilter.Conn) bool {
	n := t.table.find(tuple, t.clock.Now())
	return n != nil && &n.e.Conn != c
}

// SetReply implements netfilter.Tracker.
func (t *tracker) SetReply(c *netfilter.Conn, tuple netfilter.Tuple) {
	c.Tuples[netfilter.Reply] = tuple
}

// Each implements netfilter.Tracker.
func (t *tracker) Each(f func(*netfilter.Conn) bool) {
	now := t.clock.Now()
	t.table.each(0, len(t.table.buckets), func(e *entry) bool { return e.dead(now) || f(&e.Conn) })
}

// Flush implements netfilter.ConnTable.
func (t *tracker) Flush(f func(*netfilter.Conn) bool) (n int) {
	var over []*entry
	t.table.each(0, len(t.table.buckets), func(e *entry) bool {
		if f(&e.Conn) {
			over = append(over, e)
		}
		return true
	})
	for _, e := range over {
		if t.kill(e) {
			n++
		}
	}
	return n
}

// Delete implements netfilter.Tracker.
func (t *tracker) Delete(c *netfilter.Conn) bool { return t.kill(entryOf(c)) }

// Count implements netfilter.Tracker.
func (t *tracker) Count() int { return int(t.table.count.Load()) }

// Watch implements netfilter.Tracker.
func (t *tracker) Watch(f func(netfilter.Event)) (undo func()) { return t.watchers.add(f) }

// Note implements netfilter.Tracker.
func (t *tracker) Note(c *netfilter.Conn, kind netfilter.EventKind) {
	if t.watchers.any() {
		entryOf(c).events.Or(uint32(kind))
	}
}

// flushEvents tells what was noted of a connection that is in the table.
func (t *tracker) flushEvents(e *entry) {
	if kind := netfilter.EventKind(e.events.Swap(0)); kind != 0 {
		t.tell(kind, e)
	}
}

func (t *tracker) tell(kind netfilter.EventKind, e *entry) {
	t.watchers.tell(netfilter.Event{Kind: kind, Conn: &e.Conn})
}

// answered makes an ICMP error of this host about a packet related to the packet's
// connection, which nobody would find by what is quoted if it is not in the table yet.
func (t *tracker) answered(answer, about *packet.Packet) {
	c, info := t.Of(about)
	if c == nil || c.Is(netfilter.Confirmed) {
		return
	}
	back := netfilter.RelatedReply
	if info.Dir() == netfilter.Reply {
		back = netfilter.Related
	}
	t.Set(answer, c, back)
}

func (t *tracker) attach(v network.Version) []func() {
	entry := func(prio hook.Priority, f hook.BatchFunc) hook.Entry {
		return hook.Entry{Owner: moduleName, Priority: prio, Batch: f, KeepsHeaders: true}
	}
	in := entry(hook.Conntrack, func(q *packet.Queue) {
		if !netfilter.ComesAgain(q) {
			t.track(v, q)
		}
	})
	last := entry(hook.ConntrackConfirm, t.confirm)
	help := entry(hook.ConntrackHelper, func(q *packet.Queue) { t.help(v, q) })
	h := &t.net.Hooks[v]
	return []func(){
		h.Prerouting.Add(in), h.Output.Add(in),
		h.Input.Add(help), h.Postrouting.Add(help),
		h.Input.Add(last), h.Postrouting.Add(last),
	}
}
