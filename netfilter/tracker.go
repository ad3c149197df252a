package netfilter

import (
	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/packet"
)

// A Tracker is connection tracking, as nf_conntrack exports it. All methods are
// safe for concurrent use; those that take a packet are for its owner.
type Tracker interface {
	// Of returns the connection of a packet and what the packet is to it: nil and
	// Invalid or Untracked if it has none.
	Of(pkt *packet.Packet) (*Conn, Info)
	// RunOf is Of for the packets of a queue from pkt on: the first n, one at least, are
	// the same to the same connection. next is the one behind them, or nil.
	RunOf(pkt *packet.Packet) (c *Conn, info Info, n int, next *packet.Packet)
	// Set makes c, nil for none, the connection of a packet.
	Set(pkt *packet.Packet, c *Conn, info Info)
	// SetZone puts a packet into a zone before its connection is looked up. It fails
	// when it has a connection already.
	SetZone(pkt *packet.Packet, zone uint16) bool
	// Hold makes conntrack work for whoever calls it, until release is called, for the
	// IP versions given by network.Version: hooks are there only while somebody needs
	// them, as on Linux. It does not wait for packets that are inside.
	Hold(versions [2]bool) (release func())

	// Lookup returns the connection that a packet of tuple t would belong to.
	Lookup(t *Tuple) (*Conn, Dir)
	// Taken reports whether another connection than c has the tuple t, in its zone,
	// as the packets that it gets: NAT must not choose it.
	Taken(t *Tuple, c *Conn) bool
	// SetReply changes the reply tuple of a connection that is not confirmed yet.
	SetReply(c *Conn, t Tuple)
	// Each calls f for every connection until f returns false.
	Each(f func(c *Conn) bool)
	// Delete takes c out of the table, and reports whether it was there.
	Delete(c *Conn) bool
	// Watch calls f for every event until undo is called. f must not block; it may ask
	// for what it likes.
	Watch(f func(e Event)) (undo func())
	// Note says that something has happened to c, whose packet the caller has: it is
	// told of when the packet has passed all hooks.
	Note(c *Conn, kind EventKind)
	// Expect adds an expectation until it is fulfilled, has timed out or its master
	// ends. At the helper's limit the master's oldest one gives way. EBUSY: somebody
	// else expects the same; EMFILE: the kernel's limit is reached; ESHUTDOWN: the
	// master has ended.
	Expect(e *Expectation) error
	// Unexpect takes back an expectation.
	Unexpect(e *Expectation)
	// AddHelper registers a helper until undo is called.
	AddHelper(h *Helper) (undo func(), err error)
	// HelperByName returns a registered helper, or nil.
	HelperByName(name string, proto uint8) *Helper
	// Count returns how many connections there are.
	Count() int

	// Offload lends c to a flowtable until Reclaim: it gets the status bit Offload and
	// its time does not run out. It fails when c is not established, when somebody has
	// to see all its packets, and when it is in a flowtable already.
	Offload(c *Conn) bool
	// Reclaim ends Offload. The tracker believes what comes next, because it has not
	// seen the packets meanwhile. last is when the last one passed, from which the
	// timeout counts; some is false if there was none since Offload.
	Reclaim(c *Conn, last clock.Time, some bool)
}

// EventKind are the events of `ct event`, with Linux's values.
type EventKind uint32

// Events.
const (
	EventNew EventKind = 1 << iota
	EventRelated
	EventDestroy
	EventReply
	EventAssured
	EventProtoInfo
	EventHelper
	EventMark
	EventSeqAdj
	EventSecMark
	EventLabel
)

// An Event tells of a connection.
type Event struct {
	Kind EventKind // one or more
	Conn *Conn
}

// ComesAgain reports whether the packets of q, which are at PREROUTING, were there
// before, as packets of the device that is enslaved to their VRF (packet.Meta.VRF).
// Their connections are known and their addresses are chosen by then.
func ComesAgain(q *packet.Queue) bool {
	pkt := q.Front()
	return pkt != nil && pkt.VRF != 0
}
