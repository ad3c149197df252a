package packet

import (
	"fmt"
	"sync"
)

// maxSlots is how many modules can keep something in packets at a time.
const maxSlots = 4

// Slots is the table of who may keep something in packets. The zero Slots is
// ready to use and safe for concurrent use.
type Slots struct {
	mu    sync.Mutex
	owner [maxSlots]string
}

// A Slot is one module's private place in every packet: only who holds the Slot
// can read it.
type Slot[T any] struct{ i int }

// NewSlot takes a slot for owner until undo is called.
func NewSlot[T any](s *Slots, owner string) (slot Slot[T], undo func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.owner {
		if s.owner[i] != "" {
			continue
		}
		s.owner[i] = owner
		return Slot[T]{i}, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.owner[i] = ""
		}, nil
	}
	return slot, nil, fmt.Errorf("packet slot for %s: all %d are taken by %v", owner, maxSlots, s.owner)
}

// Get returns what the slot's owner keeps in p.
func (s Slot[T]) Get(p *Packet) (v T, ok bool) {
	v, ok = p.ext[s.i].(T)
	return v, ok
}

// Set keeps v in p until p ends. T should be a pointer: other types allocate.
func (s Slot[T]) Set(p *Packet, v T) {
	p.ext[s.i] = v
	p.slots |= 1 << s.i
}
