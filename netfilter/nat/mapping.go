package nat

import (
	"sync"

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
	conns     int
	peers     map[[16]byte]int // connections by the other end's address
}

// mappings are bounded by the number of connections: each has one at least.
type mappings struct {
	mu     sync.Mutex
	bySrc  map[source]*mapping
	byOut  map[outside]*mapping
	byConn map[*netfilter.Conn]*mapping
}

func (m *mappings) init() {
	m.bySrc, m.byOut = map[source]*mapping{}, map[outside]*mapping{}
	m.byConn = map[*netfilter.Conn]*mapping{}
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
	m.join(x, c, now.Dst)
	return want, true
}

func (m *mappings) join(x *mapping, c *netfilter.Conn, peer [16]byte) {
	x.conns++
	x.peers[peer]++
	m.byConn[c] = x
}

// remember makes the choice for a connection a mapping, if its rule asks for one.
func (m *mappings) remember(c *netfilter.Conn, want netfilter.Tuple, manip netfilter.Manip, r *netfilter.NATRange) netfilter.Tuple {
	if r.Mapping == 0 || manip != netfilter.ManipSrc {
		return want
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
	m.join(x, c, now.Dst)
	return want
}

// accept lets a new connection from outside in by a mapping whose filter allows it
// (RFC 4787 §5).
func (m *mappings) accept(t *translator, c *netfilter.Conn) bool {
	o := &c.Tuples[netfilter.Original]
	m.mu.Lock()
	x := m.byOut[outside{o.Dst, o.DstPort, o.Zone, o.Proto, o.Version}]
	open := x != nil && (x.filtering == 2 || x.filtering == 1 && x.peers[o.Src] > 0)
	if open {
		m.join(x, c, o.Src)
	}
	m.mu.Unlock()
	if !open {
		return false
	}
	var r netfilter.NATRange
	r.MinAddr, r.MaxAddr = x.source.addr, x.source.addr
	r.Flags |= netfilter.RangeAddr
	r.SetPorts(x.source.port, x.source.port)
	return t.Setup(c, netfilter.ManipDst, &r)
}

// release forgets a connection, and with the last one its mapping.
func (m *mappings) release(c *netfilter.Conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	x := m.byConn[c]
	if x == nil {
		return
	}
	delete(m.byConn, c)
	peer := c.Tuples[netfilter.Original].Dst
	if _, in := x.peers[peer]; !in {
		peer = c.Tuples[netfilter.Original].Src
	}
	if x.peers[peer]--; x.peers[peer] <= 0 {
		delete(x.peers, peer)
	}
	if x.conns--; x.conns == 0 {
		delete(m.bySrc, x.source)
		delete(m.byOut, x.outside)
	}
}
