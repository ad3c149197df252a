package nat

import (
	"sync"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/network"
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
// any connection of it lives.
type mapping struct {
	source
	outside
	filtering uint8
	conns     int              // in the table
	peers     map[[16]byte]int // connections by the other end's address
}

// A use is a connection's part in a mapping.
type use struct {
	*mapping
	peer [16]byte
}

// mappings are bounded by the number of connections: each has one at least, or was
// made a moment ago.
type mappings struct {
	mu    sync.Mutex
	bySrc map[source]*mapping
	byOut map[outside]*mapping
	// chosen are the connections that have a mapping, also those whose first packet is
	// still under way; young are the mappings without a connection in the table, the
	// oldest first.
	chosen map[*netfilter.Conn]use
	young  []youth
}

type youth struct {
	*mapping
	conn *netfilter.Conn
	at   clock.Time
}

// underWay is how long a packet may take from one hook to the last.
const underWay = 10 * time.Second

func (m *mappings) init() {
	m.bySrc, m.byOut = map[source]*mapping{}, map[outside]*mapping{}
	m.chosen = map[*netfilter.Conn]use{}
}

func sourceOf(x *netfilter.Tuple, r *netfilter.NATRange) source {
	s := source{addr: x.Src, port: x.SrcPort, zone: x.Zone, proto: x.Proto, version: x.Version}
	if r.Mapping == 1 {
		s.peer = x.Dst
	}
	return s
}

// reuse returns the tuple that an existing mapping gives to a new connection.
func (m *mappings) reuse(t *translator, c *netfilter.Conn, now netfilter.Tuple, r *netfilter.NATRange) (netfilter.Tuple, bool) {
	if r.Mapping == 0 {
		return now, false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	x := m.bySrc[sourceOf(&now, r)]
	if x == nil {
		return now, false
	}
	want := now
	want.Src, want.SrcPort = x.outside.addr, x.outside.port
	if !within(&want, netfilter.ManipSrc, r) || t.taken(&want, c) {
		return now, false
	}
	m.choose(c, use{x, now.Dst}, t.clock.Now())
	return want, true
}

// remember makes the choice for a connection a mapping, if its rule asks for one.
func (m *mappings) remember(t *translator, c *netfilter.Conn, want netfilter.Tuple, manip netfilter.Manip, r *netfilter.NATRange) {
	if r.Mapping == 0 || manip != netfilter.ManipSrc {
		return
	}
	now := mirror(&c.Tuples[netfilter.Reply])
	x := &mapping{
		source:    sourceOf(&now, r),
		outside:   outside{want.Src, want.SrcPort, want.Zone, want.Proto, want.Version},
		filtering: r.Filtering,
		peers:     map[[16]byte]int{},
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.bySrc[x.source], m.byOut[x.outside] = x, x
	m.choose(c, use{x, now.Dst}, t.clock.Now())
}

// accept lets a new connection from outside in by a mapping whose filter allows it
// (RFC 4787 §5).
func (m *mappings) accept(t *translator, c *netfilter.Conn) bool {
	o := &c.Tuples[netfilter.Original]
	m.mu.Lock()
	x := m.byOut[outside{o.Dst, o.DstPort, o.Zone, o.Proto, o.Version}]
	open := x != nil && (x.filtering == 2 || x.filtering == 1 && x.peers[o.Src] > 0)
	if open {
		m.choose(c, use{x, o.Src}, t.clock.Now())
	}
	m.mu.Unlock()
	if !open {
		return false
	}
	var r netfilter.NATRange
	r.SetAddrs(x.source.addr[:], x.source.addr[:])
	r.SetPorts(x.source.port, x.source.port)
	return t.Setup(c, netfilter.ManipDst, &r)
}

// choose notes a connection's mapping; the caller holds the lock. What was chosen
// for packets that were lost on their way is forgotten.
func (m *mappings) choose(c *netfilter.Conn, u use, now clock.Time) {
	for len(m.young) > 0 && m.young[0].at.Add(underWay) <= now {
		y := m.young[0]
		m.young[0] = youth{}
		m.young = m.young[1:]
		if !y.conn.Is(netfilter.Confirmed) {
			delete(m.chosen, y.conn)
			m.forget(y.mapping)
		}
	}
	m.chosen[c] = u
	m.young = append(m.young, youth{u.mapping, c, now})
}

// confirm counts a connection that has come into the table.
func (m *mappings) confirm(c *netfilter.Conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if u, ok := m.chosen[c]; ok {
		u.conns++
		u.peers[u.peer]++
	}
}

// release forgets a connection that is over, and with the last one its mapping.
func (m *mappings) release(c *netfilter.Conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	u, ok := m.chosen[c]
	if !ok {
		return
	}
	delete(m.chosen, c)
	if u.peers[u.peer]--; u.peers[u.peer] <= 0 {
		delete(u.peers, u.peer)
	}
	u.conns--
	m.forget(u.mapping)
}

// forget removes a mapping that no connection in the table uses.
func (m *mappings) forget(x *mapping) {
	if x.conns > 0 {
		return
	}
	if m.bySrc[x.source] == x {
		delete(m.bySrc, x.source)
	}
	if m.byOut[x.outside] == x {
		delete(m.byOut, x.outside)
	}
}
