package pair

import (
	"slices"
	"sync"

	"github.com/knitnet/knit/link"
)

// A Set remembers the pairs of a module, so that it can take them away when it is
// unloaded. The zero Set is empty; it is safe for concurrent use.
type Set struct {
	mu    sync.Mutex
	pairs [][2]*link.Device
}

// Add remembers a pair, and forgets those that are gone.
func (s *Set) Add(x, y *link.Device) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pairs = slices.DeleteFunc(s.pairs, func(p [2]*link.Device) bool { return gone(p[0]) && gone(p[1]) })
	s.pairs = append(s.pairs, [2]*link.Device{x, y})
}

func gone(d *link.Device) bool { return d.Layer().Device(d.Index()) != d }

// DetachAll takes away all devices that are left.
func (s *Set) DetachAll() {
	s.mu.Lock()
	pairs := s.pairs
	s.pairs = nil
	s.mu.Unlock()
	for _, p := range pairs {
		p[0].Detach()
		p[1].Detach()
	}
}
