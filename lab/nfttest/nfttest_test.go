package nfttest_test

import (
	"testing"

	"github.com/knitnet/knit/lab/nfttest"
)

// TestFiles: the example of the documentation passes, and reaches every rule.
func TestFiles(t *testing.T) {
	rep := nfttest.Run(t, "testdata/gateway.nft", "testdata/gateway.cases")
	for _, r := range rep.Rules {
		if r.Hits == 0 || r.Never != "" {
			t.Errorf("%v %s: %d hits %s", r.At, r.Text, r.Hits, r.Never)
		}
	}
}

// TestBuilder: packets that are built one by one meet the rules, and what they leave
// behind.
func TestBuilder(t *testing.T) {
	f := nfttest.New(t, "", `table inet filter {
		set seen { type ipv4_addr; flags dynamic, timeout; timeout 1m; }
		chain input {
			type filter hook input priority filter; policy drop
			tcp dport 1000 add @seen { ip saddr } drop
			tcp dport 22 ip saddr @seen accept comment "knocked"
			icmp type echo-request ip ttl 64 accept
			meta mark 7 accept
		}
		chain output {
			type filter hook output priority filter
			udp dport 53 udp sport 1000 drop
		}
	}`)
	ssh := func() *nfttest.Packet { return nfttest.TCP("10.0.0.5:1", "10.0.0.1:22") }
	f.In("eth0", ssh()).Want("drop by policy")
	f.In("eth0", nfttest.TCP("10.0.0.5:1", "10.0.0.1:1000").Flags("syn")).Want("drop")
	f.In("eth0", ssh()).Want(`accept to local by comment "knocked"`)
	f.Line("+61s")
	f.In("eth0", ssh()).Want("drop")
	f.In("eth0", nfttest.ICMP("10.0.0.5", "10.0.0.1", "echo-request")).Want("accept")
	f.In("eth0", nfttest.ICMP("10.0.0.5", "10.0.0.1", "echo-request").Set("ip ttl", 63)).Want("drop")
	f.In("eth0", nfttest.UDP("[fd00::5]:1", "[fd00::1]:2").Mark(7).Payload(9)).Want("accept")
	f.In("eth0", nfttest.ICMPv6("fd00::5", "fd00::1", "echo-request")).Want("drop")
	f.In("eth0", nfttest.IP("10.0.0.5", "10.0.0.1").Set("ip protocol", 47)).Want("drop")
	f.Out(nfttest.UDP("192.0.2.1:1000", "198.51.100.7:53")).Want("drop by chain output")
	f.Out(nfttest.UDP("192.0.2.1:1001", "198.51.100.7:53")).Want("accept to eth1 untouched")
}
