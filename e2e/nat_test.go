//go:build e2e && linux

package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/control"
	"github.com/knitnet/knit/control/server"
	"github.com/knitnet/knit/core/stat"
)

// A homeNet is a gateway with two hosts behind it and one outside.
type homeNet struct {
	t        *testing.T
	k        *knit.Kernel
	a, b, z  *host // a and b are inside, z is outside
	call     control.Caller
	commands string // a folder for the files of commands
}

// newHomeNet returns the net with rules that hide the inside behind the gateway's
// outer address, and forward port 8080 there to b and 8081 to a, for those inside too.
func newHomeNet(t *testing.T) *homeNet {
	t.Helper()
	k := startKernel(t, "tcp", "udp")
	n := &homeNet{t: t, k: k, call: server.New(k, server.Config{}), commands: t.TempDir()}
	for _, s := range []string{"net.ipv4.ip_forward=1", "net.ipv4.icmp_ratelimit=0"} {
		n.knit("sysctl", "-w", s)
	}
	n.a, n.b, n.z = newHost(t, k, 1, "tap"), newHost(t, k, 2, "veth"), newHost(t, k, 3, "tun")
	n.load(n.rules())
	return n
}

// rules are those of the net. The last part is for the inside's own way to forwarded
// ports: without it the server would answer the client directly.
func (n *homeNet) rules() string {
	return fmt.Sprintf(`
define wan = %q
table inet filter {
	chain forward {
		type filter hook forward priority filter; policy drop;
		ct state vmap { established : accept, related : accept, invalid : drop }
		iifname != $wan accept
		ct status dnat accept
	}
	chain input {
		type filter hook input priority filter; policy drop;
		ct state established,related accept
		iifname != $wan accept
		meta l4proto icmp accept
		ip6 nexthdr ipv6-icmp accept
	}
}
table ip nat {
	chain prerouting {
		type nat hook prerouting priority dstnat;
		ip daddr %v tcp dport 8080 dnat to %v:80
		ip daddr %v tcp dport 8081 dnat to %v:80
	}
	chain postrouting {
		type nat hook postrouting priority srcnat;
		oifname $wan masquerade
		iifname != $wan ct status dnat masquerade
	}
}
`, n.z.device.Name(), n.z.gw4, n.b.v4, n.z.gw4, n.a.v4)
}

// knit runs a command on the kernel, as the tool does.
func (n *homeNet) knit(words ...string) (out string) {
	n.t.Helper()
	out, stderr, status := n.try(words...)
	if status != 0 {
		n.t.Fatalf("knit %s: status %d: %s", strings.Join(words, " "), status, stderr)
	}
	return out
}

func (n *homeNet) try(words ...string) (stdout, stderr string, status int) {
	var out, errs bytes.Buffer
	c := control.OS()
	c.Stdout, c.Stderr = &out, &errs
	status = control.Run(context.Background(), n.call, c, words...)
	return out.String(), errs.String(), status
}

// load replaces the ruleset, in one transaction.
func (n *homeNet) load(rules string) {
	n.t.Helper()
	file := filepath.Join(n.commands, "rules.nft")
	if err := os.WriteFile(file, []byte("flush ruleset\n"+rules), 0o600); err != nil {
		n.t.Fatal(err)
	}
	n.knit("nft", "-f", file)
}

// listen makes a listener in a host's namespace that is closed at the end.
func (h *host) listen(at string) (ln net.Listener) {
	h.t.Helper()
	if err := h.inside(func() (err error) { ln, err = net.Listen("tcp", at); return err }); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { ln.Close() })
	return ln
}

// web serves a file, and at /who the address that a client seems to have.
func (h *host) web(file []byte) {
	h.t.Helper()
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/who" {
			host, _, _ := net.SplitHostPort(r.RemoteAddr)
			io.WriteString(w, host)
			return
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(file))
	})}
	ln := h.listen(net.JoinHostPort(h.v4.String(), "80"))
	done := make(chan struct{})
	go func() { s.Serve(ln); close(done) }()
	h.t.Cleanup(func() { s.Close(); <-done })
}

