package nat64

import (
	"math/bits"
	"math/rand/v2"

	"github.com/knitnet/knit/wire"
)

// ports is the set of the ports, or ICMP identifiers, of one address that are in use.
type ports [1 << 16 / 64]uint64

func (p *ports) set(n uint16)   { p[n/64] |= 1 << (n % 64) }
func (p *ports) clear(n uint16) { p[n/64] &^= 1 << (n % 64) }

// Which ports will do: a bit for each of 64 in a row.
const (
	anyParity  = 1<<64 - 1
	evenParity = 0x5555_5555_5555_5555
	oddParity  = evenParity << 1
)

// free returns a port from lo to hi that is not in use and fits parity: the first one
// from a random place on (RFC 6056 §3.3.1).
func (p *ports) free(lo, hi uint16, parity uint64) (n uint16, ok bool) {
	if lo > hi {
		return 0, false
	}
	start := int(lo) + rand.IntN(int(hi)-int(lo)+1)
	if n, ok = p.search(start, int(hi), parity); ok {
		return n, true
	}
	return p.search(int(lo), start-1, parity)
}

// search returns the first free port from lo to hi.
func (p *ports) search(lo, hi int, parity uint64) (n uint16, ok bool) {
	for at := lo; at <= hi; at = at&^63 + 64 {
		open := ^p[at/64] & parity & (anyParity << (at % 64))
		if open == 0 {
			continue
		}
		n := at&^63 + bits.TrailingZeros64(open)
		return uint16(n), n <= hi
	}
	return 0, false
}

// A portRange is what a pool may use of each address.
type portRange struct{ lo, hi uint16 }

// wellKnown is the first port that anybody may use.
const wellKnown = 1024

// class returns the part of r that a port of the inside is mapped to: ports below 1024
// stay there (RFC 4787 REQ-3, RFC 6146 §3.5.1.1), and UDP keeps its parity (RFC 4787
// REQ-4).
func (r portRange) class(k *inside) (lo, hi uint16, parity uint64) {
	lo, hi, parity = r.lo, r.hi, anyParity
	if k.proto == wire.ProtoICMP {
		return lo, hi, parity
	}
	if k.port < wellKnown {
		hi = min(hi, wellKnown-1)
	} else {
		lo = max(lo, wellKnown)
	}
	if lo > hi { // the pool has none of that class
		lo, hi = r.lo, r.hi
	}
	if k.proto == wire.ProtoUDP {
		parity = evenParity << (k.port & 1)
	}
	return lo, hi, parity
}
