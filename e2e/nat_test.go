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
