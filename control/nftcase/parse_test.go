package nftcase_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/knitnet/knit/control/nftcase"
	"github.com/knitnet/knit/netfilter"
)

// TestWrong: each mistake gets one message that names the line and says what is
// wanted.
func TestWrong(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"bogus", "t:1: bogus: want device, route, sysctl, case, in, out, flow, the name of a flow, nft, hits, counter, pcap or +TIME"},
		{"\n# comment\nin eth0 tcp 1.1.1.1:1 > 2.2.2.2:2", "t:3: want -> and what is expected behind the packet"},
		{"in eth0 tcp 1.1.1.1:1 > 2.2.2.2:2 ->", "t:1: want accept, drop or reject behind ->"},
		{"in eth0 tcp 1.1.1.1:1 > 2.2.2.2:2 -> maybe", "t:1: maybe: want accept, drop, reject, to, snat, dnat, untouched, with, mark, by, hit or as"},
		{"in eth0 tcp 1.1.1.1:1 > 2.2.2.2:2 -> accept drop", "t:1: drop: the verdict is accept already"},
		{"in eth0 tcp 1.1.1.1:1 > 2.2.2.2:2 -> drop to eth1", "t:1: drop: a packet that goes nowhere has no destination and no translation"},
		{"in eth0 tcp 1.1.1.1:1 > 2.2.2.2:2 -> accept with tcp reset", "t:1: accept: with belongs to reject"},
		{"in eth0 tcp 1.1.1.1:1 > 2.2.2.2:2 -> reject with icmp nonsense", "t:1: with icmp nonsense: want tcp reset, or icmp or icmpv6 and the name of a code or type"},
		{"in eth9 tcp 1.1.1.1:1 > 2.2.2.2:2 -> drop", "t:1: there is no device eth9"},
		{"in eth0 tcp 1.1.1.1:1 > 2.2.2.2:2 -> accept to eth9", "t:1: there is no device eth9"},
		{"in eth0 tcp 1.1.1.1:1 > fe80::1 -> drop", "t:1: 1.1.1.1 and fe80::1 are of different families"},
		{"in eth0 tcp dport 22 -> drop", "t:1: the packet needs a source and a destination address"},
		{"in eth0 tcp 1.1.1.1:1 > 2.2.2.2:99999 -> drop", "t:1: 2.2.2.2:99999 is neither an address nor address:port"},
		{"in eth0 1.1.1.1:1 > 2.2.2.2:2 -> drop", "t:1: a port needs the name of a protocol with ports in front of the addresses"},
		{"in eth0 tcp 1.1.1.1:1 > 2.2.2.2:2 udp dport 3 -> drop", "t:1: udp: the packet has a tcp header already"},
		{"in eth0 tcp 1.1.1.1:1 > 2.2.2.2:2 ip ttl 256 -> drop", "t:1: ip ttl: 256 is no integer"},
		{"in eth0 tcp 1.1.1.1:1 > 2.2.2.2:2 ip ttl -> drop", "t:1: the line ends here: want the value of ip ttl"},
		{"in eth0 tcp 1.1.1.1:1 > 2.2.2.2:2 flags green -> drop", "t:1: tcp flags: green is no TCP flag"},
		{"in eth0 tcp 1.1.1.1:1 > 2.2.2.2:2 payload x -> drop", "t:1: payload: x is neither a length nor 0x and bytes nor a text in quotes"},
		{"in eth0 tcp 1.1.1.1:1 > 2.2.2.2:2 payload 65535 -> drop", "t:1: a packet of 65575 bytes is too long"},
		{"in eth0 tcp 1.1.1.1:1 > 2.2.2.2:2 option ts tsval 1 -> drop", "t:1: ts is no TCP option that can be made: want one of fastopen, maxseg, md5sig, nop, sack, sack-perm, timestamp, window"},
		{"in eth0 tcp 1.1.1.1:1 > 2.2.2.2:2 payload \"x -> drop", "t:1: \"x -> drop: the quotation mark is not closed"},
		{"in eth0 tcp 1.1.1.1:1 > 2.2.2.2:2 -> drop by rule 3", "t:1: rule: want handle N, comment TEXT, line N or chain NAME"},
		{"in eth0 tcp 1.1.1.1:1 > 2.2.2.2:2 -> snat 1.1.1.1:9-3", "t:1: 1.1.1.1:9-3: 9-3 is no port and no range of ports"},
		{"flow a in eth0 tcp 1.1.1.1:1 > 2.2.2.2:2\nflow a in eth0 tcp 1.1.1.1:1 > 2.2.2.2:2", "t:2: a flow cannot be called a here"},
		{"flow reply in eth0 tcp 1.1.1.1:1 > 2.2.2.2:2", "t:1: a flow cannot be called reply here"},
		{"flow a in eth0 tcp 1.1.1.1:1 > 2.2.2.2:2\ncase other\na syn -> drop", "t:3: a: want device, route"},
		{"flow a in eth0 tcp 1.1.1.1:1 > 2.2.2.2:2\na error tcp -> drop", "t:2: error: want icmp or icmpv6 with a type"},
		{"flow a in eth0 udp 1.1.1.1:1 > 2.2.2.2:2\na error icmp -> accept", "t:2: error: want icmp or icmpv6 with a type"},
		{"in eth0 tcp 1.1.1.1:1 > 2.2.2.2:2 ip6 hoplimit 3 -> drop", "t:1: ip6 hoplimit: the packet has no such header"},
		{"in eth0 tcp [fd00::5]:1 > [fd00::1]:2 ip ttl 3 -> drop", "t:1: ip ttl: the packet has no such header"},
		{"in eth0 1.1.1.1 > 2.2.2.2 th dport 3 -> drop", "t:1: th dport: the packet has no such header"},
		{"in eth0 arp operation request ip ttl 3 -> drop", "t:1: ip ttl: the packet has no such header"},
		{"in eth0 raw 45000014 ip ttl 3 -> drop", "t:1: raw: the packet is whole, and has no fields beside"},
		{"in eth0 raw 45000014 payload 3 -> drop", "t:1: raw: the packet is whole, and has no fields beside"},
		{"in eth0 tcp 1.1.1.1:1 > 2.2.2.2:2 vlan pcp 3 -> drop", "t:1: vlan pcp: the tag needs an id"},
		{"in eth0 tcp fe80::1%eth0 > fe80::2 -> drop", "t:1: fe80::1%eth0 is neither an address nor address:port"},
		{"in eth0 tcp 1.1.1.1:1 > 2.2.2.2:2 -> accept as", "t:1: as: want fields"},
		{"in eth0 tcp 1.1.1.1:1 > 2.2.2.2:2 -> accept as raw 45", "t:1: as: want fields"},
		{"in eth0 tcp 1.1.1.1:1 > 2.2.2.2:2 -> accept as ip ttl 3 truncate 30", "t:1: as: want fields"},
		{"in eth0 tcp 1.1.1.1:1 > 2.2.2.2:2 -> accept as ether saddr 02:00:00:00:00:01", "t:1: as ether saddr: the packet that comes out begins with its network header"},
		{"+30", "t:1: +30 is no time to wait: want +30s, +10m, +1h or +2d, at most a year"},
		{"+999d", "t:1: +999d is no time to wait"},
		{"case", "t:1: the case needs a title"},
		{"case x\ndevice eth7", "t:2: device: the network stands in front of the first case and packet"},
		{"device a\ndevice a", "t:2: there is a device a already"},
		{"device a 10.0.0.1", "t:1: 10.0.0.1 is no address/length"},
		{"device a mtu 5", "t:1: mtu: want a number from 68 to 65535"},
		{"device in", "t:1: a device cannot be called in"},
		{"route default", "t:1: the route needs via ADDRESS or dev NAME"},
		{"route 10.0.0.0/8 via fe80::1", "t:1: fe80::1 is not of the family of 10.0.0.0/8"},
		{"sysctl net.ipv4.ip_forward", "t:1: the line ends here: want a value for net.ipv4.ip_forward"},
		{"sysctl a=b c", "t:1: c: nothing is expected here"},
		{"hits handle x -> 1", "t:1: handle: x is no number"},
		{"hits line 3 1", "t:1: want -> and a number"},
		{"counter t c", "t:1: want -> and packets N, bytes N or both"},
		{"counter ip t c ->", "t:1: the line ends here: want packets or bytes"},
		{"counter ip t c -> packets x", "t:1: x is no number"},
		{"counter ip t c -> flowers 3", "t:1: flowers: want packets or bytes"},
		{"pcap f in eth0 -> accept", "t:1: the line ends here: want a number of packets"},
		{"nft", "t:1: nft: want a command"},
	} {
		_, err := nftcase.Parse("t", c.text)
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%q:\n\tgot  %v\n\twant %s", c.text, err, c.want)
		}
	}
}

