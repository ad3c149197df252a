package frag

import (
	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
)

// arm sets the timer for the oldest datagram. It stays armed when that is
// complete, and then finds nothing to do. t.mu is held.
func (t *Table) arm() {
	if t.oldest != nil && !t.closed {
		t.timer.Reset(t.oldest.arrived.Add(t.params.Timeout))
	}
}

// expire is the table's timer.
func (t *Table) expire(now clock.Time) {
	if t.walks != nil {
		defer t.walks.Enter().Exit()
	}
	var firsts packet.Queue
	t.mu.Lock()
	for t.oldest != nil && t.oldest.arrived.Add(t.params.Timeout) <= now {
		t.timeOut(t.oldest, &firsts)
	}
	t.arm()
	t.mu.Unlock()
	for pkt := firsts.Pop(); pkt != nil; pkt = firsts.Pop() {
		t.expired(pkt)
	}
}

// timeOut gives a datagram up and saves its first fragment for the error message.
func (t *Table) timeOut(d *datagram, firsts *packet.Queue) {
	if !d.condemned {
		t.Stats.ReasmTimeout.Inc()
	}
	if f := d.frags.Front(); f != nil && f.Seq == 0 && t.expired != nil {
		firsts.Push(d.frags.Pop())
	}
	t.giveUp(d, stat.FragReasmTimeout)
}

// shrink gives up datagrams when more than High bytes wait, until Low are left:
// first the oldest of sources that hold more than their share, then simply the
// oldest. t.mu is held.
func (t *Table) shrink() {
	if t.bytes <= t.params.High {
		return
	}
	share := t.params.Low / len(t.sources)
	for d := t.oldest; d != nil && t.bytes > t.params.Low; {
		next := d.next
		if d.src.bytes > share {
			t.giveUp(d, stat.NoMem)
		}
		d = next
	}
	for t.oldest != nil && t.bytes > t.params.Low {
		t.giveUp(t.oldest, stat.NoMem)
	}
}

// spares keeps a few unused structures, so that steady traffic allocates none.
type spares[T any] struct{ list []*T }

const maxSpares = 64

func (s *spares[T]) get() *T {
	n := len(s.list)
	if n == 0 {
		return new(T)
	}
	x := s.list[n-1]
	s.list = s.list[:n-1]
	return x
}

func (s *spares[T]) put(x *T) {
	var zero T
	*x = zero
	if len(s.list) < maxSpares {
		s.list = append(s.list, x)
	}
}
