package nat64

import (
	"hash/maphash"
	"sync"
)

// An inside is a transport address of an IPv6 host; the protocol is IPv4's number.
type inside struct {
	addr  [16]byte
	port  uint16
	proto uint8
}

// An outside is the IPv4 transport address that stands for an inside.
type outside struct {
	addr  [4]byte
	port  uint16
	proto uint8
}

// A peer is the other end's IPv4 transport address. ICMP has no port there.
type peer struct {
	addr [4]byte
	port uint16
}

// A flow6 and a flow4 are what packets of a session look like on either side.
type (
	flow6 struct {
		inside
		peer peer
	}
	flow4 struct {
		outside
		peer peer
	}
)

// shards is how many parts the index of sessions has, a power of two.
const shards = 64

// An index finds sessions by K.
type index[K comparable] struct {
	seed  maphash.Seed
	shard [shards]struct {
		sync.RWMutex
		m map[K]*session
	}
}

func (x *index[K]) init() {
	x.seed = maphash.MakeSeed()
	for i := range x.shard {
		x.shard[i].m = map[K]*session{}
	}
}

func (x *index[K]) get(k K) *session {
	s := &x.shard[maphash.Comparable(x.seed, k)&(shards-1)]
	s.RLock()
	defer s.RUnlock()
	return s.m[k]
}

func (x *index[K]) put(k K, v *session) {
	s := &x.shard[maphash.Comparable(x.seed, k)&(shards-1)]
	s.Lock()
	defer s.Unlock()
	s.m[k] = v
}

func (x *index[K]) delete(k K) {
	s := &x.shard[maphash.Comparable(x.seed, k)&(shards-1)]
	s.Lock()
	defer s.Unlock()
	delete(s.m, k)
}
