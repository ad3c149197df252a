package transport

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
)

// A Binding is a claim on a local port.
type Binding struct {
	// Addr is the local address; the zero Addr means all of both versions,
	// 0.0.0.0 all of IPv4, :: all of IPv6.
	Addr netip.Addr
	Port uint16
	// Index is the interface it is bound to; 0: any.
	Index int32
	// Domain is the VRF it is in, 0 for none: bindings of two domains share ports.
	Domain int32
	// ReuseAddr lets bindings share when all of them set it and none listens;
	// ReusePort when all of them set it.
	ReuseAddr, ReusePort bool
	// Listening: an exclusive claim among ReuseAddr ones (a TCP listener).
	Listening bool
}

// conflicts reports whether b and x cannot be there at the same time.
func (b *Binding) conflicts(x *Binding) bool {
	if b.Domain != x.Domain || !overlap(b.Addr, x.Addr) || b.Index != 0 && x.Index != 0 && b.Index != x.Index {
		return false
	}
	if b.ReusePort && x.ReusePort {
		return false
	}
	return !(b.ReuseAddr && x.ReuseAddr && !b.Listening && !x.Listening)
}

// overlap reports whether a packet could be for both addresses.
func overlap(a, b netip.Addr) bool {
	switch {
	case !a.IsValid() || !b.IsValid():
		return true
	case a.Is4() != b.Is4():
		return false
	}
	return a.IsUnspecified() || b.IsUnspecified() || a == b
}

// A PortRange is the range of ephemeral ports (net.ipv4.ip_local_port_range), one
// for all protocols. The zero PortRange is Linux's, 32768 to 60999. It is safe for
// concurrent use.
type PortRange struct{ v atomic.Uint32 } // lo<<16 | hi, inclusive; 0: the default

// Get returns the first and the last port.
func (r *PortRange) Get() (lo, hi uint16) {
	v := r.v.Load()
	if v == 0 {
		return 32768, 60999
	}
	return uint16(v >> 16), uint16(v)
}

// Set changes the range; EINVAL unless 1 <= lo <= hi.
func (r *PortRange) Set(lo, hi uint16) error {
	if lo < 1 || lo > hi {
		return syscall.EINVAL
	}
	r.v.Store(uint32(lo)<<16 | uint32(hi))
	return nil
}

// Ports is the port space of one protocol. NewPorts makes one; it is safe for
// concurrent use.
type Ports struct {
	ephemeral *PortRange

	mu    sync.Mutex
	bound map[uint16][]*Binding
}

// NewPorts returns an empty port space with a range of ephemeral ports.
func NewPorts(ephemeral *PortRange) *Ports {
	return &Ports{ephemeral: ephemeral, bound: map[uint16][]*Binding{}}
}

// Range returns the ephemeral ports, inclusive.
func (p *Ports) Range() (lo, hi uint16) { return p.ephemeral.Get() }

// Bind claims b until release is called. Port 0 means a free ephemeral one,
// chosen at random (RFC 6056 §3.3.1), which is returned in the binding.
// EADDRINUSE when it conflicts.
func (p *Ports) Bind(b Binding) (bound Binding, release func(), err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if b.Port == 0 {
		b.Port = p.free(&b)
	}
	if b.Port == 0 || p.taken(&b) {
		return b, nil, syscall.EADDRINUSE
	}
	mine := &b
	p.bound[b.Port] = append(p.bound[b.Port], mine)
	return b, sync.OnceFunc(func() { p.release(mine) }), nil
}

func (p *Ports) release(b *Binding) {
	p.mu.Lock()
	defer p.mu.Unlock()
	rest := slices.DeleteFunc(p.bound[b.Port], func(x *Binding) bool { return x == b })
	if len(rest) == 0 {
		delete(p.bound, b.Port)
		return
	}
	p.bound[b.Port] = rest
}

// taken reports whether b conflicts with a binding. p.mu is held.
func (p *Ports) taken(b *Binding) bool {
	return slices.ContainsFunc(p.bound[b.Port], b.conflicts)
}

// free returns a random ephemeral port that nobody holds, or 0. p.mu is held.
func (p *Ports) free(b *Binding) uint16 {
	lo, hi := p.Range()
	n := int(hi) - int(lo) + 1
	start := rand.IntN(n)
	for i := range n {
		port := lo + uint16((start+i)%n)
		if len(p.bound[port]) == 0 {
			return port
		}
	}
	return 0
}

// Held reports whether any binding claims a port.
func (p *Ports) Held(port uint16) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.bound[port]) > 0
}
