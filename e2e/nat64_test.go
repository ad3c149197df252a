//go:build e2e && linux

package e2e

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/link"
)

// prefix64 stands for IPv4 in these tests, whose addresses are private.
const prefix64 = "fd00:64::"

// nat64 returns a kernel that translates between a namespace that has IPv6 alone and
// one that has IPv4 alone.
func nat64(t *testing.T, params ...string) (k *knit.Kernel, a, z *host) {
	t.Helper()
	k, a, z = gateway(t)
	a.run("ip", "-4", "addr", "flush", "dev", "eth0")
	z.run("ip", "-6", "addr", "flush", "dev", "eth0")
	for _, s := range []string{"net.ipv4.icmp_ratelimit", "net.ipv6.icmp.ratelimit"} {
		if err := k.Sysctl.Set(s, "0"); err != nil {
			t.Fatal(err)
		}
	}
	if err := k.Modprobe(context.Background(), "nat64", append(params, "prefix="+prefix64+"/96")...); err != nil {
		t.Fatal(err)
	}
	return k, a, z
}

// embedded is the IPv6 address of an IPv4 host.
func embedded(a netip.Addr) string {
	b := a.As4()
	return fmt.Sprintf("%s%x:%x", prefix64, binary.BigEndian.Uint16(b[:2]), binary.BigEndian.Uint16(b[2:]))
}

func device(t *testing.T, k *knit.Kernel, name string) *link.Device {
	t.Helper()
	d, err := k.Link.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestDNS64: dig gets an address made of the one that the server has, and curl gets
// there by its name.
func TestDNS64(t *testing.T) {
	k, a, z := nat64(t)
	nameserver(t, k, "127.0.0.1:5300", "server.test. 60 IN A "+z.v4.String(), "2.0.2.10.in-addr.arpa. 60 IN PTR server.test.")
	if err := k.Modprobe(context.Background(), "dns64", "upstream=127.0.0.1:5300", "prefix="+prefix64+"/96"); err != nil {
		t.Fatal(err)
	}
	captureAll(t, a.device)
	for _, x := range []struct{ want, args string }{
		{embedded(z.v4), "server.test AAAA"}, {embedded(z.v4), "+tcp server.test AAAA"}, {z.v4.String(), "server.test A"},
		{"2.0.2.10.in-addr.arpa.\nserver.test.", "-x " + embedded(z.v4)}, {"", "+cd +dnssec server.test AAAA"},
		{prefix64 + "c000:aa\n" + prefix64 + "c000:ab", "ipv4only.arpa AAAA"}, {"", "nobody.test AAAA"},
	} {
		out := a.run("dig", append([]string{"+short", "@" + a.gw6.String()}, strings.Fields(x.args)...)...)
		if strings.TrimSpace(out) != x.want {
			t.Errorf("dig %s: %q, want %q", x.args, out, x.want)
		}
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("found it"), 0o600); err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(dir, "resolv.conf")
	if err := os.WriteFile(conf, []byte("nameserver "+a.gw6.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	z.start("Serving HTTP", "python3", "-u", "-m", "http.server", "--bind", "0.0.0.0", "--directory", dir, "8080")
	script := "mount --bind " + conf + " /etc/resolv.conf && exec curl -s -S -f http://server.test:8080/file"
	if out := a.run("unshare", "--mount", "sh", "-c", script); out != "found it" {
		t.Errorf("curl by name: %q", out)
	}
}

// nameserver answers at an address of the kernel from a few records.
func nameserver(t *testing.T, k *knit.Kernel, at string, records ...string) {
	t.Helper()
	pc, err := k.ListenPacket("udp", at)
	if err != nil {
		t.Fatal(err)
	}
	zone := map[dns.Question]dns.RR{}
	for _, text := range records {
		rr, err := dns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		zone[dns.Question{Name: rr.Header().Name, Qtype: rr.Header().Rrtype, Qclass: dns.ClassINET}] = rr
	}
	started, ended := make(chan struct{}), make(chan struct{})
	s := &dns.Server{PacketConn: pc, NotifyStartedFunc: func() { close(started) }}
	s.Handler = dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		r := new(dns.Msg)
		r.SetReply(q)
		if rr := zone[q.Question[0]]; rr != nil {
			r.Answer = []dns.RR{rr}
		}
		w.WriteMsg(r)
	})
	go func() { s.ActivateAndServe(); close(ended) }()
	<-started
	t.Cleanup(func() { s.Shutdown(); <-ended })
}
