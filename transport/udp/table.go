package udp

import (
	"encoding/binary"
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
	// vrf is that of index, 0 for none; everywhere: sockets that are not bound hear of
	// all of them (net.ipv4.udp_l3mdev_accept).
	vrf        int32
	everywhere bool
	// own: it is from this host to a link-local address of its own, and counts as
	// come by any of its links.
	own bool
}

// by reports whether the datagram came by an interface; 0 is any, on both sides.
func (f *flow) by(index int32) bool {
	return index == 0 || index == f.index || index == f.vrf || f.own || f.index == 0
}

// find returns the socket that fits best. Of equal ones those with SO_REUSEPORT
// share by hash, so that a flow stays with one of them; of others the last one that
// was opened gets all, as in Linux.
func (t *table) find(f *flow) *socket {
	all := t.at(f.dstPort)
	first, score, sharers := -1, -1, uint32(0)
	for i, s := range all {
		n := s.score(f)
		switch {
		case n < 0 || n < score:
		case n > score || !s.reusePort || !all[first].reusePort:
			first, score, sharers = i, n, 1
		default:
			sharers++
		}
	}
	if first < 0 {
		return nil
	}
	skip := uint32(0)
	if sharers > 1 {
		skip = f.hash() % sharers
	}
	for _, s := range all[first:] {
		if s.score(f) != score {
			continue
		}
		if skip == 0 {
			return s
		}
		skip--
	}
	return all[first] // one was connected meanwhile
}

// hash returns a number that is the same for all datagrams of a flow.
func (f *flow) hash() uint32 {
	src, dst := f.src.As16(), f.dst.As16()
	h := uint64(f.srcPort)
	for _, w := range [...][]byte{src[:8], src[8:], dst[:8], dst[8:]} {
		h = (h ^ binary.BigEndian.Uint64(w)) * 0x9e3779b97f4a7c15
		h ^= h >> 32
	}
	return uint32(h * 0xff51afd7ed558ccd >> 32)
}

// Weights of what a socket says of the datagrams that it wants: each counts more
// than all below it together.
const (
	hasVersion = 1 << iota // IPv4 only, or IPv6 only
	hasDevice
	hasAddr
	hasPeer
)

// score returns how well s fits a datagram, -1 if not at all.
func (s *socket) score(f *flow) int {
	n := 0
	if a := s.addr; a.IsValid() {
		switch {
		case a.Is4() != f.dst.Is4():
			return -1
		case a.IsUnspecified():
			n += hasVersion
		case a != f.dst:
			return -1
		default:
			n += hasVersion + hasAddr
		}
	}
	switch {
	case s.index == 0 && f.vrf != 0 && !f.everywhere, !f.by(s.index):
		return -1
	case s.index != 0:
		n += hasDevice
	}
	if p := s.peer.Load(); p != nil {
		if p.addr.Addr() != f.src || p.addr.Port() != f.srcPort || !p.local(f.dst) || !f.by(p.index) {
			return -1
		}
		n += hasPeer
	}
	return n
}
