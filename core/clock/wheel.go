package clock

import (
	"container/heap"
	"iter"
	"math/bits"
	"time"
)

const (
	tick     = Time(time.Millisecond) // the width of the narrowest slot
	slotBits = 6
	slots    = 1 << slotBits
	// levels is enough for every Time: 2^63 ns are less than 2^(6*8) ms.
	levels = 8
	// inDue is added to the index of a timer in wheel.due to give its place;
	// smaller places are slots.
	inDue = levels * slots
)

// ticks returns the number of the tick in which t is due: t in milliseconds,
// rounded up so that all timers of a tick are due at its end.
func ticks(t Time) int64 {
	n := int64(t / tick)
	if t%tick > 0 {
		n++
	}
	return n
}

// A wheel is a hierarchical timing wheel (Varghese and Lauck, scheme 7). A
// tick number is read in base 64; an entry lies on the level of the highest
// digit in which its tick differs from the wheel's position, in the slot of
// that digit. Therefore the lowest used slot of the lowest used level is the
// earliest, found with two bit scans, and the position jumps there without
// visiting empty slots. Arriving at a slot of a higher level spreads its
// timers over the levels below.
//
// Timers whose tick has come wait in due, a heap in the exact order of their
// entries. The owner locks.
type wheel struct {
	pos  int64 // in ticks; entries in slots are later
	n    int   // timers in slots and due
	used [levels]uint64
	slot [levels][slots]*Timer // doubly linked lists
	due  dueHeap
}

// insert puts in a timer whose entry is set.
func (w *wheel) insert(t *Timer) {
	w.n++
	at := ticks(t.entryTime())
	if at <= w.pos {
		heap.Push(&w.due, t)
		return
	}
	level := (bits.Len64(uint64(at^w.pos)) - 1) / slotBits
	i := int(at>>(level*slotBits)) % slots
	head := w.slot[level][i]
	t.place, t.prev, t.next = level*slots+i, nil, head
	if head != nil {
		head.prev = t
	}
	w.slot[level][i] = t
	w.used[level] |= 1 << i
}

// remove takes t out.
func (w *wheel) remove(t *Timer) {
	w.n--
	if t.place >= inDue {
		heap.Remove(&w.due, t.place-inDue)
		return
	}
	if t.next != nil {
		t.next.prev = t.prev
	}
	if t.prev != nil {
		t.prev.next = t.next
	} else {
		level, i := t.place/slots, t.place%slots
		if w.slot[level][i] = t.next; t.next == nil {
			w.used[level] &^= 1 << i
		}
	}
	t.next, t.prev = nil, nil
}

// first returns the earliest used slot and the tick at which it starts.
func (w *wheel) first() (level, i int, start int64, ok bool) {
	for level, used := range w.used {
		if used != 0 {
			i, shift := bits.TrailingZeros64(used), level*slotBits
			start := w.pos>>(shift+slotBits)<<(shift+slotBits) | int64(i)<<shift
			return level, i, start, true
		}
	}
	return 0, 0, 0, false
}

// advance moves the position to tick to and puts all timers of the slots on
// the way into due. It never moves back.
func (w *wheel) advance(to int64) {
	for {
		level, i, start, ok := w.first()
		if !ok || start > to {
			break
		}
		w.pos = start
		t := w.slot[level][i]
		w.slot[level][i] = nil
		w.used[level] &^= 1 << i
		for t != nil {
			next := t.next
			t.next, t.prev = nil, nil
			w.n--
			w.insert(t)
			t = next
		}
	}
	w.pos = max(w.pos, to)
}

// peek returns the timer with the earliest entry if that is not after limit.
func (w *wheel) peek(limit Time) *Timer {
	for len(w.due) == 0 {
		_, _, start, ok := w.first()
		if !ok || start > ticks(limit) {
			return nil
		}
		w.advance(start)
	}
	if t := w.due[0]; t.entryTime() <= limit {
		return t
	}
	return nil
}

// wake returns when to look at the wheel again: at the end of the earliest
// timer's tick, or when a slot of a higher level has to be spread.
func (w *wheel) wake() Time {
	if len(w.due) > 0 {
		return Time(ticks(w.due[0].entryTime())) * tick
	}
	if _, _, start, ok := w.first(); ok {
		return Time(start) * tick
	}
	return Never
}

// all yields all timers in no order. The wheel must not change meanwhile.
func (w *wheel) all() iter.Seq[*Timer] {
	return func(yield func(*Timer) bool) {
		for _, t := range w.due {
			if !yield(t) {
				return
			}
		}
		for level := range w.slot {
			for _, t := range w.slot[level] {
				for ; t != nil; t = t.next {
					if !yield(t) {
						return
					}
				}
			}
		}
	}
}

// entryTime returns the time of t's entry in the wheel.
func (t *Timer) entryTime() Time { return Time(t.entry.Load() - 1) }

// A dueHeap is a container/heap of timers: earliest entry first, and among
// equal ones that which was armed first.
type dueHeap []*Timer

func (h dueHeap) Len() int { return len(h) }

func (h dueHeap) Less(i, j int) bool {
	a, b := h[i], h[j]
	if ta, tb := a.entryTime(), b.entryTime(); ta != tb {
		return ta < tb
	}
	return a.order < b.order
}

func (h dueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = inDue+i, inDue+j
}

func (h *dueHeap) Push(x any) {
	t := x.(*Timer)
	t.place = inDue + len(*h)
	*h = append(*h, t)
}

func (h *dueHeap) Pop() any {
	last := len(*h) - 1
	t := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return t
}
