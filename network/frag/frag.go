// Package frag takes packets apart that are larger than the path MTU, and puts
// them together again (RFC 791 §3.2, RFC 8200 §4.5).
//
// Reassembly is strict: a fragment that overlaps another one condemns the whole
// datagram, for both IP versions (RFC 5722), exact duplicates aside. What waits is
// bounded in bytes, per datagram and, once memory is short, per source.
package frag

import (
	"net/netip"
	"sync"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/rcu"
	"github.com/knitnet/knit/core/stat"
)

// Defaults as Linux has them.
const (
	Timeout4 = 30 * time.Second // net.ipv4.ipfrag_time
	Timeout6 = 60 * time.Second // RFC 8200 §4.5; net.ipv6.ip6frag_time
	High     = 4 << 20          // ipfrag_high_thresh, bytes
	Low      = 3 << 20          // ipfrag_low_thresh, bytes
	MaxDist4 = 64               // net.ipv4.ipfrag_max_dist
	// MaxFragments lets the largest datagram through in pieces of 280 bytes:
	// four times less than the least MTU of IPv6.
	MaxFragments = 256
)

// Params are what can be changed while datagrams wait. Zero fields of a Config's
// Params mean the default.
type Params struct {
	// Timeout is how long the fragments of a datagram wait for the rest; default
	// Timeout4.
	Timeout time.Duration
	// High is how many bytes may wait; beyond it datagrams are given up until Low
	// are left. Fragments count with the memory that holds them.
	High, Low int
	// MaxDist is how many other fragments one source may send between two of a
	// datagram before the earlier ones are too old to belong to the same
	// datagram: the 16-bit identification of IPv4 wraps around in no time
	// (RFC 4963). Zero means any number.
	MaxDist int
	// MaxFragments bounds the fragments of one datagram.
	MaxFragments int
}

// Config is what a Table is made of.
type Config struct {
	Clock *clock.Clock
	// Walks brackets what the timer does; nil means no bracket.
	Walks *rcu.Period
	// Expired takes the first fragment of a datagram whose time is up, beginning
	// with its IP header, and owns it: the ICMP error about it is its job. It is
	// not called when the first fragment has not arrived (RFC 792). Nil drops it.
	Expired func(pkt *packet.Packet)
	// Domain returns the VRF of an interface, 0 for none: fragments of two VRFs do not
	// belong together, whatever their addresses. Nil: there are none.
	Domain func(index int32) int32
	Params Params
}

// Stats counts what `netstat -s` shows of reassembly.
type Stats struct {
	ReasmReqds   stat.Counter // fragments that came
	ReasmOKs     stat.Counter // datagrams put together
	ReasmFails   stat.Counter // datagrams given up, for whatever reason
	ReasmTimeout stat.Counter // of those, because their time was up
}

// A Key says which fragments belong together: those of RFC 791 §3.2, or of
// RFC 8200 §4.5 (Proto is 0 then).
type Key struct {
	Src, Dst netip.Addr
	ID       uint32
	// Index is the interface for addresses that mean something on one link only, else
	// the interface's VRF.
	Index int32
	Proto uint8
}

// A Table holds the datagrams of one IP version that are not complete. Make it
// with New. Its methods are safe for concurrent use.
type Table struct {
	Stats Stats

	clock   *clock.Clock
	walks   *rcu.Period
	expired func(*packet.Packet)
	domain  func(index int32) int32
	timer   clock.Timer

	mu      sync.Mutex
	params  Params
	waiting map[Key]*datagram
	sources map[netip.Addr]*source
	// The datagrams in the order of their arrival, which is that of their end.
	oldest, newest *datagram
	bytes          int
	closed         bool
	spareDatagrams spares[datagram]
	spareSources   spares[source]
}

// A datagram is one that is not complete.
type datagram struct {
	key        Key
	src        *source
	prev, next *datagram // by arrival

	frags   packet.Queue // by offset; Meta.Seq and Meta.End are their bounds
	have    int          // payload bytes in frags
	total   int          // payload bytes in all; -1: the last fragment is not here
	cost    int          // memory in bytes
	arrived clock.Time
	at      uint32 // src.seen when its last fragment came
	largest int    // the largest fragment in bytes, header included
	ecn     uint8  // bit i: a fragment with ECN codepoint i came
	// condemned: fragments overlapped; all that still come are dropped.
	condemned bool
}

// A source is a host, or the /64 network, that sends fragments.
type source struct {
	addr  netip.Addr
	seen  uint32 // fragments
	n     int    // datagrams that wait
	bytes int    // what they cost
}

// New returns an empty table.
func New(cfg Config) *Table {
	t := &Table{
		clock: cfg.Clock, walks: cfg.Walks, expired: cfg.Expired, domain: cfg.Domain,
		waiting: map[Key]*datagram{}, sources: map[netip.Addr]*source{},
	}
	t.timer.Init(cfg.Clock, t.expire)
	t.SetParams(cfg.Params)
	return t
}

// domainOf is the Key.Index of a fragment; onLink: its addresses mean something on one
// link only.
func (t *Table) domainOf(pkt *packet.Packet, onLink bool) int32 {
	switch {
	case onLink:
		return pkt.In
	case t.domain != nil:
		return t.domain(pkt.In)
	}
	return 0
}

// SetParams changes the bounds; zero fields, other than MaxDist, mean the default.
func (t *Table) SetParams(p Params) {
	if p.Timeout == 0 {
		p.Timeout = Timeout4
	}
	if p.High == 0 {
		p.High, p.Low = High, Low
	}
	if p.Low == 0 || p.Low > p.High {
		p.Low = p.High / 4 * 3
	}
	if p.MaxFragments == 0 {
		p.MaxFragments = MaxFragments
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.params = p
	t.arm()
}

// Params returns the bounds of now.
func (t *Table) Params() Params {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.params
}

// Usage returns how many datagrams wait and how many bytes they take, for
// /proc/net/sockstat.
func (t *Table) Usage() (datagrams, bytes int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.waiting), t.bytes
}

// Close drops all that waits, and from then on every fragment that comes. It must
// not be called from a timer's function.
func (t *Table) Close() {
	t.mu.Lock()
	t.closed = true
	for t.oldest != nil {
		t.giveUp(t.oldest, stat.ModuleUnload)
	}
	t.mu.Unlock()
	t.timer.StopWait()
}
