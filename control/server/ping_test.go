package server

import (
	"context"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/internal/leak"
	"github.com/knitnet/knit/lab"
)

// twoKernels returns the server of one of two kernels that share a clock, 10.0.0.1
// and fd00::1, and the other, 10.0.0.2 and fd00::2; a reply takes 20 ms.
func twoKernels(t *testing.T, c *clock.Clock, w lab.Wire) (s *Server, a, z *knit.Kernel) {
	t.Helper()
	modules := []string{"loopback", "icmp4", "icmp6", "udp", "tcp"}
	a, z = lab.Kernel(t, c, modules...), lab.Kernel(t, c, modules...)
	lab.Connect(t, a, z, w, netip.MustParsePrefix("10.0.0.0/24"), netip.MustParsePrefix("fd00::/64"))
	for _, k := range []*knit.Kernel{a, z} {
		if lo, err := k.Link.Lookup("lo"); err == nil {
			lo.SetUp(true)
		}
	}
	return New(a, Config{}), a, z
}

// inBubble runs f where time passes when everybody waits.
func inBubble(t *testing.T, w lab.Wire, f func(t *testing.T, s *Server, a, z *knit.Kernel)) {
	leak.Check(t)
	synctest.Test(t, func(t *testing.T) {
		c := clock.NewReal()
		t.Cleanup(c.Close)
		s, a, z := twoKernels(t, c, w)
		f(t, s, a, z)
	})
}

func TestPing(t *testing.T) {
	inBubble(t, lab.Wire{Delay: 10 * time.Millisecond}, testPing)
}

func testPing(t *testing.T, s *Server, _, _ *knit.Kernel) {
	for _, x := range []struct {
		words          string
		stdout, stderr string // regular expressions of the whole
		status         int
	}{
		{
			"ping -c 2 10.0.0.2", `PING 10.0.0.2 \(10.0.0.2\) 56\(84\) bytes of data.
64 bytes from 10.0.0.2: icmp_seq=1 ttl=64 time=2\d.\d ms
64 bytes from 10.0.0.2: icmp_seq=2 ttl=64 time=2\d.\d ms

--- 10.0.0.2 ping statistics ---
2 packets transmitted, 2 received, 0% packet loss, time 10\d\dms
rtt min/avg/max/mdev = 2\d.\d{3}/2\d.\d{3}/2\d.\d{3}/\d.\d{3} ms
`, "", 0,
		},
		{
			"ping -q -c 1 -s 8 -I 10.0.0.1 fd00::2", "", `ping: connect: Address family not supported by protocol
|.*
`, 2,
		},
		{
			"ping -c 1 -s 8 -I lab0 fd00::2", `PING fd00::2\(fd00::2\) from fd00::1 lab0: 8 data bytes
16 bytes from fd00::2: icmp_seq=1 ttl=64

--- fd00::2 ping statistics ---
1 packets transmitted, 1 received, 0% packet loss, time 2\dms

`, "", 0,
		},
		{
			"ping -q -c 2 -i 0.2 -W 1 10.0.0.9", `PING 10.0.0.9 \(10.0.0.9\) 56\(84\) bytes of data.

--- 10.0.0.9 ping statistics ---
2 packets transmitted, 0 received, 100% packet loss, time 2\d\dms

`, "", 1,
		},
		{
			"ping -c 1 -M do -s 1473 10.0.0.2", `PING 10.0.0.2 \(10.0.0.2\) 1473\(1501\) bytes of data.

--- 10.0.0.2 ping statistics ---
1 packets transmitted, 0 received, \+1 errors, 100% packet loss, time 0ms

`, "ping: local error: message too long, mtu=1500\n", 1,
		},
		{
			"ping -c 1 -p ff00 -s 3000 10.0.0.2", `PATTERN: 0xff00
PING 10.0.0.2 \(10.0.0.2\) 3000\(3028\) bytes of data.
3008 bytes from 10.0.0.2: icmp_seq=1 ttl=64 time=\d\d.\d ms

--- 10.0.0.2 ping statistics ---
1 packets transmitted, 1 received, 0% packet loss, time \d\dms
rtt min/avg/max/mdev = .*
`, "", 0,
		},
		{
			"ping -f -c 3 10.0.0.2", `PING 10.0.0.2 .*
[.\x08 ]+
--- 10.0.0.2 ping statistics ---
3 packets transmitted, 3 received, 0% packet loss, time \d+ms
rtt min/avg/max/mdev = [0-9./]+ ms, pipe \d, ipg/ewma [0-9.]+/[0-9.]+ ms
`, "", 0,
		},
		{"ping -w 2 -c 9 -q 10.0.0.2", `(?s).*\n[23] packets transmitted, [23] received, 0% packet loss.*`, "", 1},
		{"ping 192.0.2.1", "", "ping: connect: Network is unreachable\n", 2},
		{"ping nosuch", "", "ping: nosuch: Name or service not known\n", 2},
		{"ping -4 ::1", "", "ping: ::1: Address family for hostname not supported\n", 2},
		{"ping -I nosuch 10.0.0.2", "", "ping: SO_BINDTODEVICE nosuch: No such device\n", 2},
		{"ping -I 10.9.9.9 10.0.0.2", "", "ping: bind: Cannot assign requested address\n", 2},
		{"ping 10.0.0.255", "", "ping: Do you want to ping broadcast.*\n", 2},
	} {
		begin := time.Now()
		stdout, stderr, status := run(t.Context(), s, strings.Fields(x.words)...)
		if took := time.Since(begin); took >= linger {
			t.Errorf("%s: took %v", x.words, took)
		}
		if !regexp.MustCompile("^"+x.stdout+"$").MatchString(stdout) || !regexp.MustCompile("^(?:"+x.stderr+")$").MatchString(stderr) || status != x.status {
			t.Errorf("%s: status %d, want %d\n%s%s", x.words, status, x.status, stdout, stderr)
		}
	}
}

// TestPingEndsWithStatistics: told to finish, ping says how it went.
func TestPingEndsWithStatistics(t *testing.T) {
	inBubble(t, lab.Wire{}, func(t *testing.T, s *Server, _, _ *knit.Kernel) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		seen := &watcher{until: "icmp_seq=3", then: cancel}
		status := runTo(ctx, s, seen, "ping", "10.0.0.2")
		if out := seen.String(); status != 0 || !strings.Contains(out, "\n3 packets transmitted, 3 received, 0% packet loss") {
			t.Errorf("status %d\n%s", status, out)
		}
	})
}
