package nftcase_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/knitnet/knit/link/capture"
	"github.com/knitnet/knit/netfilter/rule"
)

// TestFields: what a line says of a field is what a rule about that field finds.
func TestFields(t *testing.T) {
	skip := map[string]bool{
		// They say how long things are, or what comes behind: the packet would be another.
		"ip version": true, "ip hdrlength": true, "ip length": true, "ip checksum": true, "ip frag-off": true, "ip protocol": true, "ip saddr": true, "ip daddr": true,
		"ip6 version": true, "ip6 length": true, "ip6 nexthdr": true, "ip6 saddr": true, "ip6 daddr": true, "udp length": true, "udplite csumcov": true, "tcp doff": true,
		"ether type": true,
	}
	n := 0
	for _, name := range []string{"ether", "ip", "ip6", "icmp", "icmpv6", "tcp", "udp", "udplite", "dccp", "sctp", "esp", "ah", "comp"} {
		for _, f := range rule.HeaderByName(name).Fields {
			field := name + " " + f.Name
			if skip[field] {
				continue
			}
			value := "1"
			if f.Type == rule.EtherAddr {
				value = "02:00:00:00:00:01" // the device's own, for daddr
			}
			need, ends := "", "10.0.0.5 > 10.0.0.1"
			if name == "ip6" || name == "icmpv6" {
				ends = "fd00::5 > fd00::1"
			}
			switch { // nft wants to know for which messages a field is meant
			case field == "icmp gateway":
				need = "icmp type redirect "
			case field == "icmp mtu":
				need = "icmp type destination-unreachable "
			case field == "icmpv6 parameter-problem":
				need = "icmpv6 type parameter-problem "
			case field == "icmpv6 mtu":
				need = "icmpv6 type packet-too-big "
			case field == "icmpv6 max-delay":
				need = "icmpv6 type mld-listener-query "
			}
			header := name + " "
			if name == "ether" || name == "ip" || name == "ip6" {
				header = ""
			}
			rules := fmt.Sprintf("table inet t { chain c { type filter hook prerouting priority -500; %s %s drop comment \"it\"; }; }", field, value)
			line := fmt.Sprintf("in eth0 %s%s %s %s %s", header, ends, need, field, value)
			if rep := run(t, rules, line+" -> drop by comment \"it\""); !rep.OK() {
				t.Errorf("%s: %v %v", line, rep.Results[0].Problems, rep.Results[0].Got)
			}
			if rep := run(t, strings.Replace(rules, " drop", " counter", 1), line+" -> drop by comment \"it\""); rep.OK() {
				t.Errorf("%s: the test would not notice if it did not match", line)
			}
			n++
		}
	}
	if n < 50 {
		t.Errorf("only %d fields were tried", n)
	}
}

// TestReplay: a capture's packets come at the times at which they were recorded, and
// are counted by verdict.
func TestReplay(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.pcapng")
	var b bytes.Buffer
	w, err := capture.NewWriter(&b, capture.PCAPNG, capture.Interface{Name: "x", Type: capture.LinkRaw})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Unix(1_000_000, 0)
	for i := range 10 { // two a second
		p := []byte{0x45, 0, 0, 28, 0, 0, 0, 0, 64, 1, 0, 0, 10, 0, 0, 5, 10, 0, 0, 1, 8, 0, 0xf7, 0xff, 0, 0, 0, 0}
		sum := uint32(0)
		for j := 0; j < 20; j += 2 {
			sum += uint32(p[j])<<8 | uint32(p[j+1])
		}
		sum = sum>>16 + sum&0xffff
		p[10], p[11] = byte(^sum>>8), byte(^sum)
		if err := w.Write(capture.Record{Time: at.Add(time.Duration(i) * 500 * time.Millisecond), Length: len(p), Data: p}); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	rules := "table ip t { chain in { type filter hook input priority 0; icmp type echo-request limit rate 1/second burst 1 packets accept; drop; }; }"
	rep := run(t, rules, "pcap \""+file+"\" in eth0 -> accept 5 drop 5")
	if !rep.OK() {
		t.Errorf("%v", rep.Results[0].Problems)
	}
	rep = run(t, rules, "pcap \""+file+"\" in eth0 -> accept 10")
	want := []string{"want 10 packets with verdict accept, got 5", "want 0 packets with verdict drop, got 5"}
	if got := rep.Results[0].Problems; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %q, want %q", got, want)
	}
	rep = run(t, rules, "pcap nosuch.pcap in eth0 -> accept 10")
	if p := rep.Results[0].Problems; len(p) != 1 || !strings.Contains(p[0], "no such file") {
		t.Errorf("a capture that is not there: %q", p)
	}
}

// TestCoverage: hits of all cases count together, and rules that none can reach say why.
func TestCoverage(t *testing.T) {
	rep := run(t, "table ip t {\n chain in {\n  type filter hook input priority 0\n  ip ttl 1 ip ttl 2 drop\n  ip ttl 3 drop\n  ip ttl 4 drop\n }\n chain alone {\n  drop\n }\n}",
		"case a\nin eth0 10.0.0.5 > 10.0.0.1 ip ttl 3 -> drop\ncase b\nin eth0 10.0.0.5 > 10.0.0.1 ip ttl 3 -> drop")
	var got []string
	for _, r := range rep.Rules {
		got = append(got, fmt.Sprintf("%d %d %s", r.At.Line, r.Hits, r.Never))
	}
	want := []string{"4 0 it contradicts itself", "5 2 ", "6 0 ", "9 0 no packet comes to chain alone"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
