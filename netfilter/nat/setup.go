package nat

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"math/rand/v2"
	"net/netip"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/wire"
)

// Setup implements netfilter.Translator.
func (t *translator) Setup(c *netfilter.Conn, m netfilter.Manip, r *netfilter.NATRange) bool {
	if c.Is(netfilter.Confirmed) || c.Is(doneBit(m)) {
		return true // decided already
	}
	now := mirror(&c.Tuples[netfilter.Reply])
	want, ok := t.choose(c, now, m, r)
	if !ok {
		return false
	}
	if want != now {
		t.track.SetReply(c, mirror(&want))
		c.Status.Or(natBit(m))
	}
	c.Status.Or(doneBit(m))
	return true
}

// mirror turns a tuple around. Of ICMP both directions have the same identifier,
// and the type of the answer.
func mirror(t *netfilter.Tuple) netfilter.Tuple {
	r := *t
	r.Src, r.Dst = t.Dst, t.Src
	if isQuery(t) {
		r.DstPort = answerType(t)
		return r
	}
	r.SrcPort, r.DstPort = t.DstPort, t.SrcPort
	return r
}

// choose finds a tuple in the range that no other connection has.
func (t *translator) choose(c *netfilter.Conn, now netfilter.Tuple, m netfilter.Manip, r *netfilter.NATRange) (netfilter.Tuple, bool) {
	random := r.Flags&(netfilter.RangeRandom|netfilter.RangeFullyRandom) != 0
	if m == netfilter.ManipSrc && !random {
		if within(&now, m, r) && !t.taken(&now, c) {
			return now, true
		}
		if want, ok := t.mappings.reuse(t, c, now, r); ok {
			return want, true
		}
	}
	want := now
	if r.Flags&netfilter.RangeAddr != 0 {
		setAddr(&want, m, t.pickAddr(&now, m, r))
	}
	if !random && portIn(&want, m, r) && !t.taken(&want, c) {
		t.mappings.remember(t, c, want, m, r)
		return want, true
	}
	if !hasPorts(&want) {
		return want, !t.taken(&want, c) || r.Flags&netfilter.RangeAddr == 0
	}
	if !t.pickPort(c, &want, m, r) {
		return want, false
	}
	t.mappings.remember(t, c, want, m, r)
	return want, true
}

func (t *translator) taken(want *netfilter.Tuple, c *netfilter.Conn) bool {
	reply := mirror(want)
	return t.track.Taken(&reply, c)
}

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

func setAddr(x *netfilter.Tuple, m netfilter.Manip, a [16]byte) { *addrOf(x, m) = a }

// portOf returns the part of a tuple that is changed if need be: a port, or the
// identifier of an ICMP query, which both directions share.
func portOf(x *netfilter.Tuple, m netfilter.Manip) *uint16 {
	if m == netfilter.ManipSrc || isQuery(x) {
		return &x.SrcPort
	}
	return &x.DstPort
}

// pickAddr chooses an address of the range: always the same for a source, or for a
// pair of hosts unless the rule says persistent.
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
	if r.Flags&netfilter.RangePersistent == 0 {
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

func hasPorts(x *netfilter.Tuple) bool {
	switch x.Proto {
	case wire.ProtoTCP, wire.ProtoUDP, 132, 136, 33:
		return true
	}
	return isQuery(x)
}

// attempts is how many ports are tried before the range counts as used up. It is
// less than a large range has: a search must not take long when nothing is left.
const attempts = 128

// pickPort chooses a free port (RFC 6056 §3.3.1): the first is random, the others
// follow. Ports below 1024 stay below, and others above (RFC 4787 §4.2.2).
func (t *translator) pickPort(c *netfilter.Conn, want *netfilter.Tuple, m netfilter.Manip, r *netfilter.NATRange) bool {
	p := portOf(want, m)
	lo, hi := portRange(*p, m, r, isQuery(want))
	n := int(hi) - int(lo) + 1
	start := rand.IntN(n)
	for i := range min(n, attempts) {
		*p = lo + uint16((start+i)%n)
		if !t.taken(want, c) {
			return true
		}
	}
	if n <= attempts {
		return false
	}
	// Half of the ports seem to be in use: look at places that are not neighbours.
	for range attempts {
		*p = lo + uint16(rand.IntN(n))
		if !t.taken(want, c) {
			return true
		}
	}
	return false
}

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

// Masquerade implements netfilter.Translator.
func (t *translator) Masquerade(pkt *packet.Packet, c *netfilter.Conn, r *netfilter.NATRange) bool {
	dev := t.net.Link.Device(pkt.Out)
	family := t.net.Family(c.Tuples[netfilter.Original].Version)
	if dev == nil || family == nil {
		return false
	}
	dst := c.Tuples[netfilter.Reply].SrcAddr()
	a, ok := family.SelectSource(dst, dev)
	if !ok {
		return false
	}
	own := *r
	own.SetAddrs(a.AsSlice(), a.AsSlice())
	return t.Setup(c, netfilter.ManipSrc, &own)
}

// Redirect implements netfilter.Translator.
func (t *translator) Redirect(pkt *packet.Packet, c *netfilter.Conn, r *netfilter.NATRange) bool {
	a, ok := t.ownAddr(pkt, c.Tuples[netfilter.Original].Version)
	if !ok {
		return false
	}
	own := *r
	own.SetAddrs(a.AsSlice(), a.AsSlice())
	return t.Setup(c, netfilter.ManipDst, &own)
}

// ownAddr is where redirected packets go: the first address of the interface they
// came in by, or the loopback address for those of this host.
func (t *translator) ownAddr(pkt *packet.Packet, v network.Version) (netip.Addr, bool) {
	if pkt.In == 0 {
		if v == network.V4 {
			return netip.AddrFrom4([4]byte{127, 0, 0, 1}), true
		}
		return netip.IPv6Loopback(), true
	}
	for _, a := range t.net.Addrs(pkt.In) {
		if network.VersionOf(a.IP()) == v && a.Usable() && !a.IP().IsLinkLocalUnicast() {
			return a.IP(), true
		}
	}
	return netip.Addr{}, false
}

// isQuery reports whether a tuple is that of an ICMP query or its answer, whose
// identifier is in SrcPort.
func isQuery(x *netfilter.Tuple) bool {
	return x.Proto == wire.ProtoICMP && x.Version == network.V4 || x.Proto == wire.ProtoICMPv6 && x.Version == network.V6
}

// answerType is the type and code in the other direction: queries and answers have
// neighbouring types.
func answerType(x *netfilter.Tuple) uint16 {
	typ, code := x.DstPort>>8, x.DstPort&0xff
	switch {
	case x.Version == network.V6:
		typ ^= 1 // 128 and 129
		if x.DstPort>>8 >= 139 {
			typ = 139 + 140 - x.DstPort>>8
		}
	case typ == 0 || typ == 8:
		typ = 8 - typ
	case typ%2 == 1:
		typ++
	default:
		typ--
	}
	return typ<<8 | code
}
