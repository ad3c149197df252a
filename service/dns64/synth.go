package dns64

import (
	"context"
	"net/netip"
	"slices"

	"github.com/miekg/dns"
)

// defaultTTL bounds the lifetime in seconds of what is made up when the empty answer
// that led to it does not tell one (RFC 6147 §5.1.7).
const defaultTTL = 600

// addresses answers a question for AAAA (RFC 6147 §5.1).
func (r *resolver) addresses(ctx context.Context, q *question) *dns.Msg {
	a := r.forward(ctx, q, q.Name, dns.TypeAAAA)
	switch {
	case a.Rcode == dns.RcodeNameError: // it is final (§5.1.2)
		return a
	case a.Rcode == dns.RcodeSuccess && r.takeExcluded(a):
		return a
	}
	// Other errors, and no answer at all, count as an empty answer (§5.1.2, §5.1.3).
	v4 := r.forward(ctx, q, q.Name, dns.TypeA)
	if v4.Rcode != dns.RcodeSuccess {
		return v4
	}
	if !r.synthesize(v4, limitTTL(a)) {
		return empty(a, v4)
	}
	r.counters.synthesized.Inc()
	return v4
}

// empty is the answer for a name that has no address to make one of: the one to the
// question for AAAA if it was one.
func empty(a, v4 *dns.Msg) *dns.Msg {
	if a.Rcode == dns.RcodeSuccess {
		return a
	}
	v4.Answer = nil
	return v4
}

// takeExcluded takes the AAAA records out of a that count as none (RFC 6147 §5.1.4),
// with the signatures that do not fit any more, and reports whether others are left.
func (r *resolver) takeExcluded(a *dns.Msg) bool {
	had, left := 0, 0
	kept := a.Answer[:0:0]
	for _, rr := range a.Answer {
		if x, ok := rr.(*dns.AAAA); ok {
			if had++; r.excluded(x) {
				continue
			}
			left++
		}
		kept = append(kept, rr)
	}
	if left == had {
		return left > 0
	}
	a.Answer = withoutSignatures(kept, dns.TypeAAAA)
	a.AuthenticatedData = false
	return left > 0
}

func (r *resolver) excluded(x *dns.AAAA) bool {
	ip := x.AAAA.To16()
	if ip == nil {
		return true
	}
	addr := netip.AddrFrom16([16]byte(ip))
	return slices.ContainsFunc(r.exclude, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// withoutSignatures returns rrs without the signatures of records of a type.
func withoutSignatures(rrs []dns.RR, typ uint16) (out []dns.RR) {
	for _, rr := range rrs {
		if s, ok := rr.(*dns.RRSIG); ok && s.TypeCovered == typ {
			continue
		}
		out = append(out, rr)
	}
	return out
}

// limitTTL returns the longest lifetime of what is made up after the answer a: that of
// its SOA record (RFC 6147 §5.1.7).
func limitTTL(a *dns.Msg) uint32 {
	for _, rr := range a.Ns {
		if soa, ok := rr.(*dns.SOA); ok {
			return soa.Hdr.Ttl
		}
	}
	return defaultTTL
}

// synthesize makes AAAA records of the A records of an answer; aliases on the way to
// them stay (RFC 6147 §5.1.5). It reports false when there is none to make. Nobody
// has signed the result, so it says nothing of having been checked (§5.5).
func (r *resolver) synthesize(a *dns.Msg, limit uint32) bool {
	n := 0
	var out []dns.RR
	for _, rr := range withoutSignatures(a.Answer, dns.TypeA) {
		x, ok := rr.(*dns.A)
		if !ok {
			out = append(out, rr)
			continue
		}
		v4 := x.A.To4()
		if v4 == nil || !r.mayEmbed([4]byte(v4)) {
			continue
		}
		ip := r.prefix.Embed([4]byte(v4))
		out = append(out, &dns.AAAA{
			Hdr:  dns.RR_Header{Name: x.Hdr.Name, Rrtype: dns.TypeAAAA, Class: x.Hdr.Class, Ttl: min(x.Hdr.Ttl, limit)},
			AAAA: ip[:],
		})
		n++
	}
	if n > 0 {
		a.Answer, a.AuthenticatedData = out, false
	}
	return n > 0
}

// mayEmbed reports whether the prefix may stand for an address: NAT64 would not
// translate it otherwise (RFC 6052 §3.1).
func (r *resolver) mayEmbed(v4 [4]byte) bool { return r.private || r.prefix.MayEmbed(v4) }
