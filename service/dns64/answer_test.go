package dns64

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/knitnet/knit/wire"
)

// zone is what the nameserver of these tests knows: records by name and type, an
// RCODE in the place of records, or "none" for one that does not answer. "SOA n" is
// an empty answer with a SOA record of n seconds.
var zone = map[string]string{
	"v4.test. A":                "v4.test. 900 IN A 8.8.8.8|v4.test. 900 IN A 9.9.9.9",
	"v4.test. AAAA":             "SOA 300",
	"v4.test. MX":               "v4.test. 60 IN MX 10 mail.test.",
	"short.test. A":             "short.test. 30 IN A 8.8.8.8",
	"short.test. AAAA":          "SOA 300",
	"nosoa.test. A":             "nosoa.test. 9000 IN A 8.8.8.8",
	"nosoa.test. AAAA":          "",
	"v6.test. AAAA":             "v6.test. 60 IN AAAA 2001:db8::1",
	"v6.test. A":                "v6.test. 60 IN A 8.8.8.8",
	"gone.test. AAAA":           "NXDOMAIN",
	"gone.test. A":              "gone.test. 60 IN A 8.8.8.8",
	"lame.test. AAAA":           "SERVFAIL",
	"lame.test. A":              "lame.test. 60 IN A 8.8.8.8",
	"mute.test. AAAA":           "none",
	"mute.test. A":              "mute.test. 60 IN A 8.8.8.8",
	"dead.test. AAAA":           "none",
	"dead.test. A":              "none",
	"mapped.test. AAAA":         "mapped.test. 60 IN AAAA ::ffff:8.8.8.8",
	"mapped.test. A":            "mapped.test. 60 IN A 8.8.8.8",
	"mixed.test. AAAA":          "mixed.test. 60 IN AAAA ::ffff:8.8.8.8|mixed.test. 60 IN AAAA 2001:db8::2|mixed.test. 60 IN RRSIG AAAA 8 2 60 20300101000000 20200101000000 1 test. AAAA",
	"alias.test. AAAA":          "alias.test. 60 IN CNAME v4.test.|SOA 300",
	"alias.test. A":             "alias.test. 60 IN CNAME v4.test.|v4.test. 900 IN A 8.8.8.8|v4.test. 900 IN RRSIG A 8 2 900 20300101000000 20200101000000 1 test. AAAA",
	"private.test. A":           "private.test. 60 IN A 10.0.0.1",
	"private.test. AAAA":        "SOA 300",
	"empty.test. A":             "SOA 300",
	"empty.test. AAAA":          "SOA 300",
	"8.8.8.8.in-addr.arpa. PTR": "8.8.8.8.in-addr.arpa. 120 IN PTR v4.test.",
	"7.8.8.8.in-addr.arpa. PTR": "NXDOMAIN",
}

func fakeAsk(t *testing.T, asked *[]string) func(context.Context, *dns.Msg) (*dns.Msg, error) {
	return func(_ context.Context, q *dns.Msg) (*dns.Msg, error) {
		key := q.Question[0].Name + " " + dns.TypeToString[q.Question[0].Qtype]
		*asked = append(*asked, key)
		what, known := zone[key]
		if !known {
			t.Errorf("asked for %s", key)
		}
		a := new(dns.Msg)
		a.SetReply(q)
		a.AuthenticatedData = true
		a.SetEdns0(4096, false)
		for _, text := range strings.Split(what, "|") {
			soa, isSOA := strings.CutPrefix(text, "SOA ")
			switch {
			case text == "":
			case text == "none":
				return nil, errNoAnswer
			case text == "NXDOMAIN":
				a.Rcode = dns.RcodeNameError
			case text == "SERVFAIL":
				a.Rcode = dns.RcodeServerFailure
			case isSOA:
				a.Ns = append(a.Ns, record(t, "test. "+soa+" IN SOA ns.test. root.test. 1 2 3 4 5"))
			default:
				a.Answer = append(a.Answer, record(t, text))
			}
		}
		return a, nil
	}
}

func record(t *testing.T, text string) dns.RR {
	t.Helper()
	rr, err := dns.NewRR(text)
	if err != nil {
		t.Fatal(err)
	}
	return rr
}

