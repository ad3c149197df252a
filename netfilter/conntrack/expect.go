package conntrack

import (
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/netfilter"
)

// expectations are the connections that helpers foresee. They are few, and looked
// at only when a connection begins.
type expectations struct {
	mu    sync.Mutex
	n     atomic.Int32
	last  uint64 // of expected.serial
	bySrv map[expectKey][]*expected
}

// An expectKey is what an expectation always names: where the connection goes.
type expectKey struct {
	dst   [16]byte
	port  uint16
	proto uint8
}

type expected struct {
	*netfilter.Expectation
	until  clock.Time
	serial uint64 // the oldest has the lowest
}

func keyOf(t *netfilter.Tuple) expectKey { return expectKey{t.Dst, t.DstPort, t.Proto} }

// Expect implements netfilter.Tracker.
func (t *tracker) Expect(x *netfilter.Expectation) error {
	old, err := t.expect(x)
	for _, o := range old {
		t.tellExpect(netfilter.EventDestroy, o.Expectation)
	}
	if err == nil {
		t.tellExpect(netfilter.EventNew, x)
	}
	return err
}

// expect adds x and returns what has gone to make room, or is over.
func (t *tracker) expect(x *netfilter.Expectation) (old []*expected, err error) {
	s := &t.expects
	s.mu.Lock()
	defer s.mu.Unlock()
	now := t.clock.Now()
	old = t.sweep(now)
	k := keyOf(&x.Tuple)
	for _, o := range s.bySrv[k] {
		if o.Tuple == x.Tuple && o.Mask == x.Mask {
			if o.Master != x.Master {
				return old, syscall.EBUSY
			}
			old = append(old, t.forget(func(y *expected) bool { return y == o })...) // said again
			break
		}
	}
	if x.Master.Is(netfilter.Dying) {
		return old, syscall.ESHUTDOWN // nobody would take it back
	}
	old = append(old, t.evict(x.Master)...)
	if int64(s.n.Load()) >= t.expectMax.Load() {
		return old, syscall.EMFILE
	}
	if s.bySrv == nil {
		s.bySrv = map[expectKey][]*expected{}
	}
	s.last++
	s.bySrv[k] = append(s.bySrv[k], &expected{x, now.Add(x.Timeout), s.last})
	s.n.Add(1)
	t.stats.expectCreate.Inc()
	return old, nil
}

// evict makes room for another expectation of a connection: who announces more
// than its helper allows means the newest.
func (t *tracker) evict(master *netfilter.Conn) []*expected {
	h := master.Helper.Load()
	if h == nil {
		return nil
	}
	var oldest *expected
	n := 0
	for _, list := range t.expects.bySrv {
		for _, o := range list {
			if o.Master != master {
				continue
			}
			if n++; oldest == nil || o.serial < oldest.serial {
				oldest = o
			}
		}
	}
	if n < max(h.MaxExpected, 1) {
		return nil
	}
	return t.forget(func(o *expected) bool { return o == oldest })
}

// Unexpect implements netfilter.Tracker.
func (t *tracker) Unexpect(x *netfilter.Expectation) {
	t.drop(func(o *expected) bool { return o.Expectation == x })
}

// drop forgets expectations and tells of it.
func (t *tracker) drop(over func(*expected) bool) {
	t.expects.mu.Lock()
	old := t.forget(over)
	t.expects.mu.Unlock()
	for _, o := range old {
		t.tellExpect(netfilter.EventDestroy, o.Expectation)
	}
}

// orphan forgets what a connection that is over has expected.
func (t *tracker) orphan(e *entry) {
	if t.expects.n.Load() == 0 {
		return
	}
	t.drop(func(o *expected) bool { return o.Master == &e.Conn })
}

func (t *tracker) sweep(now clock.Time) []*expected {
	return t.forget(func(o *expected) bool { return o.until <= now })
}

// forget removes expectations and returns them; the caller holds the lock.
func (t *tracker) forget(over func(*expected) bool) (gone []*expected) {
	s := &t.expects
	for k, list := range s.bySrv {
		var left []*expected
		for _, o := range list {
			if over(o) {
				gone = append(gone, o)
			} else {
				left = append(left, o)
			}
		}
		s.n.Add(int32(len(left) - len(list)))
		t.stats.expectDelete.Add(uint64(len(list) - len(left)))
		if len(left) == 0 {
			delete(s.bySrv, k)
		} else {
			s.bySrv[k] = left
		}
	}
	return gone
}

// foreseen makes e the connection that somebody expects, and reports whether
// anybody does.
func (t *tracker) foreseen(e *entry) bool {
	s := &t.expects
	if s.n.Load() == 0 {
		return false
	}
	x := t.claim(e)
	if x == nil {
		return false
	}
	t.stats.expectNew.Inc()
	e.set(netfilter.Expected)
	e.Master = x.Master
	e.Mark.Store(x.Master.Mark.Load())
	if x.Helper != nil {
		e.Helper.Store(x.Helper)
	}
	if x.Created != nil {
		x.Created(&e.Conn, x)
	}
	if !x.Permanent {
		t.tellExpect(netfilter.EventDestroy, x)
	}
	return true
}

// claim returns the expectation that e fulfils, and takes it out.
func (t *tracker) claim(e *entry) *netfilter.Expectation {
	s := &t.expects
	s.mu.Lock()
	defer s.mu.Unlock()
	now := t.clock.Now()
	tuple := &e.Tuples[netfilter.Original]
	for _, o := range s.bySrv[keyOf(tuple)] {
		if o.until <= now || o.Master.Is(netfilter.Dying) || !matches(tuple, o.Expectation) {
			continue
		}
		if !o.Permanent {
			t.forget(func(y *expected) bool { return y == o })
		}
		return o.Expectation
	}
	return nil
}

func matches(t *netfilter.Tuple, x *netfilter.Expectation) bool {
	for i := range t.Src {
		if (t.Src[i]^x.Tuple.Src[i])&x.Mask.Src[i] != 0 {
			return false
		}
	}
	return (t.SrcPort^x.Tuple.SrcPort)&x.Mask.SrcPort == 0 && t.Zone == x.Tuple.Zone && t.Version == x.Tuple.Version
}

// WatchExpectations implements netfilter.ConnTable.
func (t *tracker) WatchExpectations(f func(netfilter.ExpectEvent)) (undo func()) {
	return t.expectWatchers.add(f)
}

func (t *tracker) tellExpect(kind netfilter.EventKind, x *netfilter.Expectation) {
	t.expectWatchers.tell(netfilter.ExpectEvent{Kind: kind, Expect: x})
}
