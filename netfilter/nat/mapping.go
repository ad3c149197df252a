package nat

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/network"
)

// linger is how long a mapping without connections stays (RFC 4787 REQ-5: "A value
// of five minutes or more for the NAT UDP mapping timer is RECOMMENDED"), and with it
// what its filter knows of other ends.
const linger = 5 * time.Minute

// Limits: mappings without connections, and other ends that one mapping remembers.
// Those with connections are bounded by nf_conntrack_max.
const (
	maxIdle  = 1 << 16
	maxPeers = 256
)

// A source is who is mapped: an address and port of the inside. With an address
// dependent mapping the other end's address belongs to it (RFC 4787 §4.1).
type source struct {
	addr    [16]byte
	peer    [16]byte
	port    uint16
	zone    uint16
	proto   uint8
	version network.Version
}

// An outside is what it is mapped to.
type outside struct {
	addr    [16]byte
	port    uint16
	zone    uint16
	proto   uint8
	version network.Version
}

// A mapping is that of rules that ask for another behaviour than Linux's: it is
// used for all connections of its source, and others may come in by it, as long as
// any connection of it lives and a while longer.
type mapping struct {
	source
	outside
	rule  netfilter.NATRange // what it was chosen from
	by    int32              // interface it leads out by; 0: not known
	conns int                // in the table
	until clock.Time         // when it ends without connections
	peers map[far]peer
}

// A far is another end as the filter tells them apart: with address dependent
// filtering the port is 0.
type far struct {
	addr [16]byte
	port uint16
}

// A peer is whom the filter lets in: while there are connections, or until a time.
type peer struct {
	conns int
	until clock.Time
}

// A use is a connection's part in a mapping.
type use struct {
	*mapping
	far
}

type mappings struct {
	// n is the number of mappings: while there is none, nobody takes the lock.
	n     atomic.Int64
	mu    sync.Mutex
	bySrc map[source]*mapping
	byOut map[outside]*mapping
	// uses are the connections that have mappings, by what these translate; also of
	// those whose first packet is still under way.
	uses map[*netfilter.Conn]*[2]use
	// young are connections that may never be confirmed, idle the mappings without
	// connections; the oldest first.
	young []youth
	idle  []idler
}

type youth struct {
	conn *netfilter.Conn
	at   clock.Time
}

type idler struct {
	*mapping
	until clock.Time
}

// underWay is how long a packet may take from one hook to the last.
const underWay = 10 * time.Second

func (m *mappings) init() {
	m.bySrc, m.byOut = map[source]*mapping{}, map[outside]*mapping{}
	m.uses = map[*netfilter.Conn]*[2]use{}
}

func sourceOf(x *netfilter.Tuple, peer [16]byte, r *netfilter.NATRange) source {
	s := source{addr: x.Src, port: x.SrcPort, zone: x.Zone, proto: x.Proto, version: x.Version}
	if r.Mapping == netfilter.AddressDependent {
		s.peer = peer
	}
	return s
}

func outsideOf(x *netfilter.Tuple) outside {
	return outside{x.Src, x.SrcPort, x.Zone, x.Proto, x.Version}
}

// choose returns the tuple that the mapping of a new connection's source gives it
// (RFC 4787 REQ-1), and makes the mapping if there is none.
func (m *mappings) choose(q *query, now netfilter.Tuple) (netfilter.Tuple, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := q.t.clock.Now()
	m.sweep(at)
	o := &q.c.Tuples[netfilter.Original]
	to := far{o.Dst, o.DstPort}
	src := sourceOf(&now, o.Dst, &q.r)
	want := now
	if x := m.bySrc[src]; x != nil {
		want.Src, want.SrcPort = x.outside.addr, x.outside.port
		if within(&want, netfilter.ManipSrc, &q.r) && q.ours(&want) {
			m.use(q.c, q.m, use{x, to}, at)
			return want, true
		}
	}
	q.locked = true
	want, ok := q.fresh(now)
	if !ok {
		return want, false
	}
	x := &mapping{source: src, outside: outsideOf(&want), rule: q.r}
	if q.pkt != nil {
		x.by = q.pkt.Out
	}
	m.add(x)
	m.use(q.c, q.m, use{x, to}, at)
	return want, true
}

