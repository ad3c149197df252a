package nat

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"

	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/wire"
)

// within reports whether a tuple is in the range as it is.
func within(x *netfilter.Tuple, m netfilter.Manip, r *netfilter.NATRange) bool {
	if r.Flags&netfilter.RangeAddr != 0 {
		a := addrOf(x, m)
		if bytes.Compare(a[:], r.MinAddr[:]) < 0 || bytes.Compare(a[:], r.MaxAddr[:]) > 0 {
			return false
		}
	}
	return portIn(x, m, r)
}

func portIn(x *netfilter.Tuple, m netfilter.Manip, r *netfilter.NATRange) bool {
	if r.Flags&netfilter.RangePort == 0 || !hasPorts(x) {
		return true
	}
	p := *portOf(x, m)
	return r.MinPort <= p && p <= r.MaxPort
}

func addrOf(x *netfilter.Tuple, m netfilter.Manip) *[16]byte {
	if m == netfilter.ManipSrc {
		return &x.Src
	}
	return &x.Dst
}

// portOf returns the part of a tuple that is changed if need be: a port, or the
// identifier of an ICMP query, which both directions share.
func portOf(x *netfilter.Tuple, m netfilter.Manip) *uint16 {
	if m == netfilter.ManipSrc || isQuery(x) {
		return &x.SrcPort
	}
	return &x.DstPort
}

func hasPorts(x *netfilter.Tuple) bool {
	return portsOf(x.Proto) || isQuery(x)
}

// pickAddr chooses an address of the range: always the same for a pair of hosts, or
// for a source if the rule says persistent or asks for the behaviour of RFC 4787,
// whose REQ-2 recommends "an IP address pooling behavior of Paired".
func (t *translator) pickAddr(now *netfilter.Tuple, m netfilter.Manip, r *netfilter.NATRange) [16]byte {
	if r.Flags&netfilter.RangePrefix != 0 {
		return netmap(addrOf(now, m), r)
	}
	if r.MinAddr == r.MaxAddr {
		return r.MinAddr
	}
	var h maphash.Hash
	h.SetSeed(t.hashSeed)
	h.Write(now.Src[:])
	if r.Flags&netfilter.RangePersistent == 0 && r.Mapping == 0 {
		h.Write(now.Dst[:])
	}
	return between(&r.MinAddr, &r.MaxAddr, now.Version, h.Sum64())
}

// between chooses an address from lo to hi by a hash.
func between(lo, hi *[16]byte, v network.Version, hash uint64) [16]byte {
	if v == network.V4 {
		a, b := binary.BigEndian.Uint32(lo[:]), binary.BigEndian.Uint32(hi[:])
		n := uint64(b) - uint64(a) + 1
		var out [16]byte
		binary.BigEndian.PutUint32(out[:], a+uint32(hash%n))
		return out
	}
	// The ends of a range of IPv6 addresses agree in the first half as a rule; only the
	// second is counted.
	a, b := binary.BigEndian.Uint64(lo[8:]), binary.BigEndian.Uint64(hi[8:])
	if [8]byte(lo[:8]) != [8]byte(hi[:8]) {
		b = 1<<64 - 1
	}
	out := *lo
	if n := b - a + 1; n != 0 && b >= a {
		hash %= n
	}
	binary.BigEndian.PutUint64(out[8:], a+hash)
	return out
}

// netmap keeps the host part of an address and takes the network of the range,
// which is a prefix.
func netmap(a *[16]byte, r *netfilter.NATRange) (out [16]byte) {
	for i := range out {
		mask := ^(r.MinAddr[i] ^ r.MaxAddr[i])
		out[i] = r.MinAddr[i]&mask | a[i]&^mask
	}
	return out
}

// portsOf reports whether a protocol has ports, at the beginning of its header.
func portsOf(proto uint8) bool {
	switch proto {
	case wire.ProtoTCP, wire.ProtoUDP, wire.ProtoSCTP, wire.ProtoUDPLite, protoDCCP:
		return true
	}
	return false
}

const protoDCCP = 33
