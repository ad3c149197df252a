package dns64

import (
	"context"
	"fmt"
	"strings"

	"github.com/miekg/dns"
)

// pointer answers a question for the name of an address under the prefix: by an alias
// for the name under in-addr.arpa, and what that has (RFC 6147 §5.3.1). It returns nil
// for other names.
func (r *resolver) pointer(ctx context.Context, q *question) *dns.Msg {
	v4, ok := r.reverse(q.Name)
	if !ok {
		return nil
	}
	name := fmt.Sprintf("%d.%d.%d.%d.in-addr.arpa.", v4[3], v4[2], v4[1], v4[0])
	a := r.wellKnownPointer(q, name)
	if a == nil {
		a = r.forward(ctx, q, name, dns.TypePTR)
	}
	ttl := uint32(defaultTTL)
	for _, rr := range a.Answer {
		ttl = min(ttl, rr.Header().Ttl)
	}
	alias := &dns.CNAME{
		Hdr:    dns.RR_Header{Name: q.Name, Rrtype: dns.TypeCNAME, Class: dns.ClassINET, Ttl: ttl},
		Target: name,
	}
	if a.Rcode == dns.RcodeSuccess || a.Rcode == dns.RcodeNameError {
		a.Answer, a.AuthenticatedData = append([]dns.RR{alias}, a.Answer...), false
		r.counters.pointers.Inc()
	}
	return a
}

// nibbles is the number of labels in front of ip6.arpa (RFC 3596 §2.5).
const nibbles = 32

// reverse returns the IPv4 address for which the address of a name under ip6.arpa
// stands.
func (r *resolver) reverse(name string) (v4 [4]byte, ok bool) {
	digits, found := strings.CutSuffix(dns.CanonicalName(name), ".ip6.arpa.")
	if !found || len(digits) != 2*nibbles-1 {
		return v4, false
	}
	var a [16]byte
	for i := range nibbles {
		d := strings.IndexByte("0123456789abcdef", digits[2*i])
		if d < 0 || i < nibbles-1 && digits[2*i+1] != '.' {
			return v4, false
		}
		at := nibbles - 1 - i
		a[at/2] |= byte(d) << (4 * (1 - at%2))
	}
	return r.prefix.Extract(&a)
}
