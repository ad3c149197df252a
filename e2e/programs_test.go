//go:build e2e && linux

package e2e

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/knitnet/knit/link"
)

// A route is a way through a gateway that translates.
type route struct {
	name         string
	from, server *host
	to           string   // the server's address, as the client knows it
	seen         string   // the client's address, as the server sees it
	hops         []string // what traceroute finds
	noActive     bool     // no FTP connections from the server to the client
}

// url is where something of the server's is.
func (p *route) url(scheme, name string) string {
	return scheme + "://" + strings.TrimSuffix(net.JoinHostPort(p.to, ""), ":") + "/" + name
}

// served is what every server of these tests has.
type served struct {
	file []byte
	sum  string
	name string // of the file
	ssh  map[*host][]string
	ftp  map[*host]string // where uploads arrive
}

// programs are what is tried on every path.
var programs = []struct {
	name string
	try  func(t *testing.T, p *route, s *served)
}{
	{"ping", tryPing}, {"traceroute", tryTraceroute}, {"dig", tryDig}, {"curl", tryCurl}, {"ssh", trySSH},
	{"ftp", tryFTP}, {"iperf3", tryIperf3}, {"closed ports", tryClosed},
}

// serve starts the servers of all programs on a host.
func (s *served) serve(h *host) {
	h.t.Helper()
	h.run("sysctl", "-q", "-w", "net.ipv4.icmp_ratelimit=0")
	h.web(s.file)
	h.nameserver("server.test. 60 IN A 192.0.2.1")
	h.start("Server listening", "iperf3", "-s", "-4", "--forceflush")
	s.ftp[h] = h.ftp(s.file)
	if !inUserNamespace() {
		s.ssh[h] = h.sshd()
	}
}

