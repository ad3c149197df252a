package control

import (
	"net/netip"
	"strings"
	"testing"
)

// TestSSUsers: -p names the module or the process; without it nobody is named. What
// takes IPv6 alone is told from what takes both.
func TestSSUsers(t *testing.T) {
	any6 := netip.MustParseAddrPort("[::]:80")
	for _, c := range []struct {
		s    Socket
		want string
	}{
		{Socket{Netid: "tcp", State: "LISTEN", Local: any6, Module: "hello"}, `*:80 *:* users:(("hello",module))`},
		{Socket{Netid: "tcp", State: "LISTEN", Local: any6, V6Only: true, Process: "a\x1b", PID: 7}, `[::]:80 [::]:* users:(("a\x1b",pid=7))`},
		{Socket{Netid: "tcp", State: "TIME-WAIT", Local: any6, PID: 7}, `*:80 *:*`},
		{Socket{Netid: "tcp", State: "LISTEN", Local: any6}, `*:80 *:*`},
	} {
		for _, named := range []bool{true, false} {
			var b strings.Builder
			printSockets(&b, &ssFormat{numeric: true, processes: named}, []Socket{c.s})
			want := c.want
			if !named {
				want, _, _ = strings.Cut(want, " users")
			}
			fields := strings.Fields(b.String())
			if got := strings.Join(fields[2:], " "); got != want {
				t.Errorf("-p %t: %s, want %s", named, got, want)
			}
		}
	}
}
