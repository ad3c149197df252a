//go:build !race

package nft_test

import (
	"context"
	"io"
	"net/netip"
	"strings"
	"testing"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/internal/leak"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/std"
)

// statements are what a rule may do to a packet, each in the words of nft. What is
// missing allocates for a reason: log and reject make something of their own, and a
// set's element is made once.
const statements = `
ip saddr 10.0.0.2 ip daddr != 10.0.0.9
ip saddr 10.0.0.0/8 tcp dport 1-1000
ip saddr { 10.0.0.2, 10.0.0.3 } tcp dport { 20-100, 443 }
ip saddr . tcp dport { 10.0.0.2 . 80, 10.0.0.2 . 81 }
ip saddr . tcp dport @both
tcp flags syn / syn,ack tcp option maxseg size 1000-1500
meta mark set tcp dport map { 80 : 5, 81 : 6 }
meta mark set meta mark and 0xff or 0x10
meta iifname "eth*" meta pkttype host meta l4proto tcp
tcp dport vmap { 80 : jump sub, 81 : drop }
ip saddr vmap { 10.0.0.2 : continue, * : drop }
jump sub
counter
counter name n
counter name ip protocol map { tcp : "n", udp : "n" }
quota over 1000 mbytes
quota name "q"
limit rate 1000000/second
limit name "l"
ct count over 100
ct state new,established ct mark 0 ct direction original
ct state vmap { new : continue, established : accept, invalid : drop }
tcp dport 80 ct original ip saddr 10.0.0.2 ct original proto-dst 80
ct mark set 7
ct mark set ct mark or 0x100
notrack
add @seen { ip saddr }
update @timed { ip saddr . tcp dport timeout 1m }
update @counted { ip saddr counter }
update @metered { ip saddr limit rate 1/second }
ip ttl set 7
ip dscp set cs1
tcp dport set 8080
tcp option maxseg size set 1200
fib daddr type local
fib saddr . iif oif missing
numgen inc mod 3 1
jhash ip saddr . tcp dport mod 7 seed 0x1 < 7
symhash mod 2 0
meta random > 5
meta nftrace set 0
@nh,96,32 0x0a000002 @th,16,16 80
`

// TestNoAllocationPerStatement: a packet that a rule has seen before costs no memory.
func TestNoAllocationPerStatement(t *testing.T) {
	k, err := knit.New(knit.Config{Modules: std.Modules(), Clock: clock.NewVirtual()})
	if err != nil {
		t.Fatal(err)
	}
	leak.Zero(t, "packets", k.Pool.Live)
	t.Cleanup(func() { k.Close() })
	for _, m := range []string{"tcp", "nf_tables", "dummy"} {
		if err := k.Modprobe(context.Background(), m); err != nil {
			t.Fatal(err)
		}
	}
	dev, err := k.Link.Create("dummy", "eth0", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.AddAddr("eth0", netip.MustParsePrefix("10.0.0.1/24")); err != nil {
		t.Fatal(err)
	}
	rules, _ := module.Find[netfilter.Ruleset](k.Modules, netfilter.RulesetSymbol)
	for line := range strings.Lines(statements) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		text := `flush ruleset
table ip t {
	counter n { }
	quota q { over 1000 mbytes; }
	limit l { rate 1000000/second; }
	set both { type ipv4_addr . inet_service; flags interval; elements = { 10.0.0.0/24 . 1-100 }; }
	set seen { type ipv4_addr; flags dynamic; size 10; }
	set counted { type ipv4_addr; flags dynamic; size 10; }
	set metered { type ipv4_addr; flags dynamic; size 10; }
	set timed { type ipv4_addr . inet_service; flags dynamic,timeout; size 10; }
	chain sub { counter; }
	chain c { type filter hook prerouting priority 0; ` + line + `; }
}
`
		if err := rules.Run(context.Background(), &netfilter.NFTRequest{Text: text, Name: "rules"}, io.Discard); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		b, err := packetOf(strings.Fields("ip4 10.0.0.2 10.0.0.1 tcp 1000 80 S topt 020405b4"))
		if err != nil {
			t.Fatal(err)
		}
		pkt := k.Pool.Get()
		pkt.Append(b)
		pkt.In = dev.Index()
		var q packet.Queue
		q.Push(pkt)
		n := testing.AllocsPerRun(100, func() { k.Network.Hooks[network.V4].Prerouting.RunBatch(&q) })
		if n != 0 {
			t.Errorf("%s: %v allocations per packet", line, n)
		}
		q.Consume()
	}
}
