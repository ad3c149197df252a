package udp

import (
	"net/netip"
	"slices"
	"sync"
)

// table finds sockets by local port. Packets look, sockets come and go rarely.
type table struct {
	mu sync.RWMutex
	m  map[uint16][]*socket // slices are replaced, never changed
}

func (t *table) init() { t.m = map[uint16][]*socket{} }

func (t *table) at(port uint16) []*socket {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.m[port]
}

func (t *table) add(s *socket) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.m[s.port] = append(slices.Clip(t.m[s.port]), s)
}

func (t *table) remove(s *socket) {
	t.mu.Lock()
	defer t.mu.Unlock()
	rest := slices.DeleteFunc(slices.Clone(t.m[s.port]), func(x *socket) bool { return x == s })
	if len(rest) == 0 {
		delete(t.m, s.port)
		return
	}
	t.m[s.port] = rest
}

func (t *table) all() (out []*socket) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, ss := range t.m {
		out = append(out, ss...)
	}
	return out
}

// A flow is what a received datagram is matched by.
type flow struct {
	src, dst         netip.Addr
	srcPort, dstPort uint16
	index            int32
}

// find returns the socket that fits best: connected to the sender rather than
// not, bound to the address rather than to all. Equal ones share by hash.
func (t *table) find(f *flow) *socket {
	var best *socket
	score, equal := -1, 0
	for _, s := range t.at(f.dstPort) {
		switch n := s.score(f); {
		case n > score:
			best, score, equal = s, n, 1
		case n == score && n >= 0:
			if equal++; f.hash()%uint32(equal) == 0 {
				best = s
			}
		}
	}
	return best
}

func (f *flow) hash() uint32 {
	b := f.src.As16()
	h := uint32(f.srcPort)
	for _, x := range b {
		h = h*31 + uint32(x)
	}
	return h * 0x9e3779b1 >> 7
}

// score returns how well s fits a datagram, -1 if not at all.
func (s *socket) score(f *flow) int {
	n := 0
	if a := s.addr; a.IsValid() {
		switch {
		case a.Is4() != f.dst.Is4():
			return -1
		case a.IsUnspecified():
		case a != f.dst:
			return -1
		default:
			n += 2
		}
	}
	if s.index != 0 {
		if s.index != f.index {
			return -1
		}
		n++
	}
	if p := s.peer.Load(); p != nil {
		if p.addr.Addr() != f.src || p.addr.Port() != f.srcPort || !p.local(f.dst) {
			return -1
		}
		n += 4
	}
	return n
}