func newServed(t *testing.T) *served {
	s := &served{file: make([]byte, 2<<20), ssh: map[*host][]string{}, ftp: map[*host]string{}}
	noise().Read(s.file)
	s.sum = fmt.Sprintf("%x", sha256.Sum256(s.file))
	s.name = filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(s.name, s.file, 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestPrograms: real programs on all ways through a gateway: to a server outside
// behind a masquerade (NAT44), to a server inside by the gateway's outer address from
// outside and from inside (hairpin, RFC 4787 REQ-9), and from IPv6 alone to IPv4 alone
// by the gateway's own address and by one that is routed to it (NAT64).
func TestPrograms(t *testing.T) {
	t.Run("NAT44", func(t *testing.T) {
		n := newHomeNet(t)
		n.load(n.rules() + helped + fmt.Sprintf(`
			table ip dmz { chain prerouting { type nat hook prerouting priority dstnat + 5; ip daddr %v dnat to %v; }; }`, n.z.gw4, n.b.v4))
		outer := n.z.gw4.String()
		// An error about a packet whose destination was changed comes from the address that
		// it was sent to, whoever reports it, as on Linux.
		tryAll(t, []*link.Device{n.a.device, n.b.device, n.z.device}, []route{
			{name: "masquerade", from: n.a, server: n.z, to: n.z.v4.String(), seen: outer, hops: []string{n.a.gw4.String(), n.z.v4.String()}},
			{name: "forwarded", from: n.z, server: n.b, to: outer, seen: n.z.v4.String(), hops: []string{outer, outer}},
			{name: "hairpin", from: n.a, server: n.b, to: outer, seen: n.b.gw4.String(), hops: []string{outer, outer}},
		})
	})
	for name, pool := range map[string]string{"NAT64 masquerade": "masquerade", "NAT64 pool": "192.0.2.1"} {
		t.Run(name, func(t *testing.T) {
			k, a, z := nat64(t, "pool4="+pool)
			to := embedded(z.v4)
			seen := pool
			if pool == "masquerade" {
				seen = z.gw4.String()
			} else {
				z.run("ip", "route", "add", pool, "via", z.gw4.String())
			}
			tryAll(t, []*link.Device{a.device, z.device, device(t, k, "nat64")}, []route{
				{name: "out", from: a, server: z, to: to, seen: seen, hops: []string{a.gw6.String(), to}, noActive: true},
			})
			if b, err := k.Proc.Read("net/nat64/sessions"); err != nil || !strings.Contains(string(b), z.v4.String()) {
				t.Errorf("/proc/net/nat64/sessions: %v\n%s", err, b)
			}
		})
	}
}

// tryAll runs all programs on paths, under the eyes of tshark.
func tryAll(t *testing.T, watched []*link.Device, paths []route) {
	refill := captureSome(t, 4<<20, watched...)
	s := newServed(t)
	for _, p := range paths {
		if s.ftp[p.server] == "" {
			s.serve(p.server)
		}
		t.Run(p.name, func(t *testing.T) {
			for _, x := range programs {
				t.Run(x.name, func(t *testing.T) { refill(); x.try(t, &p, s) })
			}
		})
	}
}

// tryPing: echoes of all sizes are answered, with fragments too.
func tryPing(t *testing.T, p *route, _ *served) {
	for _, size := range []string{"0", "56", "1400", "1472", "4000", "20000"} {
		if out, err := p.from.try("ping", "-q", "-n", "-c", "5", "-i", "0.05", "-w", "20", "-s", size, p.to); err != nil || received(out) < 5 {
			t.Errorf("ping -s %s: %v\n%s", size, err, out)
		}
	}
}

// tryTraceroute: probes of every kind find the gateway, and then the server: errors are
// translated with what they quote (RFC 5508 REQ-4).
func tryTraceroute(t *testing.T, p *route, _ *served) {
	for _, method := range []string{"-n", "-I", "-T"} {
		out, err := p.from.try("traceroute", "-n", method, "-w", "10", p.to)
		var hops []string
		for _, m := range regexp.MustCompile(`(?m)^ *\d+  (\S+)`).FindAllStringSubmatch(out, -1) {
			hops = append(hops, m[1])
		}
		if err != nil || !slices.Equal(hops, p.hops) {
			t.Errorf("traceroute %s: %v, want %v\n%s", method, err, p.hops, out)
		}
	}
}

// tryDig: a name is answered over UDP and TCP.
func tryDig(t *testing.T, p *route, _ *served) {
	for _, how := range []string{"+notcp", "+tcp"} {
		if out, err := p.from.try("dig", "+short", how, "@"+p.to, "server.test", "A"); err != nil || strings.TrimSpace(out) != "192.0.2.1" {
			t.Errorf("dig %s: %q, %v", how, out, err)
		}
	}
}

// tryCurl: a file comes as it is, and the server sees whom it should.
func tryCurl(t *testing.T, p *route, s *served) {
	if who, err := p.from.try("curl", "-sS", "-g", "-f", "-m", "60", p.url("http", "who")); err != nil || who != p.seen {
		t.Errorf("the server sees %q, want %s; %v", who, p.seen, err)
	}
	p.download(t, s, p.url("http", "file"))
}

// download has curl fetch the file, and compares.
func (p *route) download(t *testing.T, s *served, url string, options ...string) {
	t.Helper()
	got := filepath.Join(t.TempDir(), "got")
	out, err := p.from.try("curl", append(options, "-sS", "-g", "-f", "-m", "60", "-o", got, url)...)
	if b, rerr := os.ReadFile(got); err != nil || rerr != nil || !bytes.Equal(b, s.file) {
		t.Errorf("curl %v %s: %d bytes came, and not those of the file: %v %s", options, url, len(b), err, out)
	}
}

// trySSH: ssh carries a file in both directions.
func trySSH(t *testing.T, p *route, s *served) {
	options := s.ssh[p.server]
	if options == nil {
		t.Skip("sshd changes users, and here is only one: run as root")
	}
	out, err := p.from.try("ssh", append(options, "root@"+p.to, "echo $SSH_CLIENT; sha256sum < "+s.name)...)
	if f := strings.Fields(out); err != nil || len(f) < 4 || f[0] != p.seen || f[3] != s.sum {
		t.Errorf("ssh: %q, want from %s and sum %s; %v", out, p.seen, s.sum, err)
	}
	ssh := "ssh " + strings.Join(options, " ") + " root@" + p.to
	for _, pipe := range []string{ssh + " cat " + s.name + " | sha256sum", ssh + " sha256sum < " + s.name} {
		if out, err := p.from.try("sh", "-c", pipe); err != nil || !strings.HasPrefix(out, s.sum) {
			t.Errorf("%s: %q, want %s; %v", pipe, out, s.sum, err)
		}
	}
}

// tryFTP: downloads and uploads in the four ways to open a data connection (RFC 959,
// RFC 2428).
func tryFTP(t *testing.T, p *route, s *served) {
	for _, way := range []struct {
		name    string
		options []string
		active  bool
	}{
		{"EPSV", nil, false}, {"PASV", []string{"--disable-epsv"}, false},
		{"EPRT", []string{"-P", "-"}, true}, {"PORT", []string{"-P", "-", "--disable-eprt"}, true},
	} {
		if way.active && p.noActive {
			// The server does not know IPv6, and says so (RFC 2428 §2, reply 522), upon which
			// this client does nothing any more.
			out, err := p.from.try("curl", append(way.options, "-sS", "-v", "-g", "-m", "2", p.url("ftp", "file"))...)
			if err == nil || !strings.Contains(out, "\n< 522 ") {
				t.Errorf("%s: %v, want it to be refused by 522\n%s", way.name, err, out)
			}
			continue
		}
		p.download(t, s, p.url("ftp", "file"), way.options...)
		if out, err := p.from.try("curl", append(way.options, "-sS", "-g", "-m", "60", "-T", s.name, p.url("ftp", way.name))...); err != nil {
			t.Errorf("%s: the upload fails: %v %s", way.name, err, out)
		}
		if b, err := os.ReadFile(filepath.Join(s.ftp[p.server], way.name)); err != nil || !bytes.Equal(b, s.file) {
			t.Errorf("%s: %d bytes came up, and not those of the file: %v", way.name, len(b), err)
		}
		os.Remove(filepath.Join(s.ftp[p.server], way.name))
	}
}

// tryIperf3: bulk in both directions, with more streams than one, and datagrams. The
// server stops counting when the client says that it has sent all, and what is in the
// buffers of four streams then is many megabytes.
func tryIperf3(t *testing.T, p *route, _ *served) {
	for _, args := range [][]string{{}, {"-R"}, {"-P", "4"}} {
		if r := p.from.iperf3(append([]string{"-c", p.to, "-n", "32M"}, args...)...); r.End.SumReceived.Bytes < 8<<20 {
			t.Errorf("iperf3 %v received %d bytes of 32 MB", args, r.End.SumReceived.Bytes)
		}
	}
	for _, args := range [][]string{{}, {"-R"}} {
		if r := p.from.iperf3(append([]string{"-u", "-c", p.to, "-b", "20M", "-n", "1M"}, args...)...); r.End.Sum.Packets == 0 {
			t.Errorf("iperf3 -u %v moved no packet", args)
		}
	}
}

// tryClosed: where nobody listens programs are told so at once.
func tryClosed(t *testing.T, p *route, _ *served) {
	if out, err := p.from.try("nc", "-v", "-z", "-w", "5", p.to, "9"); err == nil || !strings.Contains(out, "refused") {
		t.Errorf("a closed TCP port: %v\n%s", err, out)
	}
	if out, err := p.from.try("dig", "+short", "+tries=1", "+time=5", "-p", "5353", "@"+p.to, "x"); err == nil || !strings.Contains(out, "refused") {
		t.Errorf("a closed UDP port: %v\n%s", err, out)
	}
}