// TestNATCurl: through a gateway that masquerades, by forwarded ports from outside,
// and by the outer address from inside (hairpin, RFC 4787 REQ-9), curl gets what the
// server has, and the server sees who it should.
func TestNATCurl(t *testing.T) {
	n := newHomeNet(t)
	captureAll(t, n.a.device, n.b.device, n.z.device)
	file := make([]byte, 4<<20)
	noise().Read(file)
	for _, h := range []*host{n.a, n.b, n.z} {
		h.web(file)
	}
	outer := n.z.gw4.String()
	for _, x := range []struct {
		from  *host
		to    string
		seen  string
		about string
	}{
		{n.a, n.z.v4.String(), outer, "masqueraded"},
		{n.b, n.z.v4.String(), outer, "masqueraded"},
		{n.z, outer + ":8080", n.z.v4.String(), "by a forwarded port"},
		{n.z, outer + ":8081", n.z.v4.String(), "by a forwarded port"},
		{n.a, outer + ":8080", n.b.gw4.String(), "hairpin to the neighbour"},
		{n.a, outer + ":8081", n.a.gw4.String(), "hairpin to itself"},
		{n.a, n.b.v4.String(), n.a.v4.String(), "inside"},
	} {
		if who := n.get(x.from, "http://"+x.to+"/who"); string(who) != x.seen {
			t.Errorf("%s, %v to %s: the server saw %q, want %s", x.about, x.from.v4, x.to, who, x.seen)
		}
		if b := n.get(x.from, "http://"+x.to+"/file"); sha256.Sum256(b) != sha256.Sum256(file) {
			t.Errorf("%s, %v to %s: %d bytes came, and not those that were sent", x.about, x.from.v4, x.to, len(b))
		}
	}
	// The policy: from outside nothing that is not forwarded comes in.
	for _, to := range []string{outer + ":80", n.a.v4.String() + ":80"} {
		if out, err := n.z.try("curl", "-sS", "-m", "1", "http://"+to+"/who"); err == nil {
			t.Errorf("curl http://%s from outside: %s", to, out)
		}
	}
}

// get has curl fetch something.
func (n *homeNet) get(h *host, url string) []byte {
	n.t.Helper()
	file := filepath.Join(n.t.TempDir(), "got")
	h.run("curl", "-sS", "-f", "-m", "60", "-o", file, url)
	b, err := os.ReadFile(file)
	if err != nil {
		n.t.Fatal(err)
	}
	return b
}

// TestNATDiagnostics: ping with fragments, traceroute with every kind of probe, dig
// over UDP and TCP, and a closed port's answer come back through the masquerade:
// errors are translated inside too (RFC 5508 REQ-3).
func TestNATDiagnostics(t *testing.T) {
	n := newHomeNet(t)
	captureAll(t, n.a.device, n.b.device, n.z.device)
	n.z.run("sysctl", "-q", "-w", "net.ipv4.icmp_ratelimit=0") // it takes both for one host
	for _, h := range []*host{n.a, n.b} {
		for _, size := range []string{"0", "56", "1472", "4000", "20000"} {
			out := h.run("ping", "-q", "-n", "-c", "5", "-i", "0.05", "-w", "20", "-s", size, n.z.v4.String())
			if received(out) < 5 {
				t.Errorf("ping -s %s:\n%s", size, out)
			}
		}
		for _, method := range []string{"-n", "-I", "-T"} {
			out := h.run("traceroute", "-n", method, "-w", "10", n.z.v4.String())
			hops := regexp.MustCompile(`(?m)^ *\d+  (\S+)`).FindAllStringSubmatch(out, -1)
			if len(hops) != 2 || hops[0][1] != h.gw4.String() || hops[1][1] != n.z.v4.String() {
				t.Errorf("traceroute %s:\n%s", method, out)
			}
		}
	}
	n.z.nameserver("server.test. 60 IN A 192.0.2.1")
	for _, how := range []string{"+notcp", "+tcp"} {
		if out := n.a.run("dig", "+short", how, "@"+n.z.v4.String(), "server.test", "A"); strings.TrimSpace(out) != "192.0.2.1" {
			t.Errorf("dig %s: %q", how, out)
		}
	}
	if out, err := n.a.try("nc", "-v", "-z", "-w", "5", n.z.v4.String(), "9"); err == nil || !strings.Contains(out, "refused") {
		t.Errorf("a closed TCP port: %v\n%s", err, out)
	}
	if out, err := n.a.try("dig", "+short", "+tries=1", "+time=5", "-p", "5353", "@"+n.z.v4.String(), "x"); err == nil || !strings.Contains(out, "refused") {
		t.Errorf("a closed UDP port: %v\n%s", err, out)
	}
}

