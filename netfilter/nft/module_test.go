package nft_test

import (
	"context"
	"errors"
	"io"
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

func newKernel(t *testing.T) (*knit.Kernel, netfilter.Ruleset) {
	t.Helper()
	leak.Check(t)
	k, err := knit.New(knit.Config{Modules: std.Modules(), Clock: clock.NewVirtual()})
	if err != nil {
		t.Fatal(err)
	}
	leak.Zero(t, "packets", k.Pool.Live)
	t.Cleanup(func() { k.Close() })
	for _, m := range []string{"tcp", "nf_tables"} {
		if err := k.Modprobe(context.Background(), m); err != nil {
			t.Fatal(err)
		}
	}
	rules, _ := module.Find[netfilter.Ruleset](k.Modules, netfilter.RulesetSymbol)
	return k, rules
}

func loadRules(t *testing.T, r netfilter.Ruleset, text string) {
	t.Helper()
	if err := r.Run(context.Background(), &netfilter.NFTRequest{Text: text, Name: "rules"}, io.Discard); err != nil {
		t.Fatal(err)
	}
}

func loaded(k *knit.Kernel, name string) bool {
	_, ok := k.Modules.Loaded(name)
	return ok
}

// TestAutoload: rules load the modules that they need, hold them as long as they are
// there, and let them go then.
func TestAutoload(t *testing.T) {
	for rule, name := range map[string]string{
		"type filter hook input priority 0; limit rate 1/second":  "nft_limit",
		"type filter hook input priority 0; log":                  "nf_log_syslog",
		"type filter hook input priority 0; ct state new":         "nf_conntrack",
		"type nat hook postrouting priority srcnat; masquerade":   "nf_nat",
		"type filter hook input priority 0; ct count over 5 drop": "nf_conntrack",
	} {
		k, rules := newKernel(t)
		if loaded(k, name) {
			t.Fatalf("%s is there before any rule", name)
		}
		loadRules(t, rules, "table ip t {\n\tchain c { "+rule+"; }\n}\n")
		if !loaded(k, name) {
			t.Fatalf("%s does not load %s", rule, name)
		}
		if err := k.Rmmod(context.Background(), name); !errors.Is(err, module.ErrInUse) {
			t.Errorf("%s: rmmod %s: %v, want that it is in use", rule, name, err)
		}
		loadRules(t, rules, "flush ruleset")
		if err := k.Rmmod(context.Background(), name); err != nil {
			t.Errorf("rmmod %s without rules: %v", name, err)
		}
	}
}

// TestLogLine: a packet in dmesg, in the words of Linux's nf_log.
func TestLogLine(t *testing.T) {
	k, rules := newKernel(t)
	loadRules(t, rules, "table inet t {\n\tchain c { type filter hook prerouting priority 0; log prefix \"web: \" level info; log group 3 prefix \"nobody\"; }\n}\n")
	for v, words := range []string{
		"ip4 10.0.0.2 10.0.0.1 tos 16 id 7 df tcp 1000 80 S win 100",
		"ip6 fd00::2 fd00::1 ttl 5 tos 16 flow 5 udp 7 53 data 2",
	} {
		b, err := packetOf(strings.Fields(words))
		if err != nil {
			t.Fatal(err)
		}
		pkt := k.Pool.Get()
		pkt.Append(b)
		pkt.Mark = uint32(v * 9)
		var q packet.Queue
		q.Push(pkt)
		k.Network.Hooks[v].Prerouting.RunBatch(&q)
		q.Consume()
	}
	var log string
	for _, e := range k.Log.Entries() {
		log += e.String() + "\n"
	}
	for _, want := range []string{
		"web: IN= OUT= SRC=10.0.0.2 DST=10.0.0.1 LEN=40 TOS=0x10 PREC=0x00 TTL=64 ID=7 DF PROTO=TCP SPT=1000 DPT=80 WINDOW=100 RES=0x00 SYN URGP=0 \n",
		"web: IN= OUT= SRC=fd00:0000:0000:0000:0000:0000:0000:0002 DST=fd00:0000:0000:0000:0000:0000:0000:0001 LEN=50 TC=16 HOPLIMIT=5 FLOWLBL=5 PROTO=UDP SPT=7 DPT=53 LEN=10 MARK=0x9 \n",
	} {
		if !strings.Contains(log, want) {
			t.Errorf("dmesg says\n%s\nnot %q", log, want)
		}
	}
	if strings.Contains(log, "nobody") {
		t.Error("what goes to a group is in dmesg")
	}
}

// TestRmmodWithRules: nf_tables goes with its rules under traffic, as the module's
// removal on Linux takes the ruleset with it, and lets go of what rules held.
func TestRmmodWithRules(t *testing.T) {
	k, rules := newKernel(t)
	loadRules(t, rules, "table ip t {\n\tset s { type ipv4_addr; flags dynamic; size 100; }\n\tchain c { type filter hook prerouting priority 0; ct state new add @s { ip saddr }; tcp dport 81 drop; }\n}\n")
	b, err := packetOf(strings.Fields("ip4 10.0.0.2 10.0.0.1 tcp 1000 81 S"))
	if err != nil {
		t.Fatal(err)
	}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			pkt := k.Pool.Get()
			pkt.Append(b)
			var q packet.Queue
			q.Push(pkt)
			w := k.Walks.Enter()
			k.Network.Hooks[network.V4].Prerouting.RunBatch(&q)
			w.Exit()
			q.Consume()
		}
	}()
	for range 20 {
		if err := k.Rmmod(context.Background(), "nf_tables"); err != nil {
			t.Fatal(err)
		}
		if err := k.Rmmod(context.Background(), "nf_conntrack"); err != nil {
			t.Fatal(err)
		}
		if err := k.Modprobe(context.Background(), "nf_tables"); err != nil {
			t.Fatal(err)
		}
		rules, _ = module.Find[netfilter.Ruleset](k.Modules, netfilter.RulesetSymbol)
		loadRules(t, rules, "table ip t {\n\tchain c { type filter hook prerouting priority 0; ct state new; limit rate 5/second; tcp dport 81 drop; }\n}\n")
	}
	close(stop)
	<-done
}
