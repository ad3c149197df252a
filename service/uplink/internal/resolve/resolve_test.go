package resolve

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/knitnet/knit/internal/leak"
	"golang.org/x/net/dns/dnsmessage"
)

// query builds a question with the reference codec.
func query(t testing.TB, name string, typ dnsmessage.Type) []byte {
	t.Helper()
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 4711, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: typ, Class: dnsmessage.ClassINET}},
	}
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// unpack reads a reply with the reference codec and checks what all replies have.
func unpack(t testing.TB, b []byte) dnsmessage.Message {
	t.Helper()
	var m dnsmessage.Message
	if err := m.Unpack(b); err != nil {
		t.Fatalf("reply %x: %v", b, err)
	}
	if !m.Response || m.ID != 4711 || !m.RecursionDesired || !m.RecursionAvailable {
		t.Errorf("header of the reply: %+v", m.Header)
	}
	return m
}

// texts are the data of the answers.
func texts(m dnsmessage.Message) string {
	var out []string
	for _, a := range m.Answers {
		switch r := a.Body.(type) {
		case *dnsmessage.AResource:
			out = append(out, netip.AddrFrom4(r.A).String())
		case *dnsmessage.AAAAResource:
			out = append(out, netip.AddrFrom16(r.AAAA).String())
		case *dnsmessage.PTRResource:
			out = append(out, r.PTR.String())
		case *dnsmessage.CNAMEResource:
			out = append(out, r.CNAME.String())
		case *dnsmessage.NSResource:
			out = append(out, r.NS.String())
		case *dnsmessage.MXResource:
			out = append(out, r.MX.String())
		case *dnsmessage.TXTResource:
			out = append(out, strings.Join(r.TXT, ""))
		}
	}
	return strings.Join(out, " ")
}

func write(t testing.TB, name, text string) string {
	t.Helper()
	name = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// fakeSystem knows one name of each kind.
type fakeSystem struct{}

var errGone = &net.DNSError{Err: "no such host", IsNotFound: true}

func (fakeSystem) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	switch host {
	case "www.example.":
		return []netip.Addr{netip.MustParseAddr("::ffff:192.0.2.1"), netip.MustParseAddr("2001:db8::1")}, nil
	case "sick.example.":
		return nil, errors.New("the resolver is ill")
	case "many.example.":
		var as []netip.Addr
		for i := range 100 {
			as = append(as, netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}))
		}
		return as, nil
	}
	return nil, errGone
}
func (fakeSystem) LookupAddr(_ context.Context, addr string) ([]string, error) {
	if addr != "192.0.2.1" && addr != "2001:db8::1" {
		return nil, errGone
	}
	return []string{"www.example."}, nil
}
func (fakeSystem) LookupCNAME(context.Context, string) (string, error) { return "real.example.", nil }
func (fakeSystem) LookupMX(context.Context, string) ([]*net.MX, error) {
	return []*net.MX{{Host: "mail.example.", Pref: 10}}, nil
}
func (fakeSystem) LookupTXT(context.Context, string) ([]string, error) {
	return []string{strings.Repeat("long ", 100)}, nil
}
func (fakeSystem) LookupNS(context.Context, string) ([]*net.NS, error) {
	return []*net.NS{{Host: "ns.example."}}, nil
}

