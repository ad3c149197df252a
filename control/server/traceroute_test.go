package server

import (
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/lab"
	"github.com/knitnet/knit/network/route"
)

// TestTraceroute: through one router, every method; and to a host behind it that is
// not there.
func TestTraceroute(t *testing.T) {
	inBubble(t, lab.Wire{Delay: 10 * time.Millisecond}, testTraceroute)
}

func testTraceroute(t *testing.T, s *Server, a, z *knit.Kernel) {
	far := lab.Kernel(t, a.Clock, "icmp4", "icmp6", "udp", "tcp")
	lab.Connect(t, z, far, lab.Wire{Delay: 5 * time.Millisecond}, netip.MustParsePrefix("10.0.1.0/24"), netip.MustParsePrefix("fd01::/64"))
	for _, x := range []struct {
		k   *knit.Kernel
		dst string
		via string
	}{
		{a, "10.0.1.0/24", "10.0.0.2"}, {far, "10.0.0.0/24", "10.0.1.1"}, {a, "fd01::/64", "fd00::2"}, {far, "fd00::/64", "fd01::1"},
	} {
		dev, err := x.k.Link.Lookup("lab0")
		if err != nil {
			t.Fatal(err)
		}
		if err := x.k.Network.AddRoute(route.Route{
			Dst: netip.MustParsePrefix(x.dst), NextHops: []route.NextHop{{Index: dev.Index(), Gateway: netip.MustParseAddr(x.via)}},
		}, route.Create); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"} {
		if err := z.Sysctl.Set(name, "1"); err != nil {
			t.Fatal(err)
		}
	}
	for _, k := range []*knit.Kernel{z, far} { // many answers at once
		for _, name := range []string{"net.ipv4.icmp_ratelimit", "net.ipv6.icmp.ratelimit"} {
			if err := k.Sysctl.Set(name, "0"); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, x := range []struct {
		words, stdout string
		status        int
	}{
		{"traceroute 10.0.1.2", `traceroute to 10.0.1.2 \(10.0.1.2\), 30 hops max, 60 byte packets
 1  10.0.0.2  2\d.\d{3} ms  2\d.\d{3} ms  2\d.\d{3} ms
 2  10.0.1.2  3\d.\d{3} ms  3\d.\d{3} ms  3\d.\d{3} ms
`, 0},
		{"traceroute -I -q 1 10.0.1.2 28", `traceroute to 10.0.1.2 \(10.0.1.2\), 30 hops max, 28 byte packets
 1  10.0.0.2  2\d.\d{3} ms
 2  10.0.1.2  3\d.\d{3} ms
`, 0},
		{"traceroute -T -q 2 -p 81 10.0.1.2", `traceroute to 10.0.1.2 \(10.0.1.2\), 30 hops max, 44 byte packets
 1  10.0.0.2  2\d.\d{3} ms  2\d.\d{3} ms
 2  10.0.1.2  3\d.\d{3} ms  3\d.\d{3} ms
`, 0},
		{"traceroute -U -f 2 10.0.1.2", `traceroute to 10.0.1.2 \(10.0.1.2\), 30 hops max, 60 byte packets
 2  10.0.1.2  3\d.\d{3} ms  3\d.\d{3} ms  3\d.\d{3} ms
`, 0},
		{"traceroute -n fd01::2", `traceroute to fd01::2 \(fd01::2\), 30 hops max, 80 byte packets
 1  fd00::2  2\d.\d{3} ms  2\d.\d{3} ms  2\d.\d{3} ms
 2  fd01::2  3\d.\d{3} ms  3\d.\d{3} ms  3\d.\d{3} ms
`, 0},
		{"traceroute -I -q 1 fd01::2", `(?s).*\n 2  fd01::2  3\d.\d{3} ms\n`, 0},
		{"traceroute -m 3 -w 1 -q 2 10.0.1.77", `traceroute to 10.0.1.77 \(10.0.1.77\), 3 hops max, 60 byte packets
 1  10.0.0.2  2\d.\d{3} ms  2\d.\d{3} ms
 2  \* \*
 3  \* \*
`, 0},
		{"traceroute 192.168.5.5", "connect: Network is unreachable\n", 1},
		{"traceroute nosuch", "nosuch: Name or service not known\nCannot handle \"host\" cmdline arg `nosuch'\n", 2},
	} {
		stdout, stderr, status := run(t.Context(), s, strings.Fields(x.words)...)
		if !regexp.MustCompile("^"+x.stdout+"$").MatchString(stdout+stderr) || status != x.status {
			t.Errorf("%s: status %d, want %d\n%s%s", x.words, status, x.status, stdout, stderr)
		}
	}
}