func testResolver(t *testing.T, prefix string) (*resolver, *[]string) {
	t.Helper()
	p, err := wire.NewPref64(netip.MustParsePrefix(prefix))
	if err != nil {
		t.Fatal(err)
	}
	asked := new([]string)
	r := &resolver{prefix: p, exclude: []netip.Prefix{netip.MustParsePrefix("::ffff:0:0/96")}}
	r.ask = fakeAsk(t, asked)
	return r, asked
}

// reply asks r and returns what it answers, as text: RCODE and records.
func reply(t *testing.T, r *resolver, network string, q *dns.Msg) (*dns.Msg, string) {
	t.Helper()
	b, err := q.Pack()
	if err != nil {
		t.Fatal(err)
	}
	m := new(dns.Msg)
	out := r.answer(context.Background(), network, b)
	if err := m.Unpack(out); err != nil {
		t.Fatalf("%v: % x", err, out)
	}
	if !m.Response || m.Id != q.Id || !m.RecursionAvailable {
		t.Errorf("the reply's header: %v", m.MsgHdr)
	}
	text := dns.RcodeToString[m.Rcode]
	for _, rr := range m.Answer {
		text += "|" + strings.ReplaceAll(rr.String(), "\t", " ")
	}
	return m, text
}

func query(name string, typ uint16) *dns.Msg {
	q := new(dns.Msg)
	q.SetQuestion(name, typ)
	return q
}

// TestAnswers: what RFC 6147 says about each kind of answer that the nameserver
// gives.
func TestAnswers(t *testing.T) {
	for _, x := range []struct{ rule, name, typ, want string }{
		{"§5.1.6, §5.1.7: TTL of the SOA", "v4.test.", "AAAA",
			"NOERROR|v4.test. 300 IN AAAA 64:ff9b::808:808|v4.test. 300 IN AAAA 64:ff9b::909:909"},
		{"§5.1.7: TTL of the A record", "short.test.", "AAAA", "NOERROR|short.test. 30 IN AAAA 64:ff9b::808:808"},
		{"§5.1.7: 600 seconds without a SOA", "nosoa.test.", "AAAA", "NOERROR|nosoa.test. 600 IN AAAA 64:ff9b::808:808"},
		{"§5.1.1: real ones are not touched", "v6.test.", "AAAA", "NOERROR|v6.test. 60 IN AAAA 2001:db8::1"},
		{"§5.1.2: Name Error is final", "gone.test.", "AAAA", "NXDOMAIN"},
		{"§5.1.2: other errors are not", "lame.test.", "AAAA", "NOERROR|lame.test. 60 IN AAAA 64:ff9b::808:808"},
		{"§5.1.3: silence is not", "mute.test.", "AAAA", "NOERROR|mute.test. 60 IN AAAA 64:ff9b::808:808"},
		{"§5.1.3: all silent", "dead.test.", "AAAA", "SERVFAIL"},
		{"§5.1.4: IPv4-mapped count as none", "mapped.test.", "AAAA", "NOERROR|mapped.test. 60 IN AAAA 64:ff9b::808:808"},
		{"§5.1.4: others stay", "mixed.test.", "AAAA", "NOERROR|mixed.test. 60 IN AAAA 2001:db8::2"},
		{"§5.1.5: aliases stay", "alias.test.", "AAAA",
			"NOERROR|alias.test. 60 IN CNAME v4.test.|v4.test. 300 IN AAAA 64:ff9b::808:808"},
		{"RFC 6052 §3.1: no private addresses", "private.test.", "AAAA", "NOERROR"},
		{"§5.1.6: no address at all", "empty.test.", "AAAA", "NOERROR"},
		{"§5.2: other questions pass", "v4.test.", "A", "NOERROR|v4.test. 900 IN A 8.8.8.8|v4.test. 900 IN A 9.9.9.9"},
		{"§5.2: other questions pass", "v4.test.", "MX", "NOERROR|v4.test. 60 IN MX 10 mail.test."},
		{"§5.3.1: pointers", "8.0.8.0.8.0.8.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.b.9.f.f.4.6.0.0.ip6.arpa.", "PTR",
			"NOERROR|8.0.8.0.8.0.8.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.b.9.f.f.4.6.0.0.ip6.arpa. 120 IN CNAME 8.8.8.8.in-addr.arpa." +
				"|8.8.8.8.in-addr.arpa. 120 IN PTR v4.test."},
		{"§5.3.1: pointers to nothing", "7.0.8.0.8.0.8.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.b.9.f.f.4.6.0.0.ip6.arpa.", "PTR",
			"NXDOMAIN|7.0.8.0.8.0.8.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.b.9.f.f.4.6.0.0.ip6.arpa. 600 IN CNAME 7.8.8.8.in-addr.arpa."},
		{"RFC 7050 §2.2", "ipv4only.arpa.", "AAAA",
			"NOERROR|ipv4only.arpa. 3600 IN AAAA 64:ff9b::c000:aa|ipv4only.arpa. 3600 IN AAAA 64:ff9b::c000:ab"},
		{"RFC 8880 §7.1", "IPv4only.arpa.", "A", "NOERROR|IPv4only.arpa. 3600 IN A 192.0.0.170|IPv4only.arpa. 3600 IN A 192.0.0.171"},
		{"RFC 8880 §7.1", "ipv4only.arpa.", "MX", "NOERROR"},
		{"RFC 8880 §7.2", "171.0.0.192.in-addr.arpa.", "PTR", "NOERROR|171.0.0.192.in-addr.arpa. 3600 IN PTR ipv4only.arpa."},
	} {
		r, _ := testResolver(t, "64:ff9b::/96")
		m, got := reply(t, r, "udp", query(x.name, dns.StringToType[x.typ]))
		if got != x.want {
			t.Errorf("%s: %s %s:\n%s\nwant\n%s", x.rule, x.name, x.typ, got, x.want)
		}
		if strings.Contains(x.want, "64:ff9b") && m.AuthenticatedData {
			t.Errorf("%s: AD is set in what was made up (§5.5)", x.name)
		}
		if m.IsEdns0() != nil {
			t.Errorf("%s: EDNS for who did not ask with it (RFC 6891 §6.1.1)", x.name)
		}
	}
}