// ours reports whether nobody has a tuple but another packet of the same flow.
func (q *query) ours(want *netfilter.Tuple) bool {
	q.reply = mirror(want)
	if !q.t.track.Taken(&q.reply, q.c) {
		return true
	}
	twin, found := q.twin()
	return found && twin == *want
}

// add enters a mapping; one of the same source, which the rule does not allow any
// more, is left to its connections.
func (m *mappings) add(x *mapping) {
	m.bySrc[x.source], m.byOut[x.outside] = x, x
	m.n.Store(int64(len(m.byOut)))
}

// remove takes a mapping out.
func (m *mappings) remove(x *mapping) {
	if m.bySrc[x.source] == x {
		delete(m.bySrc, x.source)
	}
	if m.byOut[x.outside] == x {
		delete(m.byOut, x.outside)
	}
	m.n.Store(int64(len(m.byOut)))
}

// reserved reports whether a mapping has the source of a tuple as its outside.
func (m *mappings) reserved(q *query, want *netfilter.Tuple) bool {
	if m.n.Load() == 0 {
		return false
	}
	if !q.locked {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.sweep(q.t.clock.Now())
	}
	return m.byOut[outsideOf(want)] != nil
}

// use notes a connection's mapping.
func (m *mappings) use(c *netfilter.Conn, manip netfilter.Manip, u use, now clock.Time) {
	all := m.uses[c]
	if all == nil {
		all = new([2]use)
		m.uses[c] = all
		m.young = append(m.young, youth{c, now})
	}
	all[manip] = u
	u.until = max(u.until, now.Add(underWay))
}

// sweep forgets mappings that nobody has used for long, and what was chosen for
// packets that were lost on their way.
func (m *mappings) sweep(now clock.Time) {
	for len(m.young) > 0 && (m.young[0].conn.Is(netfilter.Confirmed) || m.young[0].at.Add(underWay) <= now) {
		c := m.young[0].conn
		m.young[0] = youth{}
		m.young = m.young[1:]
		if !c.Is(netfilter.Confirmed) {
			m.lost(c, now)
		}
	}
	for len(m.idle) > 0 && (m.idle[0].until <= now || len(m.idle) > maxIdle) {
		x := m.idle[0]
		m.idle[0] = idler{}
		m.idle = m.idle[1:]
		if x.conns == 0 && x.mapping.until == x.until {
			m.remove(x.mapping)
		}
	}
}

// lost forgets a connection that was never confirmed.
func (m *mappings) lost(c *netfilter.Conn, now clock.Time) {
	all := m.uses[c]
	if all == nil {
		return
	}
	delete(m.uses, c)
	for _, u := range all {
		if u.mapping != nil && u.conns == 0 && u.until <= now {
			m.remove(u.mapping)
		}
	}
}

// confirm counts a connection that has come into the table.
func (m *mappings) confirm(c *netfilter.Conn) {
	if m.n.Load() == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	all := m.uses[c]
	if all == nil {
		return
	}
	for _, u := range all {
		if u.mapping != nil {
			u.conns++
			u.met(u.far)
		}
	}
}

// release forgets a connection that is over.
func (m *mappings) release(c *netfilter.Conn, now clock.Time) {
	if m.n.Load() == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	all := m.uses[c]
	delete(m.uses, c)
	if all == nil {
		return
	}
	for _, u := range all {
		if u.mapping == nil {
			continue
		}
		u.left(u.far, now)
		if u.conns--; u.conns == 0 {
			u.until = now.Add(linger)
			m.idle = append(m.idle, idler{u.mapping, u.until})
		}
	}
	m.sweep(now)
}

// forgetAddr ends the idle mappings to an address that this host has no longer.
func (m *mappings) forgetAddr(addr [16]byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, x := range m.byOut {
		if x.outside.addr == addr && x.conns == 0 {
			m.remove(x)
		}
	}
}
