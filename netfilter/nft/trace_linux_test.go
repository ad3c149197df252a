//go:build linux

package nft_test

import (
	"regexp"
	"strings"
	"testing"
)

// traced are rules, whose packets are all traced.
const traced = `table inet t {
	set s { type ipv4_addr; elements = { 10.0.0.2, 10.0.0.7 }
	}
	map v { type inet_service : verdict; elements = { 80 : jump web, 53 : accept }
	}
	chain web { tcp flags syn counter return
		counter continue
		meta l4proto tcp goto end
	}
	chain end { counter
	}
	chain pre { type filter hook prerouting priority 0; policy accept
		meta nftrace set 1
		ip saddr @s meta mark set 7
		th dport vmap @v
		icmp type echo-request return
		ip6 nexthdr udp meta mark set 0x10
		tcp dport 22 drop
	}
	chain through { type filter hook forward priority 0; policy drop
		tcp dport 80 ct state new accept
		udp dport 53 meta nftrace set 0
		ip6 daddr fd01::/64 accept
		counter
	}
	chain inp { type filter hook input priority 0; policy accept
		udp dport 4500 reject
		counter
	}
	chain post { type filter hook postrouting priority 0; policy accept
		counter comment "gone"
	}
}
table ip late {
	chain inp { type filter hook input priority 10; policy drop
		icmp type echo-request jump sub
		meta l4proto { tcp, udp } accept
	}
	chain sub { accept
	}
}
table ip6 late {
	chain inp { type filter hook input priority 10; policy accept
		icmpv6 type echo-request accept
	}
}
table arp a {
	chain c { type filter hook input priority 0; policy accept
		meta nftrace set 1
		counter
	}
}
table netdev n {
	chain c { type filter hook ingress device "tap0" priority 0; policy accept
		meta nftrace set 1
		arp operation request accept
		vlan id 5 accept
		ether type ip counter
	}
}
`

// TestTracesJudged: `nft monitor trace` says the same of the same packets here and there,
// but for the numbers of the traces.
func TestTracesJudged(t *testing.T) {
	judged(t, func(t *testing.T, linux *judge) {
		linux.forget()
		packets := append(batteryLines(t),
			"tap0 ether 02:00:00:00:00:01 02:00:00:00:00:02 ip4 10.2.0.2 10.2.0.1 icmp 8 0",
			"tap0 ether ff:ff:ff:ff:ff:ff 02:00:00:00:00:02 ip4 10.2.0.2 10.2.0.255 udp 5 6",
			"tap0 ether 02:00:00:00:00:01 02:00:00:00:00:02 vlan 5 ip4 10.2.0.2 10.2.0.1 icmp 8 0",
			"tap0 ether ff:ff:ff:ff:ff:ff 02:00:00:00:00:02 arp 1 02:00:00:00:00:02 10.2.0.2 00:00:00:00:00:00 10.2.0.1",
			"tun0 ip4 10.0.0.2 10.0.0.1 proto 47 rest 0000080045000000",
			"tun0 ip4 10.0.0.2 10.0.0.1 proto 132 rest 000500060000000012345678 data 3",
			"tun0 ip4 10.0.0.2 10.0.0.1 icmp 5 1 rest 0a00000900000000",
			"tun0 ip4 10.0.0.2 10.0.0.1 icmp 3 4 rest 0000050000000000",
			"tun0 ip4 10.0.0.2 10.0.0.1 off 24 proto 17 data 30",
			"tun0 ip4 10.0.0.2 10.0.0.1 tcp 5 6 X seq 5",
			"tun0 ip4 10.0.0.2 10.0.0.1 proto 6 rest 0005",
			"tun0 ip6 fd00::2 fd00::1 frag 24 0 17 udp 5 54 data 3",
			"tun0 ip6 fd00::2 fd00::1 icmp 2 0 rest 000005dc data 30",
			"tun0 ip6 fd00::2 fd00::1 icmp 136 0 rest 40000000fd0000000000000000000000000000020000",
			"tap0 ether 02:00:00:00:00:01 02:00:00:00:00:02 ip6 fd02::2 fd02::1 udp 5 6",
		)
		here := newKnitSide(t)
		want := tracesOf(t, linux, func() <-chan string { return linux.monitor(t, "monitor trace") }, packets)
		got := tracesOf(t, here, func() <-chan string { return here.monitor(t, "monitor trace") }, packets)
		if got != want {
			t.Errorf("the traces differ:\n%s", diffLines(got, want, want))
		}
	})
}

// tracesOf sends packets to rules that trace them and returns what a monitor has said.
func tracesOf(t *testing.T, s side, monitor func() <-chan string, packets []string) string {
	t.Helper()
	if _, err := s.nft(traced); err != nil {
		t.Fatal(err)
	}
	lines := monitor() // which knows the rules that are there when it starts
	send := func(line string) {
		w := strings.Fields(line)
		b, err := packetOf(w[1:])
		if err != nil {
			t.Fatal(err)
		}
		s.send(map[string]int{"tun0": 0, "tun1": 1, "tap0": 2}[w[0]], b)
	}
	for heard := false; !heard; { // it listens once it tells of a probe
		send("tun0 ip4 10.0.0.99 10.0.0.1 udp 1 9997")
		select {
		case <-lines:
			heard = true
		default:
		}
	}
	send("tun0 ip4 10.0.0.99 10.0.0.1 udp 1 9998")
	for _, p := range packets {
		send(p)
	}
	send("tun0 ip4 10.0.0.99 10.0.0.1 udp 1 9999")
	var out strings.Builder
	begun := false
	for line := range lines {
		switch {
		case strings.Contains(line, "udp dport 9999"):
			return out.String()
		case begun:
			out.WriteString(traceID.ReplaceAllString(line, "") + "\n")
		case strings.Contains(line, "udp dport 9998"):
			begun = true
		}
	}
	t.Fatal("the monitor ended")
	return ""
}

// traceID, and counters, which nft shows as they were when the monitor began.
var traceID = regexp.MustCompile(`^trace id [0-9a-f]+ | packets \d+ bytes \d+`)