// TestDNSSEC: RFC 6147 §5.5: nothing is made up for who validates himself; with DO
// alone it is, and for who only says CD.
func TestDNSSEC(t *testing.T) {
	for _, x := range []struct {
		do, cd bool
		want   string
	}{
		{false, false, "NOERROR|short.test. 30 IN AAAA 64:ff9b::808:808"},
		{true, false, "NOERROR|short.test. 30 IN AAAA 64:ff9b::808:808"},
		{false, true, "NOERROR|short.test. 30 IN AAAA 64:ff9b::808:808"},
		{true, true, "NOERROR"},
	} {
		r, _ := testResolver(t, "64:ff9b::/96")
		q := query("short.test.", dns.TypeAAAA)
		q.SetEdns0(1232, x.do)
		q.CheckingDisabled = x.cd
		m, got := reply(t, r, "udp", q)
		if got != x.want {
			t.Errorf("DO %v, CD %v: %s, want %s", x.do, x.cd, got, x.want)
		}
		if o := m.IsEdns0(); o == nil || o.Do() != x.do || m.CheckingDisabled != x.cd {
			t.Errorf("DO %v, CD %v: the reply has %v", x.do, x.cd, m)
		}
	}
}

// TestPrefixes: addresses and pointers under a prefix that is not of 96 bits, which
// may stand for private addresses.
func TestPrefixes(t *testing.T) {
	r, _ := testResolver(t, "2001:db8:122:344::/64")
	if _, got := reply(t, r, "udp", query("private.test.", dns.TypeAAAA)); got != "NOERROR|private.test. 60 IN AAAA 2001:db8:122:344:a:0:100:0" {
		t.Error(got)
	}
	name, err := dns.ReverseAddr("2001:db8:122:344:8:808:800::")
	if err != nil {
		t.Fatal(err)
	}
	if _, got := reply(t, r, "udp", query(name, dns.TypePTR)); !strings.HasSuffix(got, "PTR v4.test.") {
		t.Error(got)
	}
}