// TestSystem: without a nameserver the system's own resolver answers.
func TestSystem(t *testing.T) {
	r := New(Config{System: fakeSystem{}})
	for _, c := range []struct {
		name  string
		typ   dnsmessage.Type
		rcode dnsmessage.RCode
		want  string
	}{
		{"www.example.", dnsmessage.TypeA, dnsmessage.RCodeSuccess, "192.0.2.1"},
		{"WWW.Example.", dnsmessage.TypeAAAA, dnsmessage.RCodeSuccess, "2001:db8::1"},
		{"no.example.", dnsmessage.TypeA, dnsmessage.RCodeNameError, ""},
		{"sick.example.", dnsmessage.TypeA, dnsmessage.RCodeServerFailure, ""},
		{"1.2.0.192.in-addr.arpa.", dnsmessage.TypePTR, dnsmessage.RCodeSuccess, "www.example."},
		{"9.2.0.192.in-addr.arpa.", dnsmessage.TypePTR, dnsmessage.RCodeNameError, ""},
		{"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.", dnsmessage.TypePTR, dnsmessage.RCodeSuccess, "www.example."},
		{"alias.example.", dnsmessage.TypeCNAME, dnsmessage.RCodeSuccess, "real.example."},
		{"example.", dnsmessage.TypeMX, dnsmessage.RCodeSuccess, "mail.example."},
		{"example.", dnsmessage.TypeNS, dnsmessage.RCodeSuccess, "ns.example."},
		{"example.", dnsmessage.TypeSOA, dnsmessage.RCodeNotImplemented, ""},
		{"localhost.", dnsmessage.TypeAAAA, dnsmessage.RCodeSuccess, "::1"},
		{"a.localhost.", dnsmessage.TypeA, dnsmessage.RCodeSuccess, "127.0.0.1"},
	} {
		m := unpack(t, r.Answer(context.Background(), "tcp", query(t, c.name, c.typ)))
		if m.RCode != c.rcode || texts(m) != c.want {
			t.Errorf("%s %v: %v %q, want %v %q", c.name, c.typ, m.RCode, texts(m), c.rcode, c.want)
		}
	}
	m := unpack(t, r.Answer(context.Background(), "tcp", query(t, "example.", dnsmessage.TypeTXT)))
	if texts(m) != strings.Repeat("long ", 100) {
		t.Errorf("TXT: %q", texts(m))
	}
}

// TestTruncated: an answer that does not fit into 512 bytes of UDP is cut, so that
// the client comes back over TCP.
func TestTruncated(t *testing.T) {
	r := New(Config{System: fakeSystem{}})
	q := query(t, "many.example.", dnsmessage.TypeA)
	b := r.Answer(context.Background(), "udp", q)
	if m := unpack(t, b); len(b) > 512 || !m.Truncated || len(m.Answers) != 0 {
		t.Errorf("over UDP: %d bytes, truncated %v", len(b), m.Truncated)
	}
	if m := unpack(t, r.Answer(context.Background(), "tcp", q)); m.Truncated || len(m.Answers) != 100 {
		t.Errorf("over TCP: %d answers, truncated %v", len(m.Answers), m.Truncated)
	}
}

