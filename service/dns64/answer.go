package dns64

import (
	"context"
	"net/netip"

	"github.com/miekg/dns"

	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/wire"
)

// A resolver answers questions. It is safe for concurrent use.
type resolver struct {
	prefix  wire.Pref64
	private bool // the prefix may stand for any address
	exclude []netip.Prefix
	// ask gets an answer from somewhere. It may change the question's identifier.
	ask      func(ctx context.Context, q *dns.Msg) (*dns.Msg, error)
	counters counters
}

// counters are the statistics group Dns64.
type counters struct{ queries, synthesized, pointers, failed stat.Counter }

func (c *counters) fields() []stat.Field {
	return []stat.Field{
		stat.F("Queries", &c.queries), stat.F("Synthesized", &c.synthesized),
		stat.F("Pointers", &c.pointers), stat.F("Failed", &c.failed),
	}
}

// A question is a query that has been read.
type question struct {
	dns.Question
	msg *dns.Msg
	// do and cd are the bits DO and CD: the client knows of DNSSEC, and will check
	// itself (RFC 4035 §3.2).
	do, cd bool
	limit  int // bytes of the longest answer
}

// checks reports whether the client validates what it gets, as DO and CD together say.
// Nothing may be made up for it (RFC 6147 §5.5).
func (q *question) checks() bool { return q.do && q.cd }

// answer returns the reply to a query; nil if there should be none.
func (r *resolver) answer(ctx context.Context, network string, query []byte) []byte {
	m := new(dns.Msg)
	if len(query) < headerLen || query[2]&0x80 != 0 {
		return nil // damaged, or a reply
	}
	r.counters.queries.Inc()
	if err := m.Unpack(query); err != nil || len(m.Question) != 1 {
		return refusal(query, dns.RcodeFormatError)
	}
	q := &question{Question: m.Question[0], msg: m, cd: m.CheckingDisabled, limit: dns.MinMsgSize}
	opt := m.IsEdns0()
	if opt != nil {
		q.do = opt.Do()
		q.limit = min(max(int(opt.UDPSize()), dns.MinMsgSize), maxUDP)
	}
	if network == "tcp" {
		q.limit = dns.MaxMsgSize
	}
	var a *dns.Msg
	switch {
	case m.Opcode != dns.OpcodeQuery:
		a = failure(m, dns.RcodeNotImplemented)
	case opt != nil && opt.Version() != 0:
		a = failure(m, dns.RcodeBadVers)
	default:
		a = r.resolve(ctx, q)
	}
	return q.pack(a, opt != nil)
}

// headerLen is the length of a message's header in bytes (RFC 1035 §4.1.1).
const headerLen = 12

// resolve finds the answer to a query that is in order.
func (r *resolver) resolve(ctx context.Context, q *question) *dns.Msg {
	if q.Qclass == dns.ClassINET {
		if a := r.special(q); a != nil {
			return a
		}
		switch {
		case q.checks():
		case q.Qtype == dns.TypeAAAA:
			return r.addresses(ctx, q)
		case q.Qtype == dns.TypePTR:
			if a := r.pointer(ctx, q); a != nil {
				return a
			}
		}
	}
	return r.forward(ctx, q, q.Name, q.Qtype)
}

// forward asks for a name on behalf of q. Without an answer it is SERVFAIL.
func (r *resolver) forward(ctx context.Context, q *question, name string, typ uint16) *dns.Msg {
	m := new(dns.Msg)
	m.Question = []dns.Question{{Name: name, Qtype: typ, Qclass: q.Qclass}}
	m.RecursionDesired, m.CheckingDisabled = q.msg.RecursionDesired, q.cd
	m.AuthenticatedData = q.msg.AuthenticatedData
	m.SetEdns0(maxUDP, q.do)
	a, err := r.ask(ctx, m)
	if err != nil {
		r.counters.failed.Inc()
		return failure(q.msg, dns.RcodeServerFailure)
	}
	return a
}

// pack returns the reply's bytes, no more of them than the client takes: TC tells that
// records are missing (RFC 6891 §6.2.5, RFC 2181 §9).
func (q *question) pack(a *dns.Msg, edns bool) []byte {
	rcode := a.Rcode
	a.Id, a.Question, a.Response, a.Opcode = q.msg.Id, q.msg.Question, true, q.msg.Opcode
	a.RecursionDesired, a.CheckingDisabled, a.RecursionAvailable = q.msg.RecursionDesired, q.cd, true
	a.Authoritative = false
	a.Compress = true
	a.Extra = withoutOPT(a.Extra)
	if edns {
		a.SetEdns0(maxUDP, q.do)
	} else if rcode > 0xf {
		a.Rcode = dns.RcodeServerFailure // an extended one needs EDNS
	}
	a.Truncate(q.limit)
	b, err := a.Pack()
	if err != nil {
		b, _ = failure(q.msg, dns.RcodeServerFailure).Pack()
	}
	return b
}

func withoutOPT(rrs []dns.RR) (out []dns.RR) {
	for _, rr := range rrs {
		if rr.Header().Rrtype != dns.TypeOPT {
			out = append(out, rr)
		}
	}
	return out
}

// failure is a reply without records.
func failure(m *dns.Msg, rcode int) *dns.Msg {
	a := new(dns.Msg)
	a.SetRcode(m, rcode)
	return a
}

// refusal answers bytes that are no query: the header alone says so.
func refusal(query []byte, rcode int) []byte {
	m := new(dns.Msg)
	m.Id = uint16(query[0])<<8 | uint16(query[1])
	m.Opcode = int(query[2]>>3) & 0xf
	m.Response, m.Rcode = true, rcode
	b, err := m.Pack()
	if err != nil {
		return nil
	}
	return b
}