// TestLimits: RFC 6891 §6.2.5: no more bytes than the client takes, and TC says so.
func TestLimits(t *testing.T) {
	many := make([]string, 100)
	for i := range many {
		many[i] = "many.test. 60 IN A 8.8.8." + string(rune('0'+i%10))
	}
	zone := strings.Join(many, "|")
	for _, x := range []struct {
		network string
		size    uint16 // 0: no EDNS
		most    int
		tc      bool
	}{{"udp", 0, 512, true}, {"udp", 100, 512, true}, {"udp", 1000, 1000, true}, {"udp", 65535, maxUDP, true}, {"tcp", 0, 65535, false}} {
		r, _ := testResolver(t, "64:ff9b::/96")
		r.ask = func(_ context.Context, q *dns.Msg) (*dns.Msg, error) {
			a := new(dns.Msg)
			a.SetReply(q)
			if q.Question[0].Qtype == dns.TypeA {
				for _, text := range strings.Split(zone, "|") {
					a.Answer = append(a.Answer, record(t, text))
				}
			}
			return a, nil
		}
		q := query("many.test.", dns.TypeAAAA)
		if x.size > 0 {
			q.SetEdns0(x.size, false)
		}
		b, _ := q.Pack()
		out := r.answer(context.Background(), x.network, b)
		m := new(dns.Msg)
		if err := m.Unpack(out); err != nil || len(out) > x.most || m.Truncated != x.tc {
			t.Errorf("%s with EDNS %d: %d bytes, TC %v, %v; want at most %d, %v", x.network, x.size, len(out), m.Truncated, err, x.most, x.tc)
		}
	}
}

// TestBadQueries: what is no query gets an answer that says so, or none.
func TestBadQueries(t *testing.T) {
	r, asked := testResolver(t, "64:ff9b::/96")
	q := query("v4.test.", dns.TypeAAAA)
	q.Opcode = dns.OpcodeNotify
	if m, _ := reply(t, r, "udp", q); m.Rcode != dns.RcodeNotImplemented || m.Opcode != dns.OpcodeNotify {
		t.Errorf("NOTIFY: %v", m)
	}
	q = query("v4.test.", dns.TypeAAAA)
	q.SetEdns0(1232, false)
	q.IsEdns0().SetVersion(1)
	if m, _ := reply(t, r, "udp", q); m.Rcode != dns.RcodeBadVers {
		t.Errorf("EDNS version 1 (RFC 6891 §6.1.3): %v", m)
	}
	q = query("v4.test.", dns.TypeAAAA)
	q.Question = append(q.Question, q.Question[0])
	b, _ := q.Pack()
	if out := r.answer(context.Background(), "udp", b); len(out) != 12 || out[3]&0xf != dns.RcodeFormatError || [2]byte(out) != [2]byte(b) {
		t.Errorf("two questions: % x", out)
	}
	for _, b := range [][]byte{nil, b[:11], append([]byte{0, 1, 0x80}, make([]byte, 20)...)} {
		if out := r.answer(context.Background(), "udp", b); out != nil {
			t.Errorf("% x was answered: % x", b, out)
		}
	}
	if len(*asked) > 0 {
		t.Errorf("asked for %v", *asked)
	}
}

// TestParseAnswer: RFC 5452 §9.1: an answer has the identifier and the question of
// what was asked.
func TestParseAnswer(t *testing.T) {
	q := query("v4.test.", dns.TypeA)
	for name, change := range map[string]func(*dns.Msg){
		"":                   func(*dns.Msg) {},
		"another identifier": func(m *dns.Msg) { m.Id++ },
		"no reply":           func(m *dns.Msg) { m.Response = false },
		"another name":       func(m *dns.Msg) { m.Question[0].Name = "v6.test." },
		"another type":       func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeAAAA },
		"no question":        func(m *dns.Msg) { m.Question = nil },
	} {
		a := new(dns.Msg)
		a.SetReply(q)
		a.Question = append([]dns.Question(nil), a.Question...)
		change(a)
		b, err := a.Pack()
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := parseAnswer(b, q); ok != (name == "") {
			t.Errorf("%q: taken %v", name, ok)
		}
	}
}

// FuzzAnswer: whatever is asked and answered, the reply is none or a message that
// fits.
func FuzzAnswer(f *testing.F) {
	b, _ := query("v4.test.", dns.TypeAAAA).Pack()
	f.Add(b, []byte{1, 2, 3, 4})
	p, _ := wire.NewPref64(wire.WellKnownPref64())
	f.Fuzz(func(t *testing.T, query, answer []byte) {
		r := &resolver{prefix: p}
		r.ask = func(context.Context, *dns.Msg) (*dns.Msg, error) {
			a := new(dns.Msg)
			if a.Unpack(answer) != nil {
				return nil, errNoAnswer
			}
			return a, nil
		}
		out := r.answer(context.Background(), "udp", query)
		if out == nil {
			return
		}
		if err := new(dns.Msg).Unpack(out); err != nil || len(out) > maxUDP {
			t.Errorf("% x is answered by % x: %v", query, out, err)
		}
	})
}
