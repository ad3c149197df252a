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
	until clock.Time
}

func keyOf(t *netfilter.Tuple) expectKey { return expectKey{t.Dst, t.DstPort, t.Proto} }

// Expect implements netfilter.Tracker: it fails with EMFILE at the limit of the
// kernel or of the helper, and with EBUSY for what is expected already by another.
func (t *tracker) Expect(x *netfilter.Expectation) error {
	s := &t.expects
	s.mu.Lock()
	defer s.mu.Unlock()
	t.sweep(t.clock.Now())
	k, mine := keyOf(&x.Tuple), 0
	for _, list := range s.bySrv {
		for _, o := range list {
			if o.Master == x.Master {
				mine++
			}
		}
	}
	for _, o := range s.bySrv[k] {
		if o.Tuple == x.Tuple && o.Mask == x.Mask {
			if o.Master != x.Master {
				return syscall.EBUSY
			}
			o.until = t.clock.Now().Add(x.Timeout)
			return nil
		}
	}
	if int64(s.n.Load()) >= t.expectMax.Load() || x.Master.Helper.Load() != nil && mine >= max(x.Master.Helper.Load().MaxExpected, 1) {
		return syscall.EMFILE
	}
	if s.bySrv == nil {
		s.bySrv = map[expectKey][]*expected{}
	}
	s.bySrv[k] = append(s.bySrv[k], &expected{x, t.clock.Now().Add(x.Timeout)})
	s.n.Add(1)
	t.stats.expectCreate.Inc()
	return nil
}

// Unexpect implements netfilter.Tracker.
func (t *tracker) Unexpect(x *netfilter.Expectation) {
	t.expects.mu.Lock()
	defer t.expects.mu.Unlock()
	t.forget(func(o *expected) bool { return o.Expectation == x })
}

// orphan forgets what a connection that is over has expected.
func (t *tracker) orphan(e *entry) {
	if t.expects.n.Load() == 0 {
		return
	}
	t.expects.mu.Lock()
	defer t.expects.mu.Unlock()
	t.forget(func(o *expected) bool { return o.Master == &e.Conn })
}

func (t *tracker) sweep(now clock.Time) {
	t.forget(func(o *expected) bool { return o.until <= now })
}

// forget removes expectations; the caller holds the lock.
func (t *tracker) forget(over func(*expected) bool) {
	s := &t.expects
	for k, list := range s.bySrv {
		var left []*expected
		for _, o := range list {
			if !over(o) {
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
	return true
}

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
