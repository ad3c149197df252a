package neigh

import (
	"errors"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/rcu"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/link"
)

// Errors of the table. They are wrapped with what they are about.
var (
	// ErrFull says that no entry can be made and none be given up (ENOBUFS).
	ErrFull = fmt.Errorf("neighbour table overflow: %w", syscall.ENOBUFS)
	// ErrClosed says that the table's protocol was unloaded.
	ErrClosed = errors.New("neighbour table is closed")
)

// buckets is the number of hash chains, a power of two: four entries in each
// when the table is full.
const buckets = 256

// A Table holds the neighbours of one IP version on all devices. Make it with
// New. Its methods are safe for concurrent use.
type Table struct {
	cfg      Config
	thresh   thresholds
	seed     maphash.Seed
	params   atomic.Pointer[map[int32]Params]
	watchers rcu.Value[[]*watcher]

	// bucket is read for every packet that has no Path, without the lock.
	bucket [buckets]atomic.Pointer[Entry]

	mu      sync.Mutex // serialises changes; may be held when an Entry.mu is taken
	n       int        // entries
	flushed clock.Time // of the last forced collection
	closed  bool
	gcTimer clock.Timer

	random struct {
		sync.Mutex
		*rand.Rand
	}
}

// New returns an empty table.
func New(cfg Config) *Table {
	cfg.setDefaults()
	t := &Table{cfg: cfg, seed: maphash.MakeSeed()}
	t.thresh.init(&t.cfg)
	t.params.Store(&map[int32]Params{})
	seed := cfg.Seed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.random.Rand = rand.New(rand.NewPCG(seed, seed))
	t.gcTimer.Init(cfg.Clock, t.collectStale)
	return t
}

// reachable draws a reachable time (RFC 4861 §6.3.2): a uniformly distributed
// random value between 0.5 and 1.5 times the base.
func (t *Table) reachable(dev *link.Device) time.Duration {
	base := t.Params(dev).BaseReachable
	t.random.Lock()
	defer t.random.Unlock()
	return base/2 + time.Duration(t.random.Int64N(int64(base)+1))
}

func (t *Table) chain(dev *link.Device, ip netip.Addr) *atomic.Pointer[Entry] {
	b := ip.As16()
	h := maphash.Bytes(t.seed, b[:]) + uint64(dev.Index())*0x9e3779b97f4a7c15
	return &t.bucket[h>>56&(buckets-1)]
}

// find returns the entry of ip on dev, or nil.
func (t *Table) find(dev *link.Device, ip netip.Addr) *Entry {
	for e := t.chain(dev, ip).Load(); e != nil; e = e.next.Load() {
		if e.ip == ip && e.dev == dev {
			return e
		}
	}
	return nil
}

// Lookup returns the entry of ip, which has no zone, on dev's link, and makes one
// if there is none: ErrFull when there are too many, ENODEV when dev is gone,
// ErrClosed. Making one asks nobody; sending does. It is for the packet path.
func (t *Table) Lookup(dev *link.Device, ip netip.Addr) (*Entry, error) {
	if e := t.find(dev, ip); e != nil {
		return e, nil
	}
	return t.enter(dev, ip, nil)
}

// enter returns the entry of ip on dev. If there is none it puts old into the
// table, or a new one if old is nil.
func (t *Table) enter(dev *link.Device, ip netip.Addr, old *Entry) (*Entry, error) {
	var gone []removed
	e, err := t.insert(dev, ip, old, &gone)
	t.bury(gone)
	if err != nil {
		return nil, fmt.Errorf("neighbour %v dev %s: %w", ip, dev.Name(), err)
	}
	return e, nil
}

func (t *Table) insert(dev *link.Device, ip netip.Addr, old *Entry, gone *[]removed) (*Entry, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.find(dev, ip); e != nil {
		return e, nil
	}
	switch {
	case t.closed:
		return nil, ErrClosed
	case dev.Layer().Device(dev.Index()) != dev:
		return nil, syscall.ENODEV
	case !t.makeRoom(gone):
		return nil, ErrFull
	}
	e := old
	if e == nil {
		e = &Entry{table: t, dev: dev, ip: ip}
		e.timer.Init(t.cfg.Clock, e.fire)
	}
	e.start(t.cfg.Clock.Now())
	t.link(e)
	return e, nil
}

// start brings an entry, new or removed before, into its first state.
func (e *Entry) start(now clock.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	w := uint64(None) << stateShift
	if e.dev.Flags()&link.NoARP != 0 {
		w = uint64(NoARP)<<stateShift | pack(e.dev.MAC())
	}
	e.word.Store(w)
	e.updated = now
}

// link puts e in front of its chain. t.mu is held.
func (t *Table) link(e *Entry) {
	head := t.chain(e.dev, e.ip)
	e.next.Store(head.Load())
	head.Store(e)
	t.n++
	if int64(t.n) > t.thresh.keep.Load() && !t.gcTimer.Active() {
		t.gcTimer.ResetAfter(gcInterval)
	}
}

// A removed entry is one that is out of its chain, and what it was until then.
type removed struct {
	*Entry
	last Info
}

// remove takes e out of its chain and appends it to gone, for bury. Walkers that
// stand on e go on from it. t.mu is held.
func (t *Table) remove(e *Entry, gone *[]removed) {
	at := t.chain(e.dev, e.ip)
	for at.Load() != e {
		at = &at.Load().next
	}
	at.Store(e.next.Load())
	t.n--
	e.mu.Lock()
	*gone = append(*gone, removed{e, e.info()})
	e.word.Store(deadBit | e.word.Load()&^(0xff<<stateShift))
	e.timer.Stop()
	e.mu.Unlock()
}

// bury ends what waited in removed entries and tells the watchers. No lock is
// held.
func (t *Table) bury(gone []removed) {
	for _, e := range gone {
		var q packet.Queue
		e.mu.Lock()
		q.Append(&e.waiting)
		e.bytes, e.probes = 0, 0
		e.mu.Unlock()
		q.Drop(stat.NeighDead)
		if e.last.State != None { // nobody has heard of it otherwise
			t.notify(Event{e.last, true})
		}
	}
}

// each calls f for every entry. t.mu is held; f may remove the entry it gets.
func (t *Table) each(f func(*Entry)) {
	for i := range t.bucket {
		for e := t.bucket[i].Load(); e != nil; {
			next := e.next.Load()
			f(e)
			e = next
		}
	}
}

// Close removes all entries and stops all timers; packets sent by entries that
// are still held are dropped from then on. It must not be called from a timer's
// function.
func (t *Table) Close() {
	var gone []removed
	t.mu.Lock()
	t.closed = true
	t.each(func(e *Entry) { t.remove(e, &gone) })
	t.mu.Unlock()
	t.bury(gone)
	t.gcTimer.StopWait()
	for _, e := range gone {
		e.timer.StopWait()
	}
}
