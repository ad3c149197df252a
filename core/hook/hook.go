// Package hook lets modules look at, change or stop packets at named points.
package hook

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
)

// A Verdict is what a hook function decides about a packet.
type Verdict uint8

// Verdicts (NF_ACCEPT, NF_DROP, NF_STOLEN).
const (
	Accept Verdict = iota // ask the next function; after the last one the packet goes on
	Drop                  // the point drops the packet for NETFILTER_DROP
	Stolen                // the function took ownership: it dropped, queued or sent it
)

// A Func looks at one packet. It does not own it unless it returns Stolen: if it
// panics, the point still has the packet.
type Func func(pkt *packet.Packet) Verdict

// A BatchFunc looks at a batch. What it leaves in q goes on, in that order; what
// it takes out it owns.
type BatchFunc func(q *packet.Queue)

// A Priority orders functions of modules that do not know each other. Smaller
// runs first; among equals, who came first, unless it is Ahead.
type Priority int

// Linux's priorities (enum nf_ip_hook_priorities), under the names nft gives them.
const (
	First            Priority = math.MinInt32
	RawBeforeDefrag  Priority = -450
	ConntrackDefrag  Priority = -400
	Raw              Priority = -300
	Conntrack        Priority = -200
	Mangle           Priority = -150
	DstNAT           Priority = -100
	Filter           Priority = 0
	Security         Priority = 50
	SrcNAT           Priority = 100
	ConntrackHelper  Priority = 300
	ConntrackConfirm Priority = math.MaxInt32
	Last             Priority = math.MaxInt32
)

// An Entry is one function at a point: either Func or Batch is set.
type Entry struct {
	Owner    string // the module's name
	Priority Priority
	// Ahead: it runs before those of the same priority that are there already.
	Ahead bool
	Func  Func
	Batch BatchFunc
	// KeepsHeaders is a promise: of packets whose network header is sound and says their
	// length it leaves none of which that is not true. Nobody looks again then.
	KeepsHeaders bool
}

// A Point is one place in the packet's way. The zero Point is empty and ready
// to use. RunBatch and Empty may be called concurrently with each other
// and with Add; a removed function may still be running until the grace period
// after its removal has passed.
type Point struct {
	// Oops, unless it is nil, is told of functions that panic: of each one's
	// first, second, fourth, eighth ... panic. The point goes on, see contain.go.
	// With nil a panic ends the program. It is set before the first packet.
	Oops func(owner string, reason any)

	mu    sync.Mutex // serialises Add and remove
	chain atomic.Pointer[[]*entry]
}

// An entry is an Entry in a chain.
type entry struct {
	Entry
	panics atomic.Uint64
}

// Add puts e into the chain and returns the function that takes it out again.
// It panics if e has no function, or two.
func (p *Point) Add(e Entry) (remove func()) {
	if (e.Func == nil) == (e.Batch == nil) {
		panic("hook: want either Func or Batch")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.load()
	at := len(old)
	for at > 0 && (old[at-1].Priority > e.Priority || e.Ahead && old[at-1].Priority == e.Priority) {
		at--
	}
	mine := &entry{Entry: e}
	next := slices.Insert(slices.Clone(old), at, mine)
	p.chain.Store(&next)
	return func() { p.remove(mine) }
}

func (p *Point) remove(e *entry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	next := slices.DeleteFunc(slices.Clone(p.load()), func(x *entry) bool { return x == e })
	if len(next) == 0 {
		p.chain.Store(nil)
		return
	}
	p.chain.Store(&next)
}

func (p *Point) load() []*entry {
	if c := p.chain.Load(); c != nil {
		return *c
	}
	return nil
}

// Empty reports whether no function is there.
func (p *Point) Empty() bool { return p.chain.Load() == nil }

// Entries returns the functions in the order in which they run.
func (p *Point) Entries() []Entry {
	var out []Entry
	for _, e := range p.load() {
		out = append(out, e.Entry)
	}
	return out
}

// RunBatch asks every function about the packets of q and leaves in q those
// that go on. It reports whether all functions keep headers.
func (p *Point) RunBatch(q *packet.Queue) (keptHeaders bool) {
	c := p.chain.Load()
	if c == nil {
		return true
	}
	keptHeaders = true
	for _, e := range *c {
		keptHeaders = keptHeaders && e.KeepsHeaders
		if e.Batch != nil {
			p.batch(e, q)
			continue
		}
		p.each(e, q)
	}
	return keptHeaders
}

func (p *Point) each(e *entry, q *packet.Queue) {
	var out packet.Queue
	for pkt := q.Pop(); pkt != nil; pkt = q.Pop() {
		switch p.one(e, pkt) {
		case Accept:
			out.Push(pkt)
		case Drop:
			pkt.Drop(stat.NetfilterDrop)
		case Stolen:
		}
	}
	*q = out
}
