package nat

import (
	"hash/maphash"
	"math/rand/v2"

	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/wire"
)

// attempts is how many ports of a row are tried before the range counts as used up.
// It is less than a large range has: a search must not take long when nothing is
// left.
const attempts = 128

// pickPort finds a free port of the range and puts it into want. It tries a row of
// ports of which the flow and a secret say where it begins (RFC 6056 §3.3.3,
// Algorithm 3: simple hash-based port selection), so that two packets of a flow that
// begin its connection at the same time choose the same. `fully-random` draws each
// port by itself (§3.3.2, Algorithm 2). Ports of UDP keep their parity if they can
// (RFC 4787 REQ-4).
func (q *query) pickPort(want *netfilter.Tuple) bool {
	lo, hi := portRange(*portOf(want, q.m), q.m, &q.r, isQuery(want))
	all := ports{lo: lo, n: int(hi) - int(lo) + 1, step: 1}
	if want.Proto != wire.ProtoUDP || q.m != netfilter.ManipSrc {
		return q.pickOf(want, all)
	}
	same, other := all.parities(*portOf(want, q.m))
	return q.pickOf(want, same) || q.pickOf(want, other)
}

// Ports are n of them, lo and each step-th after it.
type ports struct {
	lo   uint16
	n    int
	step int
}

func (p ports) at(i int) uint16 { return p.lo + uint16(i%p.n*p.step) }

// parities divides ports into those that are even or odd as port is, and the others.
func (p ports) parities(port uint16) (same, other ports) {
	same, other = ports{p.lo, (p.n + 1) / 2, 2}, ports{p.lo + 1, p.n / 2, 2}
	if (port^p.lo)&1 != 0 {
		same, other = other, same
	}
	return same, other
}

// pickOf tries some of the ports, all of them if they are few.
func (q *query) pickOf(want *netfilter.Tuple, p ports) bool {
	if p.n == 0 {
		return false
	}
	if q.r.Flags&netfilter.RangeFullyRandom == 0 || p.n <= attempts {
		at := q.start(want, p.n)
		for i := range min(p.n, attempts) {
			if q.try(want, p.at(at+i)) {
				return true
			}
		}
	}
	if p.n <= attempts {
		return false
	}
	// The row is full, or all is at random: look at places that are no neighbours.
	for range attempts {
		if q.try(want, p.at(rand.IntN(p.n))) {
			return true
		}
	}
	return false
}

func (q *query) try(want *netfilter.Tuple, port uint16) bool {
	*portOf(want, q.m) = port
	return q.free(want)
}

// start is where the row begins.
func (q *query) start(want *netfilter.Tuple, n int) int {
	if q.r.Flags&netfilter.RangeFullyRandom != 0 {
		return rand.IntN(n)
	}
	flow := q.c.Tuples[netfilter.Original]
	flow.Dst, flow.DstPort = want.Dst, want.DstPort
	if q.m == netfilter.ManipSrc && q.r.Mapping != 0 {
		flow.Dst, flow.DstPort = [16]byte{}, 0
	}
	return int(maphash.Comparable(q.t.hashSeed, flow) % uint64(n))
}

// portRange is what a port may become. Without a range in the rule ports below 1024
// stay below, and others above (RFC 4787 §4.2.1).
func portRange(p uint16, m netfilter.Manip, r *netfilter.NATRange, query bool) (lo, hi uint16) {
	switch {
	case r.Flags&netfilter.RangePort != 0:
		return r.MinPort, r.MaxPort
	case query:
		return 0, 65535
	case m == netfilter.ManipDst:
		return p, p // a service is where it is
	case p < 512:
		return 1, 511
	case p < 1024:
		return 600, 1023
	}
	return 1024, 65535
}
