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
	taken uint32 // how often a slot was taken
}

// A Slot is one module's private place in every packet: only who holds the Slot
// can read it. The zero Slot is nobody's.
type Slot[T any] struct {
	i int
	// key tells this owner from those who had the place before it: a packet that
	// waits somewhere may outlive the module that kept something in it.
	key uint32
}

// NewSlot takes a slot for owner until undo is called. A second call of undo does
// nothing.
func NewSlot[T any](s *Slots, owner string) (slot Slot[T], undo func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.owner {
		if s.owner[i] != "" {
			continue
		}
		s.owner[i] = owner
		s.taken++
		return Slot[T]{i, s.taken}, sync.OnceFunc(func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.owner[i] = ""
		}), nil
	}
	return slot, nil, fmt.Errorf("packet slot for %s: all %d are taken by %v", owner, maxSlots, s.owner)
}

// Get returns what the slot's owner keeps in p.
func (s Slot[T]) Get(p *Packet) (v T, ok bool) {
	if p.keys[s.i] != s.key {
		return v, false
	}
	v, ok = p.ext[s.i].(T)
	return v, ok
}

// Set keeps v in p until p ends. T should be a pointer: other types allocate.
func (s Slot[T]) Set(p *Packet, v T) {
	p.ext[s.i], p.keys[s.i] = v, s.key
	p.slots |= 1 << s.i
}

// Noted reports whether anybody keeps something in p.
func (p *Packet) Noted() bool { return p.slots != 0 }
