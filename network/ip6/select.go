package ip6

import (
	"math/bits"
	"net/netip"
	"slices"

	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
)

// A candidate is an address that may be the source (RFC 6724 §4).
type candidate struct {
	addr       netip.Addr
	bits       int  // length of its subnet's prefix
	out        bool // it is an address of the interface the packet leaves by
	deprecated bool // or optimistic, which must not be chosen if another is there
	temporary  bool
}

// A question is what a source is chosen for.
type question struct {
	dst       netip.Addr
	temporary bool // prefer temporary addresses (rule 7)
}

// better reports whether a is the better source than b: the rules of RFC 6724 §5,
// of which rule 4 is about Mobile IP and rule 5.5 about addresses that remember
// their router.
func (q *question) better(a, b *candidate) bool {
	// Rule 1: Prefer same address.
	if a.addr == q.dst || b.addr == q.dst {
		return a.addr == q.dst
	}
	// Rule 2: Prefer appropriate scope.
	if sa, sb := scope(a.addr), scope(b.addr); sa != sb {
		if sa < sb {
			return sa >= scope(q.dst)
		}
		return sb < scope(q.dst)
	}
	// Rule 3: Avoid deprecated addresses.
	if a.deprecated != b.deprecated {
		return b.deprecated
	}
	// Rule 5: Prefer outgoing interface.
	if a.out != b.out {
		return a.out
	}
	// Rule 6: Prefer matching label.
	if l := label(q.dst); (label(a.addr) == l) != (label(b.addr) == l) {
		return label(a.addr) == l
	}
	// Rule 7: Prefer temporary addresses, or public ones.
	if a.temporary != b.temporary {
		return a.temporary == q.temporary
	}
	// Rule 8: Use longest matching prefix.
	return a.common(q.dst) > b.common(q.dst)
}

// selectSource returns the best candidate; the first one of equals, for which "the
// choice is implementation-specific" (RFC 6724 §5).
func (q *question) selectSource(cs []candidate) (netip.Addr, bool) {
	var best *candidate
	for i := range cs {
		if best == nil || q.better(&cs[i], best) {
			best = &cs[i]
		}
	}
	if best == nil {
		return netip.Addr{}, false
	}
	return best.addr, true
}

// common is CommonPrefixLen(S, D) of RFC 6724 §2.2: "the longest prefix (looking at
// the most significant, or leftmost, bits) that the two addresses have in common,
// up to the length of S's prefix".
func (c *candidate) common(dst netip.Addr) int {
	s, d := c.addr.As16(), dst.As16()
	for i := range s {
		if x := s[i] ^ d[i]; x != 0 {
			return min(i*8+bits.LeadingZeros8(x), c.bits)
		}
	}
	return c.bits
}

// Scopes of RFC 4291 §2.7 that unicast addresses have too (RFC 6724 §3.1).
const (
	scopeLink   = 2
	scopeSite   = 5
	scopeGlobal = 14
)

// scope returns the scope of an address. The loopback address counts as
// link-local (RFC 4291 §2.5.3).
func scope(a netip.Addr) int {
	b := a.As16()
	switch {
	case b[0] == 0xff:
		return int(b[1] & 0xf)
	case a.IsLinkLocalUnicast(), a.IsLoopback():
		return scopeLink
	case b[0] == 0xfe && b[1]&0xc0 == 0xc0:
		return scopeSite
	}
	return scopeGlobal
}

// policy is the default policy table without precedences, which are about
// destinations (RFC 6724 §2.1); longest prefixes first.
var policy = [...]struct {
	prefix netip.Prefix
	label  int
}{
	{netip.MustParsePrefix("::1/128"), 0},
	{netip.MustParsePrefix("::ffff:0:0/96"), 4},
	{netip.MustParsePrefix("::/96"), 3},
	{netip.MustParsePrefix("2001::/32"), 5},
	{netip.MustParsePrefix("2002::/16"), 2},
	{netip.MustParsePrefix("3ffe::/16"), 12},
	{netip.MustParsePrefix("fec0::/10"), 11},
	{netip.MustParsePrefix("fc00::/7"), 13},
	{netip.MustParsePrefix("::/0"), 1},
}

func label(a netip.Addr) int {
	for i := range policy {
		p := &policy[i]
		if p.prefix.Contains(a) || a.Is4In6() && p.label == 4 {
			return p.label
		}
	}
	return 1
}

// SelectSource chooses the source address for dst, leaving by dev.
func (p *ip6) SelectSource(dst netip.Addr, dev *link.Device) (netip.Addr, bool) {
	var few [8]candidate
	cs := p.candidates(few[:0], dst, dev)
	q := question{dst: dst, temporary: p.conf.Of(dev.Index()).UseTempAddr.Load() > 1}
	return q.selectSource(cs)
}

// candidates appends the candidate sources for dst. "For all multicast and
// link-local destination addresses, the set of candidate source addresses MUST
// only include addresses assigned to interfaces belonging to the same link as the
// outgoing interface" (RFC 6724 §4).
func (p *ip6) candidates(cs []candidate, dst netip.Addr, out *link.Device) []candidate {
	cs = p.candidatesOf(cs, out, true)
	if dst.IsMulticast() || scope(dst) == scopeLink {
		return cs
	}
	vrf := p.net.VRF(out.Index())
	for _, dev := range p.net.Link.Devices() {
		if dev != out && dev.Up() && p.net.VRF(dev.Index()) == vrf {
			cs = p.candidatesOf(cs, dev, false)
		}
	}
	return cs
}

// candidatesOf appends the addresses of a device, the newest first, so that of equals
// it is chosen, as on Linux.
func (p *ip6) candidatesOf(cs []candidate, dev *link.Device, out bool) []candidate {
	for _, a := range slices.Backward(p.net.Addrs(dev.Index())) {
		ip := a.IP()
		if !ip.Is6() || !a.Usable() || !out && scope(ip) == scopeLink {
			continue
		}
		cs = append(cs, candidate{
			addr: ip, bits: a.Prefix.Bits(), out: out,
			deprecated: a.Flags&(network.Deprecated|network.Tentative) != 0,
			temporary:  a.Flags&network.Temporary != 0,
		})
	}
	return cs
}
