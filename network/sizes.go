package network

import (
	"hash/maphash"
	"net/netip"
	"sync/atomic"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/network/route"
)

// sizeSlots is the number of slots of a sizeTable, a power of two.
const sizeSlots = 2048

// A sizeTable remembers how large packets were that went to a destination and had
// to arrive whole, so that a message which says that one was too big can be held
// against it. It forgets: destinations whose slots collide push each other out, and
// the worst of that is a message that has to be sent again. A slot is the high bits
// of the destination's hash and the size in the low 16.
type sizeTable struct {
	seed maphash.Seed
	slot [sizeSlots]atomic.Uint64
}

const sizeMask = 1<<16 - 1

func (t *sizeTable) hash(dst netip.Addr) uint64 {
	b := dst.As16()
	return maphash.Bytes(t.seed, b[:])
}

func (t *sizeTable) of(hash uint64) *atomic.Uint64 { return &t.slot[hash&(sizeSlots-1)] }

// note remembers a packet of n bytes to the destination with a hash.
func (t *sizeTable) note(hash uint64, n int) {
	slot := t.of(hash)
	if v := slot.Load(); v&^sizeMask != hash&^sizeMask || int(v&sizeMask) < n {
		slot.Store(hash&^sizeMask | uint64(min(n, sizeMask)))
	}
}

// largest returns the size of the largest packet to dst that is remembered, or 0.
func (t *sizeTable) largest(dst netip.Addr) int {
	hash := t.hash(dst)
	if v := t.of(hash).Load(); v&^sizeMask == hash&^sizeMask {
		return int(v & sizeMask)
	}
	return 0
}

// note remembers the largest packet of q that routers must not fragment.
func (s *Send) note(q *packet.Queue) {
	p := s.Path
	v4 := p.Dst.Is4()
	if p.Type != route.Unicast || v4 && s.Fragment == FragmentDont {
		return
	}
	mtu, header, largest := p.mtu, 40, 0
	if s.Fragment == FragmentProbe {
		mtu = p.Device.MTU()
	}
	switch {
	case s.HeaderIncluded:
		header = 0
	case v4:
		header = 20 + len(s.Options)
	}
	for pkt := q.Front(); pkt != nil; pkt = pkt.Next() {
		n := pkt.Len() + header
		if n > mtu && (pkt.GSO != packet.GSONone || !v4) {
			n = mtu // it is cut here, to pieces of this size at most
		}
		if n <= mtu {
			largest = max(largest, n)
		}
	}
	p.layer.sizes.note(p.hash, largest)
}
