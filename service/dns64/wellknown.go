package dns64

import (
	"net"

	"github.com/miekg/dns"
)

const (
	// wellKnownName is the name by which a client finds out what prefix there is: it has
	// two IPv4 addresses that everybody knows and no IPv6 address (RFC 7050 §3).
	wellKnownName = "ipv4only.arpa."
	// wellKnownTTL is the lifetime in seconds of its records.
	wellKnownTTL = 3600
)

// wellKnownAddrs are its addresses (RFC 7050 §2.2).
func wellKnownAddrs() [2][4]byte { return [2][4]byte{{192, 0, 0, 170}, {192, 0, 0, 171}} }

// special answers questions about ipv4only.arpa and the names of its addresses without
// asking anybody: as resolvers that make up addresses have to (RFC 8880
// §7.1, §7.2). Although the prefix may not stand for these addresses otherwise, it does
// here: nobody ever sends packets to them. It returns nil for other names.
func (r *resolver) special(q *question) *dns.Msg {
	name := dns.CanonicalName(q.Name)
	if name != wellKnownName {
		return r.wellKnownPointer(q, name)
	}
	a := failure(q.msg, dns.RcodeSuccess)
	hdr := dns.RR_Header{Name: q.Name, Rrtype: q.Qtype, Class: dns.ClassINET, Ttl: wellKnownTTL}
	for _, v4 := range wellKnownAddrs() {
		switch q.Qtype {
		case dns.TypeA:
			a.Answer = append(a.Answer, &dns.A{Hdr: hdr, A: net.IP(v4[:])})
		case dns.TypeAAAA:
			ip := r.prefix.Embed(v4)
			a.Answer = append(a.Answer, &dns.AAAA{Hdr: hdr, AAAA: ip[:]})
		}
	}
	return a
}

// wellKnownPointer answers a question for the name of one of its addresses.
func (r *resolver) wellKnownPointer(q *question, name string) *dns.Msg {
	if q.Qtype != dns.TypePTR || name != "170.0.0.192.in-addr.arpa." && name != "171.0.0.192.in-addr.arpa." {
		return nil
	}
	a := failure(q.msg, dns.RcodeSuccess)
	a.Answer = []dns.RR{&dns.PTR{
		Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypePTR, Class: dns.ClassINET, Ttl: wellKnownTTL}, Ptr: wellKnownName,
	}}
	return a
}
