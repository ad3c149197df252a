package transport

import (
	"math"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/knitnet/knit/network"
)

// An Identity holds what the layers below know of a socket that is open, and may change.
// The zero Identity is that of the zero Socket; it is safe for concurrent use, and Load
// is for the packet path.
type Identity struct {
	mu  sync.Mutex // serialises changes
	now atomic.Pointer[network.Socket]
}

// Init sets what is known at first.
func (i *Identity) Init(s network.Socket) { i.now.Store(&s) }

// Share sets it to what other sockets have, too.
func (i *Identity) Share(s *network.Socket) { i.now.Store(s) }

// Load returns what is known now.
func (i *Identity) Load() *network.Socket {
	if s := i.now.Load(); s != nil {
		return s
	}
	i.now.CompareAndSwap(nil, new(network.Socket))
	return i.now.Load()
}

// Edit replaces it by a changed copy and returns that.
func (i *Identity) Edit(f func(s *network.Socket)) *network.Socket {
	i.mu.Lock()
	defer i.mu.Unlock()
	s := *i.Load()
	f(&s)
	i.now.Store(&s)
	return &s
}

// Set changes the option Mark or Transparent; ENOPROTOOPT for others, EINVAL for a mark
// that is none.
func (i *Identity) Set(o Option, v int64) error {
	switch {
	case o == Transparent:
		i.Edit(func(s *network.Socket) { s.Transparent = v != 0 })
	case o != Mark:
		return syscall.ENOPROTOOPT
	case v < 0 || v > math.MaxUint32:
		return syscall.EINVAL
	default:
		i.Edit(func(s *network.Socket) { s.Mark = uint32(v) })
	}
	return nil
}

// Get returns the option Mark or Transparent; ENOPROTOOPT for others.
func (i *Identity) Get(o Option) (int64, error) {
	switch s := i.Load(); {
	case o == Mark:
		return int64(s.Mark), nil
	case o != Transparent:
		return 0, syscall.ENOPROTOOPT
	case s.Transparent:
		return 1, nil
	}
	return 0, nil
}
