//go:build !race

package ip6test

// Race reports whether the race detector is on. It makes sync.Pool forget, so that
// allocations cannot be counted.
const Race = false
