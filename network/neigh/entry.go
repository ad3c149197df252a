package neigh

import (
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/wire"
)

// An Entry is one neighbour on one device. It may be kept: one that was removed
// from its table finds its way back into it when it is used. Its methods are safe
// for concurrent use.
type Entry struct {
	table *Table
	dev   *link.Device
	ip    netip.Addr

	// word is all that sending needs, in one load. It changes under mu.
	word atomic.Uint64
	// vouched: an upper layer has confirmed the neighbour since the timer last
	// looked. A flag and not a time, because it is set for every segment.
	vouched atomic.Bool

	next  atomic.Pointer[Entry] // chain of the table's bucket; changes under table.mu
	timer clock.Timer

	mu        sync.Mutex
	waiting   packet.Queue
	bytes     int // of waiting
	probes    int
	reachable clock.Time // when Reachable ends, if nobody vouches
	confirmed clock.Time
	updated   clock.Time
}

// Parts of Entry.word: the hardware address in the low 48 bits, flags, the state
// in the high byte.
const (
	macBits    = 1<<48 - 1
	routerBit  = 1 << 48
	deadBit    = 1 << 49 // not in the table
	staticBit  = 1 << 50 // set by hand, for good
	stateShift = 56
)

func pack(mac wire.MAC) uint64 {
	return uint64(mac[0])<<40 | uint64(mac[1])<<32 | uint64(mac[2])<<24 |
		uint64(mac[3])<<16 | uint64(mac[4])<<8 | uint64(mac[5])
}

func unpack(w uint64) wire.MAC {
	return wire.MAC{byte(w >> 40), byte(w >> 32), byte(w >> 24), byte(w >> 16), byte(w >> 8), byte(w)}
}

// IP returns the neighbour's address, without a zone.
func (e *Entry) IP() netip.Addr { return e.ip }

// Device returns the device on whose link the neighbour is.
func (e *Entry) Device() *link.Device { return e.dev }

// State returns the state of now.
func (e *Entry) State() State { return State(e.word.Load() >> stateShift) }

// MAC returns the neighbour's hardware address; zero when it is not known.
func (e *Entry) MAC() wire.MAC { return unpack(e.word.Load()) }

// Router reports whether the neighbour said that it is a router (IPv6).
func (e *Entry) Router() bool { return e.word.Load()&routerBit != 0 }

// Send sends a batch of packets, which begin with their network header, to the
// neighbour, and owns it. Packets for a neighbour whose address is not known yet
// wait for it.
func (e *Entry) Send(q *packet.Queue) {
	w := e.word.Load()
	if State(w>>stateShift)&direct == 0 {
		e.sendSlow(q)
		return
	}
	e.transmit(q, unpack(w))
}

func (e *Entry) transmit(q *packet.Queue, mac wire.MAC) {
	for pkt := q.Front(); pkt != nil; pkt = pkt.Next() {
		e.dev.PushHeader(pkt, mac)
	}
	e.dev.Transmit(q)
}

// Use does what sending a packet would do to the entry's state, and sends none: it
// makes sure that a neighbour which is needed is asked for.
func (e *Entry) Use() {
	if e.State()&direct == 0 {
		e.sendSlow(new(packet.Queue))
	}
}

// Confirm tells that the neighbour is reachable, because an upper layer made
// progress through it (RFC 4861 §7.3.1). It may be called for every segment.
func (e *Entry) Confirm() {
	switch e.State() {
	case Reachable:
		if !e.vouched.Load() {
			e.vouched.Store(true)
		}
	case Stale, Delay, Probe:
		e.confirm()
	}
}