// TestHosts: the host's table of names goes first, is read again when it changes,
// and its loopback addresses stay its own.
func TestHosts(t *testing.T) {
	name := write(t, "hosts", "192.0.2.7 Box box.example # the box\n2001:db8::7\tbox\n127.0.1.1 host\n\nnonsense\n")
	r := New(Config{System: fakeSystem{}, Hosts: name})
	ask := func(name string, typ dnsmessage.Type) string {
		m := unpack(t, r.Answer(context.Background(), "udp", query(t, name, typ)))
		return strings.TrimPrefix(m.RCode.String(), "RCode") + " " + texts(m)
	}
	for _, c := range []struct {
		name string
		typ  dnsmessage.Type
		want string
	}{
		{"box.", dnsmessage.TypeA, "Success 192.0.2.7"},
		{"BOX.", dnsmessage.TypeAAAA, "Success 2001:db8::7"},
		{"box.example.", dnsmessage.TypeAAAA, "Success "}, // it has none, and is there
		{"7.2.0.192.in-addr.arpa.", dnsmessage.TypePTR, "Success box."},
		{"host.", dnsmessage.TypeA, "NameError "},
	} {
		if got := ask(c.name, c.typ); got != c.want {
			t.Errorf("%s %v: %q, want %q", c.name, c.typ, got, c.want)
		}
	}
	if err := os.WriteFile(name, []byte("192.0.2.123 box\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := ask("box.", dnsmessage.TypeA); got != "Success 192.0.2.123" {
		t.Errorf("after a change: %q", got)
	}
}

// TestBadQueries: what is no query is answered as such, or not at all.
func TestBadQueries(t *testing.T) {
	r := New(Config{System: fakeSystem{}})
	good := query(t, "www.example.", dnsmessage.TypeA)
	change := func(f func(b []byte) []byte) []byte { return f(bytes.Clone(good)) }
	for name, c := range map[string]struct {
		b     []byte
		rcode int // -1: no answer
	}{
		"nothing":       {nil, -1},
		"a header":      {good[:12], rcodeFormErr},
		"less":          {good[:11], -1},
		"cut":           {good[:len(good)-1], rcodeFormErr},
		"a reply":       {change(func(b []byte) []byte { b[2] |= 0x80; return b }), -1},
		"a status":      {change(func(b []byte) []byte { b[2] |= 2 << 3; return b }), rcodeNotImp},
		"two questions": {change(func(b []byte) []byte { b[5] = 2; return b }), rcodeFormErr},
		"a pointer":     {change(func(b []byte) []byte { b[12] = 0xc0; return b }), rcodeFormErr},
		"a dot inside":  {change(func(b []byte) []byte { b[14] = '.'; return b }), rcodeFormErr},
	} {
		a := r.Answer(context.Background(), "udp", c.b)
		switch {
		case c.rcode < 0 && a != nil:
			t.Errorf("%s: answered %x", name, a)
		case c.rcode >= 0 && (len(a) < headerLen || int(a[3]&0xf) != c.rcode || a[2]&0x80 == 0):
			t.Errorf("%s: answered %x, want response code %d", name, a, c.rcode)
		}
	}
}

func TestParseConf(t *testing.T) {
	c := parseConf("# comment\nnameserver 192.0.2.1 ; first\nnameserver nonsense\nnameserver fe80::1%eth0\nnameserver [192.0.2.2]:5353\nnameserver 192.0.2.4\noptions timeout:2 attempts:7 rotate ndots:x\nsearch a b\n")
	want := []string{"192.0.2.1:53", "[fe80::1%eth0]:53", "192.0.2.2:5353"}
	if len(c.servers) != len(want) || c.timeout != 2*time.Second || c.rounds != 5 {
		t.Fatalf("%+v", c)
	}
	for i, s := range c.servers {
		if s.String() != want[i] {
			t.Errorf("server %d: %v, want %s", i, s, want[i])
		}
	}
}

// A server is a nameserver on the loopback of this machine: what it does with a
// query is up to reply.
func server(t *testing.T, asked *atomic.Int32, reply func(q []byte) [][]byte) netip.AddrPort {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go func() {
		b := make([]byte, 1500)
		for {
			n, from, err := c.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			asked.Add(1)
			for _, r := range reply(b[:n]) {
				c.WriteToUDPAddrPort(r, from)
			}
		}
	}()
	return c.LocalAddr().(*net.UDPAddr).AddrPort()
}

// withCode answers a query with a response code.
func withCode(code byte) func(q []byte) [][]byte {
	return func(q []byte) [][]byte {
		b := bytes.Clone(q)
		b[2], b[3] = b[2]|0x80, 0x80|code
		return [][]byte{b}
	}
}

func dial(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, network, to.String())
}

// TestServers: the query goes on as it is to the first server that can tell, and
// answers that are none of ours are not believed.
func TestServers(t *testing.T) {
	leak.Check(t)
	var nobody, sick, other atomic.Int32
	dead, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	closed := dead.LocalAddr().(*net.UDPAddr).AddrPort()
	dead.Close() // refuses from now on
	failing := server(t, &sick, withCode(rcodeServFail))
	knowing := server(t, &other, func(q []byte) [][]byte {
		wrongID, wrongName := bytes.Clone(q), bytes.Clone(q)
		wrongID[0]++
		wrongName[13]++
		return append([][]byte{{1}, withCode(0)(wrongID)[0], withCode(0)(wrongName)[0]}, withCode(rcodeNXDomain)(q)[0])
	})
	never := server(t, &nobody, withCode(0))
	conf := write(t, "resolv.conf", "nameserver "+closed.String()+"\nnameserver "+failing.String()+"\nnameserver "+knowing.String()+"\nnameserver "+never.String()+"\n")
	r := New(Config{Dial: dial, ResolvConf: conf, System: fakeSystem{}})
	q := query(t, "www.example.", dnsmessage.TypeA)
	b := r.Answer(context.Background(), "udp", q)
	if len(b) < headerLen || b[3]&0xf != rcodeNXDomain || binary.BigEndian.Uint16(b) != 4711 || b[13] != q[13] {
		t.Errorf("answer %x", b)
	}
	if sick.Load() != 1 || other.Load() != 1 || nobody.Load() != 0 {
		t.Errorf("asked: the sick server %d times, the knowing one %d, the fourth %d; want 1, 1, 0", sick.Load(), other.Load(), nobody.Load())
	}
}

