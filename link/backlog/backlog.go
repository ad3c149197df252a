// Package backlog hands packets to a device of this process without ever nesting:
// what Linux has softnet_data's backlog for.
//
// A packet that is received is often answered in the same call. On a loopback
// device the answer is received by a nested call, whose answer nests again; two
// sockets that answer each other would grow the stack without end. So whoever is
// receiving in a lane receives also what comes to the lane meanwhile, from its own
// depths or from other goroutines, after it has finished with what it has. An
// answer then waits until the packet it answers is done, which is what happens on
// a real wire too.
//
// A flow always takes the same lane, in both directions, so its packets stay in
// order; different flows run beside each other. Calls nest at most once for each
// lane.
package backlog

import (
	"sync"
	"sync/atomic"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/link/flow"
)

const (
	laneBits = 4
	nLanes   = 1 << laneBits

	// limit is how many packets may wait in a lane (net.core.netdev_max_backlog).
	// It is reached when several goroutines send in one lane faster than one can
	// receive.
	limit = 1000
)

// A Backlog is the way to one device. The zero Backlog is ready to use; it is safe
// for concurrent use.
type Backlog struct{ lanes [nLanes]lane }

// Receive gives the packets of q, which it owns, to dev, which must be the same in
// every call: before it returns, or in the goroutine that is at it already. Past
// 1,000 waiting packets it drops them for CPU_BACKLOG.
func (b *Backlog) Receive(dev *link.Device, q *packet.Queue) {
	for !q.Empty() {
		n, rest := cutLane(dev, q)
		b.lanes[n].receive(dev, q)
		*q = rest
	}
}

func laneOf(dev *link.Device, pkt *packet.Packet) uint32 {
	return flow.Hash(pkt, dev.HeaderLen()) >> (32 - laneBits)
}

// cutLane leaves in q the packets from the front that share lane n, and returns
// the others.
func cutLane(dev *link.Device, q *packet.Queue) (n uint32, rest packet.Queue) {
	n = laneOf(dev, q.Front())
	same := 1
	for pkt := q.Front().Next(); pkt != nil && laneOf(dev, pkt) == n; pkt = pkt.Next() {
		same++
	}
	if same == q.Len() {
		return n, rest
	}
	rest, *q = *q, packet.Queue{}
	for range same {
		q.Push(rest.Pop())
	}
	return n, rest
}

// States of a lane.
const (
	idle    = iota
	busy    // somebody is receiving
	pending // and packets wait; left only with mu held
)

type lane struct {
	state atomic.Uint32

	mu      sync.Mutex
	waiting packet.Queue // not empty in state pending only

	_ [80]byte // lanes apart: processors fetch cache lines in pairs
}

func (l *lane) receive(dev *link.Device, q *packet.Queue) {
	if !l.state.CompareAndSwap(idle, busy) && !l.enterOrWait(dev, q) {
		return
	}
	for {
		dev.Receive(q)
		if l.state.CompareAndSwap(busy, idle) {
			return
		}
		l.next(q)
	}
}

// enterOrWait puts q behind the packets that wait, or reports true when the lane
// has become idle meanwhile and is now the caller's.
func (l *lane) enterOrWait(dev *link.Device, q *packet.Queue) (entered bool) {
	l.mu.Lock()
	for !l.state.CompareAndSwap(busy, pending) && l.state.Load() != pending {
		if l.state.CompareAndSwap(idle, busy) {
			l.mu.Unlock()
			return true
		}
	}
	if l.waiting.Len()+q.Len() <= limit {
		l.waiting.Append(q)
	}
	for !q.Empty() && l.waiting.Len() < limit {
		l.waiting.Push(q.Pop())
	}
	l.mu.Unlock()
	if !q.Empty() {
		dev.Rx().Dropped.Add(uint64(q.Len()))
		q.Drop(stat.CPUBacklog)
	}
	return false
}

// next moves what waits to q, which is empty.
func (l *lane) next(q *packet.Queue) {
	l.mu.Lock()
	*q = l.waiting
	l.waiting = packet.Queue{}
	l.state.Store(busy)
	l.mu.Unlock()
}
