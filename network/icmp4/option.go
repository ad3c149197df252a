package icmp4

import (
	"net/netip"

	"github.com/knitnet/knit/wire"
)

func ipOf(b [4]byte) netip.Addr { return netip.AddrFrom4(b) }

// echoedOptions appends to b the options of a request that go into its answer:
// record route and timestamp, which IP has updated to include this host, "without
// truncation", and a source route, which "MUST be reversed" (RFC 1122 §3.2.2.6).
// first is where the answer goes first: to the source, or to the last waypoint.
func echoedOptions(h wire.IPv4, b []byte) (opts []byte, first netip.Addr) {
	first = h.Src()
	if len(h.Options()) == 0 {
		return nil, first
	}
	w := h.WalkOptions()
	for o, ok := w.Next(); ok; o, ok = w.Next() {
		if _, fine := o.Check(); !fine {
			return nil, first
		}
		switch o.Type() {
		case wire.IPv4OptRecordRoute, wire.IPv4OptTimestamp:
			b = append(b, o.Bytes()...)
		case wire.IPv4OptLooseRoute, wire.IPv4OptStrictRoute:
			b, first = reverseRoute(o, h.Src4(), b)
		}
	}
	for len(b)&3 != 0 {
		b = append(b, wire.IPv4OptEnd)
	}
	return b, first
}

// reverseRoute appends to b the way back along a recorded source route to src, and
// returns its first stop.
func reverseRoute(o wire.IPv4Option, src [4]byte, b []byte) (opts []byte, first netip.Addr) {
	const head, size = 3, 4
	hops := o.Bytes()[head:]
	n := len(hops) / size
	if n == 0 {
		return b, ipOf(src)
	}
	b = append(b, o.Type(), uint8(head+size*n), head+1)
	for i := n - 2; i >= 0; i-- {
		b = append(b, hops[i*size:(i+1)*size]...)
	}
	return append(b, src[:]...), ipOf([4]byte(hops[(n-1)*size:]))
}
