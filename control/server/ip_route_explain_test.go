package server_test

import (
	"strings"
	"testing"
)

// TestRouteExplainEndsAsRouteGet: whatever keeps a packet from its way, the last line of
// an explanation says what ip route get answers.
func TestRouteExplainEndsAsRouteGet(t *testing.T) {
	s := newServer(t)
	for _, line := range []string{
		"ip link set v0 up", "ip link set v1 up", "ip addr add 10.0.0.1/24 dev v0", "ip addr add 10.1.0.1/24 dev v1",
		"ip -6 addr add fd00::1/64 dev v0 nodad", "ip route add 10.9.0.0/16 via 10.1.0.2", "ip route add unreachable 10.8.0.0/16",
		"ip rule add to 10.7.0.0/16 prohibit", "sysctl -w net.ipv4.conf.all.rp_filter=1",
	} {
		if r := run(s, strings.Fields(line)...); r.Status != 0 {
			t.Fatal(line, r.Stderr)
		}
	}
	questions := []string{
		"10.9.0.1", "10.8.0.1", "10.7.0.1", "10.6.0.1", "10.9.0.1 from 10.0.0.77", "10.9.0.1 from 10.0.0.1", "10.0.0.1",
		"10.9.0.1 iif v0 from 10.0.0.7", "10.9.0.1 iif v0 from 10.1.0.7", "10.0.0.1 iif v0 from 10.0.0.7",
		"10.0.0.1 iif v0 from 10.0.0.1", "fd00::7", "fd09::7", "fd00::7 from fd00::1",
	}
	for _, forwarding := range []string{"0", "1"} {
		run(s, "sysctl", "-w", "net.ipv4.ip_forward="+forwarding)
		for _, q := range questions {
			get := run(s, append([]string{"ip", "-o", "route", "get"}, strings.Fields(q)...)...)
			explained := run(s, append([]string{"ip", "-o", "route", "explain"}, strings.Fields(q)...)...)
			want := strings.TrimSpace(get.Stdout)
			if get.Status != 0 {
				want = strings.TrimPrefix(strings.TrimSpace(get.Stderr), "RTNETLINK answers: ")
			}
			if got := strings.TrimSpace(explained.Stdout); !strings.HasSuffix(got, want) || want == "" {
				t.Errorf("forwarding %s, ip route explain %s:\n%s\n%s\nip route get: %s", forwarding, q, got, explained.Stderr, want)
			}
		}
	}
}
