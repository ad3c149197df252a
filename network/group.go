package network

import (
	"net/netip"
	"sync"
	"sync/atomic"
)

// groupTable holds the multicast groups of the host's devices.
type groupTable struct {
	mu sync.Mutex
	m  atomic.Pointer[map[groupKey]int]
}

type groupKey struct {
	index int32
	group netip.Addr
}
