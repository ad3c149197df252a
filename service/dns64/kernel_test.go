package dns64_test

import (
	"context"
	"net"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/internal/leak"
	"github.com/knitnet/knit/lab"
)

// TestService: the module answers over UDP and TCP, asks again over TCP what a
// nameserver has cut, and asks the next one when one does not answer.
func TestService(t *testing.T) {
	leak.Check(t)
	k := lab.Kernel(t, nil, "ip4", "ip6", "tcp", "udp")
	serve(t, k, "127.0.0.1:5300")
	// Nobody is at the first: ICMP says so at once.
	err := k.Modprobe(context.Background(), "dns64", "upstream=127.0.0.1:5399,127.0.0.1:5300", "listen=::1,127.0.0.1", "prefix=2001:db8::/96")
	if err != nil {
		t.Fatal(err)
	}
	for _, network := range []string{"udp", "tcp"} {
		for _, at := range []string{"[::1]:53", "127.0.0.1:53"} {
			conn, err := k.Dial(network, at)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			q := new(dns.Msg)
			q.SetQuestion("long.test.", dns.TypeAAAA)
			q.SetEdns0(1232, false)
			a := exchange(t, network, conn, q)
			if a.Rcode != dns.RcodeSuccess || len(a.Answer) == 0 || !strings.HasSuffix(a.Answer[0].String(), "2001:db8::808:808") {
				t.Errorf("%s %s: %v", network, at, a)
			}
			if a.Truncated != (network == "udp") {
				t.Errorf("%s: TC is %v", network, a.Truncated)
			}
		}
	}
	if err := k.Rmmod(context.Background(), "dns64"); err != nil {
		t.Error(err)
	}
}

// serve answers questions for A with a hundred records, and others with none.
func serve(t *testing.T, k *knit.Kernel, at string) {
	t.Helper()
	pc, err := k.ListenPacket("udp", at)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := k.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	h := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		a := new(dns.Msg)
		a.SetReply(q)
		for range 100 {
			if q.Question[0].Qtype == dns.TypeA {
				rr, _ := dns.NewRR(q.Question[0].Name + " 60 IN A 8.8.8.8")
				a.Answer = append(a.Answer, rr)
			}
		}
		if w.RemoteAddr().Network() == "udp" {
			a.Truncate(512)
		}
		w.WriteMsg(a)
	})
	for _, s := range []*dns.Server{{PacketConn: pc, Handler: h}, {Listener: ln, Handler: h}} {
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		ended := make(chan struct{})
		go func() { s.ActivateAndServe(); close(ended) }()
		<-started
		t.Cleanup(func() { s.Shutdown(); <-ended })
	}
}

func exchange(t *testing.T, network string, conn net.Conn, q *dns.Msg) *dns.Msg {
	t.Helper()
	b, err := q.Pack()
	if err != nil {
		t.Fatal(err)
	}
	if network == "tcp" {
		b = append([]byte{byte(len(b) >> 8), byte(len(b))}, b...)
	}
	if _, err := conn.Write(b); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 65535)
	n, want := 0, 1
	for n < want {
		m, err := conn.Read(buf[n:])
		if err != nil {
			t.Fatal(err)
		}
		if n += m; network == "tcp" {
			if want = 2; n >= 2 {
				want = 2 + int(buf[0])<<8 + int(buf[1])
			}
		}
	}
	start := 0
	if network == "tcp" {
		start = 2
	}
	a := new(dns.Msg)
	if err := a.Unpack(buf[start:n]); err != nil {
		t.Fatal(err)
	}
	return a
}

// TestParameters: what makes no sense is refused with a message that says what was
// expected, and leaves nothing behind.
func TestParameters(t *testing.T) {
	k := lab.Kernel(t, nil, "ip4", "ip6", "tcp", "udp")
	for _, x := range []struct{ params, want string }{
		{"", "want 1 to 8 nameservers"},
		{"upstream=nobody", `"nobody": want ADDRESS`},
		{"upstream=::", "want ADDRESS"},
		{"upstream=::1 listen=x", `"x": want IP addresses of this kernel`},
		{"upstream=::1 prefix=2001:db8::/33", "want a prefix of 32, 40"},
		{"upstream=::1 exclude=10.0.0.0/8", "want IPv6 prefixes"},
	} {
		err := k.Modprobe(context.Background(), "dns64", strings.Fields(x.params)...)
		if err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%q: %v, want %q", x.params, err, x.want)
		}
	}
}