// nameserver answers on port 53 of the host from a record.
func (h *host) nameserver(record string) {
	h.t.Helper()
	rr, err := dns.NewRR(record)
	if err != nil {
		h.t.Fatal(err)
	}
	at := netip.AddrPortFrom(h.v4, 53).String()
	var pc net.PacketConn
	if err := h.inside(func() (err error) { pc, err = net.ListenPacket("udp", at); return err }); err != nil {
		h.t.Fatal(err)
	}
	answer := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		r := new(dns.Msg)
		r.SetReply(q)
		r.Answer = []dns.RR{rr}
		w.WriteMsg(r)
	})
	for _, s := range []*dns.Server{{PacketConn: pc, Handler: answer}, {Listener: h.listen(at), Handler: answer}} {
		started, ended := make(chan struct{}), make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		go func() { s.ActivateAndServe(); close(ended) }()
		<-started
		h.t.Cleanup(func() { s.Shutdown(); <-ended })
	}
}

// TestNATIperf3: bulk in both directions, TCP and UDP, masqueraded and by a forwarded
// port.
func TestNATIperf3(t *testing.T) {
	n := newHomeNet(t)
	refill := captureSome(t, 4<<20, n.a.device, n.z.device)
	n.knit("nft", "add", "rule", "ip", "nat", "prerouting", "ip", "daddr", n.z.gw4.String(), "tcp", "dport", "5201", "dnat", "to", n.a.v4.String())
	n.a.start("Server listening", "iperf3", "-s", "--forceflush")
	n.z.start("Server listening", "iperf3", "-s", "--forceflush")
	for _, x := range []struct {
		from *host
		args []string
	}{
		{n.a, []string{"-c", n.z.v4.String(), "-n", "32M"}}, {n.a, []string{"-c", n.z.v4.String(), "-n", "32M", "-R"}},
		{n.b, []string{"-c", n.z.v4.String(), "-n", "32M", "-P", "4"}}, {n.z, []string{"-c", n.z.gw4.String(), "-n", "32M"}},
		{n.z, []string{"-c", n.z.gw4.String(), "-n", "32M", "-R"}},
	} {
		refill()
		if r := x.from.iperf3(x.args...); r.End.SumReceived.Bytes < 16<<20 {
			t.Errorf("iperf3 %v received %d bytes of 32 MB", x.args, r.End.SumReceived.Bytes)
		}
	}
	for _, args := range [][]string{{}, {"-R"}} {
		refill()
		r := n.a.iperf3(append([]string{"-u", "-c", n.z.v4.String(), "-b", "20M", "-t", "1"}, args...)...)
		if r.End.Sum.Packets == 0 {
			t.Errorf("iperf3 -u %v moved no packet", args)
		}
	}
}

// TestRulesReplacedUnderTraffic: a thousand rulesets, each in place of the last one
// as a whole, cost a download and iperf3 neither the connection nor a byte, and the
// packet filter drops nothing.
func TestRulesReplacedUnderTraffic(t *testing.T) {
	n := newHomeNet(t)
	file := make([]byte, 64<<20)
	noise().Read(file)
	n.z.web(file)
	n.z.start("Server listening", "iperf3", "-s", "--forceflush")
	before := n.k.Pool.Drops.Load(stat.NetfilterDrop)
	type result struct {
		sum [sha256.Size]byte
		n   int
	}
	running := make(chan struct{})
	fetched, done := make(chan result, 1), make(chan iperf, 1)
	go func() {
		b, err := n.b.command(context.Background(), "curl", "-sS", "-f", "--limit-rate", "8M", "http://"+n.z.v4.String()+"/file").Output()
		if err != nil {
			t.Errorf("curl: %v", err)
		}
		fetched <- result{sha256.Sum256(b), len(b)}
	}()
	go func() { close(running); done <- n.a.iperf3("-c", n.z.v4.String(), "-t", "8") }()
	<-running
	for i := range 1000 {
		n.load(n.rules() + fmt.Sprintf("table ip extra%d { chain c { type filter hook forward priority %d; tcp dport %d counter; }; }", i%7, i%50, 1+i))
	}
	if r := <-fetched; r.sum != sha256.Sum256(file) {
		t.Errorf("curl got %d bytes of %d, and not those that were sent", r.n, len(file))
	}
	// What was sent at the very end may not have been counted by the receiver.
	if r := <-done; r.End.SumReceived.Bytes == 0 || r.End.SumSent.Bytes-r.End.SumReceived.Bytes > 32<<20 {
		t.Errorf("iperf3 sent %d bytes, received %d", r.End.SumSent.Bytes, r.End.SumReceived.Bytes)
	}
	if d := n.k.Pool.Drops.Load(stat.NetfilterDrop) - before; d != 0 {
		t.Errorf("the packet filter dropped %d packets", d)
	}
}