// TestNoServer: when all servers fail the client is told, with the answer of one if
// there is one.
func TestNoServer(t *testing.T) {
	leak.Check(t)
	refuse := func(context.Context, string, netip.AddrPort) (net.Conn, error) { return nil, syscall.ECONNREFUSED }
	conf := write(t, "resolv.conf", "nameserver 192.0.2.1\n")
	r := New(Config{Dial: refuse, ResolvConf: conf, System: fakeSystem{}})
	if m := unpack(t, r.Answer(context.Background(), "udp", query(t, "www.example.", dnsmessage.TypeA))); m.RCode != dnsmessage.RCodeServerFailure {
		t.Errorf("%v, want a server failure", m.RCode)
	}
	var asked atomic.Int32
	s := server(t, &asked, withCode(rcodeRefused))
	r = New(Config{Dial: dial, ResolvConf: write(t, "resolv.conf", "nameserver "+s.String()+"\n"), System: fakeSystem{}})
	if b := r.Answer(context.Background(), "udp", query(t, "www.example.", dnsmessage.TypeA)); b[3]&0xf != rcodeRefused {
		t.Errorf("response code %d, want refused", b[3]&0xf)
	}
}

// FuzzAnswer: whatever is asked, the reply is a message that can be read, about
// the same question.
func FuzzAnswer(f *testing.F) {
	f.Add(query(f, "www.example.", dnsmessage.TypeA))
	f.Add(query(f, "1.2.0.192.in-addr.arpa.", dnsmessage.TypePTR))
	f.Add(query(f, "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.", dnsmessage.TypePTR))
	f.Add(query(f, ".", dnsmessage.TypeTXT))
	r := New(Config{System: fakeSystem{}})
	f.Fuzz(func(t *testing.T, q []byte) {
		b := r.Answer(context.Background(), "udp", q)
		if b == nil {
			return
		}
		if len(b) > max(maxUDP, len(q)) {
			t.Fatalf("%d bytes", len(b))
		}
		var m dnsmessage.Message
		if err := m.Unpack(b); err != nil {
			t.Fatalf("reply %x: %v", b, err)
		}
		if question, err := parseQuestion(q); len(m.Questions) > 0 && (err != nil || !bytes.Equal(b[headerLen:question.end], q[headerLen:question.end])) {
			t.Fatalf("another question: %x to %x", b, q)
		}
	})
}

// FuzzIsAnswer: messages of strangers never panic.
func FuzzIsAnswer(f *testing.F) {
	q, _ := parseQuestion(query(f, "www.example.", dnsmessage.TypeA))
	f.Add(query(f, "www.example.", dnsmessage.TypeA))
	f.Fuzz(func(t *testing.T, b []byte) { isAnswer(b, q) })
}

// FuzzFiles: configuration files may hold anything.
func FuzzFiles(f *testing.F) {
	f.Add("nameserver 192.0.2.1\noptions timeout:1 attempts:2\n", "192.0.2.1 a b\n")
	f.Fuzz(func(t *testing.T, conf, hosts string) {
		if c := parseConf(conf); c.timeout <= 0 || c.rounds <= 0 || len(c.servers) > maxServers {
			t.Fatalf("%+v", c)
		}
		parseHosts(hosts)
	})
}
