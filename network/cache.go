package network

import (
	"hash/maphash"
	"sync/atomic"
)

// pathCacheSize is the number of slots, a power of two.
const pathCacheSize = 512

// A PathCache keeps the Paths of late flows for whoever has no place of its own
// to keep one: forwarding, and answers to strangers. It is bounded; flows whose
// slots collide push each other out. Make it with NewPathCache. It is safe for
// concurrent use, and a hit does not allocate.
type PathCache struct {
	layer *Layer
	seed  maphash.Seed
	slots [pathCacheSize]atomic.Pointer[cachedPath]
}

type cachedPath struct {
	flow Flow
	path *Path
}

// NewPathCache returns an empty cache.
func (l *Layer) NewPathCache() *PathCache {
	return &PathCache{layer: l, seed: maphash.MakeSeed()}
}

// rest mixes what tells flows between the same two addresses apart.
func (f *Flow) rest() uint64 {
	ports := uint64(f.SrcPort)<<16 | uint64(f.DstPort)
	if ports|uint64(f.Mark|f.Hash|f.Label)|uint64(f.Proto|f.TOS) == 0 {
		return 0
	}
	return stir(stir(uint64(f.Mark)<<32|ports, uint64(f.Hash)<<32|uint64(f.Label)), uint64(f.Proto)<<8|uint64(f.TOS))
}

// Resolve is Layer.Resolve for a flow that may have been seen before.
func (c *PathCache) Resolve(f Flow) (*Path, error) {
	b, s := f.Dst.As16(), f.Src.As16()
	h := maphash.Bytes(c.seed, b[:]) + maphash.Bytes(c.seed, s[:])*3 + f.rest()
	slot := &c.slots[h>>32&(pathCacheSize-1)]
	if e := slot.Load(); e != nil && e.flow == f && e.path.Valid() {
		return e.path, nil
	}
	p, err := c.layer.Resolve(f)
	if err != nil {
		return nil, err
	}
	slot.Store(&cachedPath{f, p})
	return p, nil
}
