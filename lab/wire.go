// Package lab builds networks of kernels in one process for tests: links with
// delay, a rate and a queue, and seeded faults. Inside a testing/synctest bubble, or
// with kernels that share a virtual clock, hours of traffic pass in milliseconds
// and come out the same every time.
package lab

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/link"
)

// A Wire describes one link between two kernels; both directions are alike. The
// zero Wire is perfect, immediate and infinitely fast.
type Wire struct {
	// Delay is the time a packet takes, Jitter what is added at random on top:
	// packets overtake each other by it.
	Delay, Jitter time.Duration
	// Rate is in bytes per second; 0 means infinite. Queue is how many bytes may
	// wait for it; 0 means 256 KiB. What does not fit is lost.
	Rate  int64
	Queue int
	// Loss, Duplicate and Corrupt are the probabilities, from 0 to 1, that a packet
	// is lost, arrives twice, or has one bit flipped.
	Loss, Duplicate, Corrupt float64
	// Reorder is the probability that a packet is held back by another Delay.
	Reorder float64
	// MTU in bytes; 0 means 1500.
	MTU int
	// Seed makes the faults repeatable.
	Seed uint64
}

// Counts says what happened to the packets of one direction.
type Counts struct {
	Sent, Lost, Overflowed, Duplicated, Corrupted, Delivered int
}

// An End is one side of a Wire: the driver of its device.
type End struct {
	wire  *Wire
	clock *clock.Clock
	peer  *link.Device

	mu      sync.Mutex
	random  *rand.Rand
	free    clock.Time // when the rate lets the next packet go
	pending map[*clock.Timer]*packet.Packet
	counts  Counts
}

// Counts returns what happened to packets sent by this end.
func (e *End) Counts() Counts {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.counts
}

// Transmit implements link.Driver.
func (e *End) Transmit(_ *link.Device, q *packet.Queue) {
	for pkt := q.Pop(); pkt != nil; pkt = q.Pop() {
		e.send(pkt)
	}
}

func (e *End) send(pkt *packet.Packet) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.counts.Sent++
	now := e.clock.Now()
	at, ok := e.depart(now, pkt.Len())
	switch {
	case !ok:
		e.counts.Overflowed++
		pkt.Drop(stat.FullRing)
		return
	case e.chance(e.wire.Loss):
		e.counts.Lost++
		pkt.Drop(stat.QdiscDrop)
		return
	}
	if e.chance(e.wire.Duplicate) {
		e.counts.Duplicated++
		e.schedule(pkt.Clone(), at)
	}
	if e.chance(e.wire.Corrupt) {
		e.counts.Corrupted++
		pkt = e.corrupt(pkt)
	}
	e.schedule(pkt, at)
}

// depart returns when a packet of n bytes has left, if the queue has room for it.
func (e *End) depart(now clock.Time, n int) (clock.Time, bool) {
	if e.wire.Rate == 0 {
		return now, true
	}
	queue := e.wire.Queue
	if queue == 0 {
		queue = 256 << 10
	}
	e.free = max(e.free, now)
	if waiting := int64(e.free.Sub(now)) * e.wire.Rate / int64(time.Second); waiting+int64(n) > int64(queue) {
		return 0, false
	}
	e.free = e.free.Add(time.Duration(int64(n) * int64(time.Second) / e.wire.Rate))
	return e.free, true
}

func (e *End) chance(p float64) bool { return p > 0 && e.random.Float64() < p }

// corrupt flips one bit, in a copy: others may refer to the same bytes.
func (e *End) corrupt(pkt *packet.Packet) *packet.Packet {
	b := make([]byte, pkt.Len())
	pkt.CopyOut(0, b)
	bit := e.random.IntN(len(b) * 8)
	b[bit/8] ^= 1 << (bit % 8)
	c := pkt.Pool().Get()
	c.Meta = pkt.Meta
	c.Append(b)
	pkt.Consume()
	return c
}

func (e *End) schedule(pkt *packet.Packet, at clock.Time) {
	at = at.Add(e.wire.Delay)
	if e.wire.Jitter > 0 {
		at = at.Add(time.Duration(e.random.Int64N(int64(e.wire.Jitter))))
	}
	if e.chance(e.wire.Reorder) {
		at = at.Add(max(e.wire.Delay, time.Millisecond))
	}
	t := new(clock.Timer)
	e.pending[t] = pkt
	t.Init(e.clock, func(clock.Time) { e.deliver(t) })
	t.Reset(at)
}

func (e *End) deliver(t *clock.Timer) {
	e.mu.Lock()
	pkt := e.pending[t]
	if pkt == nil { // Close came between
		e.mu.Unlock()
		return
	}
	delete(e.pending, t)
	e.counts.Delivered++
	e.mu.Unlock()
	pkt.Scrub()
	pkt.Csum = packet.CsumNone // whatever it was: the receiver checks it
	var q packet.Queue
	q.Push(pkt)
	e.peer.Receive(&q)
}

// Open implements link.Driver.
func (e *End) Open(*link.Device) error { return nil }

// Close implements link.Driver: what is on its way is lost.
func (e *End) Close(*link.Device) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for t, pkt := range e.pending {
		t.Stop()
		pkt.Drop(stat.DevReady)
	}
	clear(e.pending)
}
