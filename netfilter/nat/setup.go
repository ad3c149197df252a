package nat

import (
	"net/netip"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/wire"
)

// Setup implements netfilter.Translator.
func (t *translator) Setup(pkt *packet.Packet, c *netfilter.Conn, m netfilter.Manip, r *netfilter.NATRange) bool {
	if c.Is(netfilter.Confirmed) || c.Is(doneBit(m)) {
		return true // decided already
	}
	q := t.queries.Get().(*query)
	defer t.queries.Put(q)
	*q = query{t: t, pkt: pkt, c: c, m: m, r: *r}
	return q.setup()
}

func (q *query) setup() bool {
	t, c, m := q.t, q.c, q.m
	now := mirror(&c.Tuples[netfilter.Reply])
	want, ok := q.choose(now)
	if !ok {
		t.exhausted(q, &now)
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

// A query is the search for what a half of a connection is translated to.
type query struct {
	t   *translator
	pkt *packet.Packet // may be nil
	c   *netfilter.Conn
	m   netfilter.Manip
	r   netfilter.NATRange
	// reply is what answers to a tuple that is tried look like.
	reply netfilter.Tuple
	// locked: the mappings' lock is held, and the tuple is to be a mapping.
	locked bool
	// met: somebody has a tuple that was tried.
	met bool
}

// choose finds a tuple in the range that no other connection has.
func (q *query) choose(now netfilter.Tuple) (netfilter.Tuple, bool) {
	if q.m == netfilter.ManipSrc && !q.random() && within(&now, q.m, &q.r) && q.free(&now) {
		return now, true
	}
	if q.m == netfilter.ManipSrc && q.r.Mapping != 0 && hasPorts(&now) {
		return q.t.mappings.choose(q, now)
	}
	return q.fresh(now)
}

// fresh finds a tuple that has no history. What is in the way may be the connection
// of another packet of the same flow that was quicker: then both go the same way.
func (q *query) fresh(now netfilter.Tuple) (netfilter.Tuple, bool) {
	want, ok := q.search(now)
	if q.met {
		if twin, found := q.twin(); found {
			return twin, true
		}
	}
	return want, ok
}

// twin returns what the connection in the table with the same packets is translated
// to.
func (q *query) twin() (netfilter.Tuple, bool) {
	w, d := q.t.track.Lookup(&q.c.Tuples[netfilter.Original])
	if w == nil || w == q.c || d != netfilter.Original {
		return netfilter.Tuple{}, false
	}
	return mirror(&w.Tuples[netfilter.Reply]), true
}

// search finds a free tuple of the range. A destination that is not free does not
// matter: the source is chosen after it, and changes then.
func (q *query) search(now netfilter.Tuple) (netfilter.Tuple, bool) {
	want := now
	if q.r.Flags&netfilter.RangeAddr != 0 {
		*addrOf(&want, q.m) = q.t.pickAddr(&now, q.m, &q.r)
	}
	if q.m == netfilter.ManipDst && q.r.Flags&netfilter.RangePort == 0 {
		return want, true
	}
	if !q.random() && portIn(&want, q.m, &q.r) && q.free(&want) {
		return want, true
	}
	if !hasPorts(&want) {
		return want, q.r.Flags&netfilter.RangeAddr == 0 || q.free(&want)
	}
	return want, q.pickPort(&want) || q.m == netfilter.ManipDst
}

func (q *query) random() bool {
	return q.r.Flags&(netfilter.RangeRandom|netfilter.RangeFullyRandom) != 0
}

// free reports whether no other connection has a tuple, and no mapping the outer
// end: a port is never used for two (RFC 4787 REQ-3).
func (q *query) free(want *netfilter.Tuple) bool {
	q.reply = mirror(want)
	if q.t.track.Taken(&q.reply, q.c) {
		q.met = true
		return false
	}
	return q.m != netfilter.ManipSrc || !q.t.mappings.reserved(q, want) && !(q.locked && q.t.ownSocket(want))
}

// Masquerade implements netfilter.Translator.
func (t *translator) Masquerade(pkt *packet.Packet, c *netfilter.Conn, r *netfilter.NATRange) bool {
	dev := t.net.Link.Device(pkt.Out)
	family := t.net.Family(c.Tuples[netfilter.Original].Version)
	if dev == nil || family == nil {
		return false
	}
	if c.Is(netfilter.Confirmed) || c.Is(netfilter.SrcDone) {
		return true
	}
	dst := c.Tuples[netfilter.Reply].SrcAddr()
	a, ok := family.SelectSource(dst, dev)
	if !ok {
		return false
	}
	t.masq.used.Store(true)
	c.MasqIndex = pkt.Out
	own := *r
	own.SetAddrs(a.AsSlice(), a.AsSlice())
	return t.Setup(pkt, c, netfilter.ManipSrc, &own)
}

// Redirect implements netfilter.Translator.
func (t *translator) Redirect(pkt *packet.Packet, c *netfilter.Conn, r *netfilter.NATRange) bool {
	a, ok := t.ownAddr(pkt, c.Tuples[netfilter.Original].Version)
	if !ok {
		return false
	}
	own := *r
	own.SetAddrs(a.AsSlice(), a.AsSlice())
	return t.Setup(pkt, c, netfilter.ManipDst, &own)
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
