package conntrack

import (
	"sync"
	"sync/atomic"

	"github.com/knitnet/knit/netfilter"
)

// An entry is a connection with what only this module knows of it. It fits into
// 320 bytes, which a test holds.
type entry struct {
	netfilter.Conn
	nodes [2]node

	// events are what watchers will hear of when the packet that made them has passed
	// all hooks.
	events atomic.Uint32

	mu    sync.Mutex // tcp, sctp
	tcp   tcpState
	sctp  sctpState
	proto protocol
}

// A node is an entry's place in the table, one for each direction.
type node struct {
	next atomic.Pointer[node]
	e    *entry
	hash uint32
	dir  netfilter.Dir
}

func newEntry(orig, reply *netfilter.Tuple, proto protocol) *entry {
	e := &entry{proto: proto}
	e.Tuples = [2]netfilter.Tuple{*orig, *reply}
	e.Entry = e
	for d := range e.nodes {
		e.nodes[d].e, e.nodes[d].dir = e, netfilter.Dir(d)
	}
	return e
}

// entryOf returns the entry around a connection.
func entryOf(c *netfilter.Conn) *entry { return c.Entry.(*entry) }

// set sets status bits and reports whether any of them was not set before.
func (e *entry) set(bits uint32) bool { return !e.Is(bits) && e.Status.Or(bits)&bits != bits }

// confirm sets Confirmed, unless e is over already.
func (e *entry) confirm() bool {
	for {
		switch s := e.Status.Load(); {
		case s&netfilter.Dying != 0:
			return false
		case e.Status.CompareAndSwap(s, s|netfilter.Confirmed):
			return true
		}
	}
}

// abandon ends e if it is not in the table, and reports whether that is so: it does not
// get there any more.
func (e *entry) abandon() bool {
	for {
		switch s := e.Status.Load(); {
		case s&netfilter.Confirmed != 0:
			return false
		case s&netfilter.Dying != 0 || e.Status.CompareAndSwap(s, s|netfilter.Dying):
			return true
		}
	}
}
