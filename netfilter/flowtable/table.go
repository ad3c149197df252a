package flowtable

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/hook"
	"github.com/knitnet/knit/netfilter"
)

// A table is a flowtable.
type table struct {
	flows   *flows
	cfg     netfilter.FlowtableConfig
	release func()                  // of the tracker
	devices atomic.Pointer[[]int32] // by whose interface index packets are looked at
	unhook  func()

	index index

	mu     sync.Mutex // serialises changes of the index
	closed bool
	gc     clock.Timer
	armed  bool
	part   int // of the index, which is visited next; the timer function's
}

func newTable(f *flows, cfg netfilter.FlowtableConfig) *table {
	t := &table{flows: f, cfg: cfg}
	t.index.init()
	t.gc.Init(f.net.Clock, t.collect)
	t.SetDevices(cfg.Devices)
	t.release = f.track.Hold(cfg.Versions)
	t.unhook = f.net.Link.Ingress.Add(hook.Entry{Owner: moduleName, Priority: cfg.Priority, Batch: t.input})
	return t
}

// SetDevices implements netfilter.Flowtable.
func (t *table) SetDevices(names []string) {
	var list []int32
	for _, name := range names {
		if dev, err := t.flows.net.Link.Lookup(name); err == nil {
			list = append(list, dev.Index())
		}
	}
	t.devices.Store(&list)
}

func (t *table) watches(in int32) bool { return slices.Contains(*t.devices.Load(), in) }

// Count implements netfilter.Flowtable.
func (t *table) Count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.index.n / 2
}

// Close implements netfilter.Flowtable. Batches that are inside find no flow any more.
func (t *table) Close() {
	t.unhook()
	t.mu.Lock()
	t.closed = true
	t.index.each(0, 1, t.end)
	t.mu.Unlock()
	t.gc.StopWait()
	t.flows.remove(t)
	t.release()
}

// insert adds a flow, unless a half of it looks like one that is there, the tracker
// keeps its connection, or the table is closed.
func (t *table) insert(f *flow) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for d := range f.halves {
		if t.index.find(&f.halves[d].key) != nil {
			return
		}
	}
	if t.closed || !t.flows.track.Offload(f.conn) {
		return
	}
	for d := range f.halves {
		t.index.insert(&f.halves[d])
	}
	if !t.armed {
		t.armed = true
		t.gc.ResetAfter(collectEvery)
	}
}

// end takes the flow of a half out and gives its connection back. t.mu is held.
func (t *table) end(h *half) {
	f := h.flow
	if f.ended {
		return
	}
	f.ended = true
	for d := range f.halves {
		t.index.remove(&f.halves[d])
	}
	t.flows.track.Reclaim(f.conn, clock.Time(f.used.Load()), f.passed.Load())
}

// tearDown ends a flow.
func (t *table) tearDown(h *half) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.end(h)
}

// Every collectEvery a part of the index is searched for flows that are over.
const (
	collectEvery = time.Second
	collectParts = 4
)

func (t *table) collect(now clock.Time) {
	var over []*half
	t.index.each(t.part, collectParts, func(h *half) {
		if h.dir == netfilter.Original && h.flow.over(t.flows, now) {
			over = append(over, h)
		}
	})
	t.part = (t.part + 1) % collectParts
	for _, h := range over {
		t.tearDown(h)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.armed = t.index.n > 0 && !t.closed; t.armed {
		t.gc.ResetAfter(collectEvery)
	}
}

// over reports whether no packet has come for long, or the connection has ended.
func (f *flow) over(all *flows, now clock.Time) bool {
	limit := time.Duration(all.timeout(uint8(f.halves[0].key.tail))) * time.Second
	return now.Sub(clock.Time(f.used.Load())) > limit || f.conn.Is(netfilter.Dying)
}