// FuzzTable: no table, well formed or not, ends the program, and what runs leaves no
// packet behind. The rules use what has state.
func FuzzTable(f *testing.F) {
	b, err := os.ReadFile("testdata/gateway.cases")
	if err != nil {
		f.Fatal(err)
	}
	for c := range strings.SplitSeq(string(b), "\n\n") {
		f.Add(c)
	}
	f.Add("in eth0 raw 4500001400000000400600000a0000050a000001 -> drop")
	f.Add("in eth0 udp 10.0.0.5:1 > 10.0.0.1:2 ip frag-off 0x2000 payload 16 truncate 30 -> drop")
	f.Add("in eth0 arp operation request saddr ip 10.0.0.5 -> accept\n+1s\nin eth0 tcp [fd00::5]:1 > [fd00::1]:2 option maxseg size 1 vlan id 3 -> drop")
	rules, err := os.ReadFile("testdata/gateway.nft")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 4000 || strings.Contains(text, "nft ") {
			t.Skip("long, or it is the rules' language that is tested")
		}
		table, err := nftcase.Parse("t", text)
		if err != nil || len(table.Cases) > 4 {
			return
		}
		if _, err := nftcase.Run(context.Background(), &netfilter.NFTRequest{Text: string(rules)}, table, nftcase.Options{}); err != nil {
			if strings.Contains(err.Error(), "left") {
				t.Error(err)
			}
		}
	})
}
