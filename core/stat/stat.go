// Package stat holds the kernel's counters: plain ones, striped ones for what
// many processors count at once, the reasons packets are dropped for, and the
// table that makes all of them enumerable.
package stat

import (
	"sync/atomic"
	"unsafe"
)

// A Counter counts events that happen on one path at a time, or rarely. The
// zero Counter is ready to use and safe for concurrent use.
type Counter struct{ n atomic.Uint64 }

// Add adds n.
func (c *Counter) Add(n uint64) { c.n.Add(n) }

// Inc adds one.
func (c *Counter) Inc() { c.n.Add(1) }

// Load returns the current value.
func (c *Counter) Load() uint64 { return c.n.Load() }

// Store sets the value: for gauges and for resets.
func (c *Counter) Store(n uint64) { c.n.Store(n) }

const (
	stripeBits = 6

	// Stripes is the number of stripes of what many goroutines count at once.
	Stripes = 1 << stripeBits

	// cacheLine is the distance that keeps two stripes from sharing a line.
	cacheLine = 64

	// stackShift drops the address bits that differ within one goroutine's
	// stack: the smallest stack has 2 KiB, so neighbouring goroutines differ
	// above bit 11.
	stackShift = 11

	// fibonacci is 2^64 divided by the golden ratio: multiplied by it,
	// addresses in arithmetic progression spread evenly over the top bits.
	fibonacci = 0x9E3779B97F4A7C15
)

// Stripe returns a number below Stripes that is mostly the same for one goroutine
// and mostly different for two. Go tells nobody which processor it is on, but the
// address of a stack variable costs nothing and serves as well: stripes spread the
// load and never decide what is right. The address is used as a number only, never
// to reach memory, so it does not matter that the stack may move.
func Stripe() int {
	var here byte
	addr := uint64(uintptr(unsafe.Pointer(&here)))
	return int((addr >> stackShift) * fibonacci >> (64 - stripeBits))
}

// A Striped counts events that many goroutines count at once. It takes 4 KiB;
// the zero value is ready to use and safe for concurrent use.
type Striped struct {
	s [Stripes]struct {
		n atomic.Int64
		_ [cacheLine - 8]byte
	}
}

// Add adds n, which may be negative.
func (c *Striped) Add(n int64) { c.s[Stripe()].n.Add(n) }

// Load returns the sum of the stripes. While others add it is a value the
// counter may never have had; at rest it is exact.
func (c *Striped) Load() int64 {
	var sum int64
	for i := range c.s {
		sum += c.s[i].n.Load()
	}
	return sum
}
