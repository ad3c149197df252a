package reach_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/netfilter/reach"
	"github.com/knitnet/knit/netfilter/rule"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/std"
	"github.com/knitnet/knit/wire"
)

// A filter is a kernel with a ruleset, and where its rules are written.
type filter struct {
	kernel *knit.Kernel
	rules  netfilter.WatchedRuleset
	lines  map[*rule.Rule]int
}

func newFilter(t testing.TB) *filter {
	t.Helper()
	k, err := knit.New(knit.Config{Modules: std.Modules()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Close() })
	if err := k.Modprobe(context.Background(), "nf_tables"); err != nil {
		t.Fatal(err)
	}
	f := &filter{kernel: k, lines: map[*rule.Rule]int{}}
	f.rules, _ = module.Find[netfilter.WatchedRuleset](k.Modules, netfilter.RulesetSymbol)
	return f
}

func (f *filter) load(t testing.TB, text string) {
	t.Helper()
	if err := f.try(text); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
}

func (f *filter) try(text string) error {
	clear(f.lines)
	return f.rules.Run(context.Background(), &netfilter.NFTRequest{
		Name: "rules", Text: "flush ruleset\n" + text,
		Placed: func(r *rule.Rule, _ string, line int) { f.lines[r] = line - 1 },
	}, io.Discard)
}

// loadSome loads a ruleset without the rules that are refused, and returns it.
func (f *filter) loadSome(t testing.TB, text string) string {
	t.Helper()
	wrong := regexp.MustCompile(`(?m)^rules:(\d+):`)
	lines := strings.Split(text, "\n")
	for range lines {
		text = strings.Join(lines, "\n")
		err := f.try(text)
		if err == nil {
			return text
		}
		found := wrong.FindAllStringSubmatch(err.Error(), -1)
		if found == nil {
			t.Fatalf("%v\n%s", err, text)
		}
		for _, m := range found {
			n, _ := strconv.Atoi(m[1])
			lines[n-2] = ""
		}
	}
	t.Fatalf("no rule is taken:\n%s", text)
	return ""
}

// never returns the findings by the line of the rule.
func (f *filter) never() map[int]reach.Finding {
	out := map[int]reach.Finding{}
	for _, t := range f.rules.Tables() {
		for _, x := range reach.Never(t) {
			out[f.lines[x.Rule]] = x
		}
	}
	return out
}

// TestKnown: what people get wrong is found, with the rules that are to blame, and
// what only looks like it is not.
func TestKnown(t *testing.T) {
	f := newFilter(t)
	for _, c := range []struct{ rules, want string }{
		{"tcp dport 22 accept; tcp dport 22 drop", "2 covered by 1"},
		{"tcp dport 22 accept; tcp dport 22 tcp sport 1 drop", "2 covered by 1"},
		{"tcp dport 22 tcp sport 1 accept; tcp dport 22 drop", ""},
		{"tcp dport 22 accept; udp dport 22 drop", ""},
		{"tcp dport 1-10 accept; tcp dport 11-20 drop; tcp dport { 5, 15, 7-13 } accept", "3 covered by 1,2"},
		{"tcp dport 1-10 accept; tcp dport 12-20 drop; tcp dport 5-15 accept", ""},
		{"ip saddr 10.0.0.0/8 drop; ip saddr 10.1.2.3 accept", "2 covered by 1"},
		{"ip saddr 10.0.0.0/9 drop; ip saddr 10.128.0.0/9 drop; ip saddr & 255.0.0.0 == 10.0.0.0 accept", "3 covered by 1,2"},
		{"ip saddr 10.0.0.0/8 drop; ip saddr != 10.0.0.0/8 drop; tcp dport 22 accept", "3 covered by 1,2"},
		{"tcp dport 22 drop; tcp dport != 22 drop; accept", ""}, // others than TCP
		{"tcp dport 22 counter drop; tcp dport 22 drop", "2 covered by 1"},
		{"tcp dport 22 log drop; tcp dport 22 drop", "2 covered by 1"},
		{"tcp dport 22 reject; tcp dport 22 drop", "2 covered by 1"},
		{"tcp dport 22 limit rate 1/second drop; tcp dport 22 drop", ""},
		{"tcp dport 22 counter; tcp dport 22 drop", ""},
		{"tcp dport 22 meta mark set 1 drop; tcp dport 22 drop", "2 covered by 1"},
		{"meta mark 1 drop; meta mark set 1; meta mark 1 accept", ""},
		{"meta mark 1 drop; ip ttl set 5; meta mark 1 accept", ""},
		{"ip ttl 5 drop; ip ttl set 5; ip ttl 5 accept", ""},
		{"ip ttl 5 ip ttl 6 drop", "1 contradiction"},
		{"ip ttl 5 ip ttl set 6 ip ttl 6 drop", ""},
		{"ip ttl < 5 ip ttl > 5 drop", "1 contradiction"},
		{"ip ttl <= 5 ip ttl >= 5 drop", ""},
		{"ip ttl < 10 accept; ip ttl >= 10 accept; counter", "3 covered by 1,2"},
		{"tcp dport { 22, 80 } tcp dport 81 drop", "1 contradiction"},
		{"tcp flags & (syn|ack) == syn tcp flags ack drop", "1 contradiction"},
		{"tcp flags syn tcp flags ack drop", ""},
		{"tcp flags syn drop; tcp flags & (syn|ack) == syn|ack drop", "2 covered by 1"},
		{"tcp flags ! syn drop; tcp flags syn drop; tcp flags fin drop", "3 covered by 1,2"},
		{"ct state new drop; ct state established,related accept; ct state { new, related } accept", "3 covered by 1,2"},
		{"ct state new ct state established accept", "1 contradiction"},
		{"ct state new drop; notrack; ct state new accept", ""},
		{"ip saddr . tcp dport { 10.0.0.1 . 22, 10.0.0.2 . 80 } drop; ip saddr 10.0.0.2 tcp dport 80 accept", "2 covered by 1"},
		{"ip saddr . tcp dport { 10.0.0.1 . 22, 10.0.0.2 . 80 } drop; ip saddr 10.0.0.1 tcp dport 80 accept", ""},
		{"tcp dport vmap { 1 : accept, 2 : drop, 3 : continue }; tcp dport { 1, 2 } drop; tcp dport 3 drop", "2 covered by 1"},
		{"ip saddr @fixed drop; ip saddr 10.0.0.7 accept", "2 covered by 1"},
		{"ip saddr @loose drop; ip saddr 10.0.0.7 accept", ""},
		{"ip saddr @loose ip saddr 10.0.0.9 accept", ""},
		{"iifname \"eth*\" drop; iifname \"eth0\" accept; iifname \"et\" accept", "2 covered by 1"},
		{"jump sub; tcp dport 22 drop", ""},
		{"tcp dport 22 accept; tcp dport 22 jump sub", "2 covered by 1, 8 unreached"},
		{"tcp dport 23 jump sub", "8 contradiction"}, // what is in it is about port 22
		{"meta mark set 1 jump sub; meta mark 1 accept", ""},
		{"meta mark 7 drop; jump sub; meta mark 7 accept", ""}, // sub may have set it
		{"accept; counter; counter drop", "2 covered by 1, 3 covered by 1"},
		{"return; counter", "2 covered by 1"},
		{"numgen inc mod 2 0 drop; numgen inc mod 2 0 accept", ""},
		{"@nh,96,32 0x0a000001 drop; ip saddr 10.0.0.1 accept", "2 covered by 1"},
		{"th dport 22 drop; tcp dport 22 accept", "2 covered by 1"},
	} {
		sub := "tcp dport 22 meta mark set 7"
		if !strings.Contains(c.rules, "jump sub") {
			sub = ""
		}
		rules := strings.Split(c.rules, "; ")
		text := strings.Join(rules, "\n")
		pad := strings.Repeat("\n", max(6-len(rules), 0))
		f.load(t, "table ip t { set fixed { type ipv4_addr; flags constant; elements = { 10.0.0.7 }; }; set loose { type ipv4_addr; elements = { 10.0.0.7 }; }; chain sub { }; "+
			"chain in { type filter hook input priority 0\n"+text+pad+"\n}; chain sub {\n"+sub+"\n} }\n")
		var got []string
		found := f.never()
		for line := range 100 {
			if x, ok := found[line]; ok {
				s := fmt.Sprintf("%d %s", line-1, [...]string{"contradiction", "covered", "unreached"}[x.Kind])
				for i, by := range x.By {
					s += [...]string{" by ", ","}[min(i, 1)] + fmt.Sprint(f.lines[by]-1)
				}
				got = append(got, s)
			}
		}
		if s := strings.Join(got, ", "); s != c.want {
			t.Errorf("%s:\n\tgot  %s\n\twant %s", c.rules, s, c.want)
		}
	}
}

// TestSound: no rule that is said to match no packet ever holds for one. Random
// rulesets over few values meet all packets of that space, at the shipped engine.
func TestSound(t *testing.T) {
	f := newFilter(t)
	seeds := uint64(400)
	if testing.Short() {
		seeds = 80
	}
	found, kinds := 0, [3]int{}
	for seed := range seeds {
		r := rand.New(rand.NewPCG(seed, 3))
		text := f.loadSome(t, randomRuleset(r))
		never := f.never()
		found += len(never)
		for _, x := range never {
			kinds[x.Kind]++
		}
		undo := f.rules.Watch(func(e netfilter.RuleEvent) {
			if x, ok := never[f.lines[e.Rule]]; ok && e.Rule != nil {
				t.Errorf("seed %d: rule %d holds and was said not to (kind %d)\n%s", seed, f.lines[e.Rule], x.Kind, text)
				delete(never, f.lines[e.Rule])
			}
		})
		f.everyPacket()
		undo()
		if t.Failed() {
			return
		}
	}
	t.Logf("%d rules found (contradictions, covered, unreached: %v)", found, kinds)
	if slices.Min(kinds[:]) == 0 {
		t.Error("of some kind none was found: the test tests nothing")
	}
}

// everyPacket sends all packets of a small space to the input hook.
func (f *filter) everyPacket() {
	for i := range 3 * 3 * 3 * 4 * 4 * 3 {
		take := func(n int) byte { v := i % n; i /= n; return byte(v) }
		proto := [...]byte{wire.ProtoTCP, wire.ProtoUDP, wire.ProtoICMP}[take(3)]
		src, ttl, dport, flags, mark := take(3), take(3), take(4), take(4), take(3)
		n := [...]int{wire.ProtoTCP: 40, wire.ProtoUDP: 28, wire.ProtoICMP: 21}[proto] // ICMP: truncated
		b := make([]byte, n)
		wire.PutIPv4(b, &wire.IPv4Fields{TotalLen: uint16(n), TTL: 1 + ttl, Protocol: proto, Src: [4]byte{10, 0, 0, src}, Dst: [4]byte{10, 0, 0, 9}})
		if n > 24 {
			b[23] = dport
		}
		if n == 40 {
			b[32], b[33] = 0x50, flags
		}
		pkt := f.kernel.Pool.Get()
		pkt.Append(b)
		pkt.Mark = uint32(mark)
		var q packet.Queue
		q.Push(pkt)
		f.kernel.Network.Hooks[network.V4].Input.RunBatch(&q)
		q.Consume()
	}
}

func randomRuleset(r *rand.Rand) string {
	var b strings.Builder
	b.WriteString("table ip t {\nset fixed { type ipv4_addr; flags constant, interval; elements = { 10.0.0.1-10.0.0.2 }; }\n" +
		"set loose { type ipv4_addr; elements = { 10.0.0.1 }; }\nmap vm { type inet_service : verdict; flags constant; elements = { 0 : drop, 1 : jump sub2, 2 : accept }; }\n")
	// Few words to a ruleset, so that its rules have to do with each other.
	words, ends := pickSome(r, matches, 5), pickSome(r, verdicts, 5)
	b.WriteString("chain lonely {\ncounter\n}\n")
	for _, c := range []struct {
		head string
		n    int
		to   []string
	}{
		{"chain sub2 {", 3, nil},
		{"chain sub {", 4, []string{"jump sub2", "goto sub2"}},
		{"chain in {\ntype filter hook input priority 0", 12, []string{"jump sub", "goto sub2", "jump sub2", "tcp dport vmap { 0 : jump sub, 1-2 : drop }", "tcp dport vmap @vm"}},
	} {
		b.WriteString(c.head + "\n")
		for range c.n {
			b.WriteString(randomRule(r, words, append(ends, c.to...)) + "\n")
		}
		b.WriteString("}\n")
	}
	b.WriteString("}\n")
	return b.String()
}

// What rules are made of. %d is a small number.
var (
	matches = []string{
		"ip saddr 10.0.0.%d", "ip saddr != 10.0.0.%d", "ip saddr 10.0.0.0/3%d", "ip saddr @fixed", "ip saddr != @fixed", "ip saddr @loose", "ip saddr { 10.0.0.0, 10.0.0.%d }",
		"ip ttl %d", "ip ttl < 3", "ip ttl >= %d", "ip ttl != { 1, %d }", "tcp dport %d", "tcp dport != %d", "tcp dport 0-%d", "udp dport %d", "th dport { 0, %d }", "tcp flags fin",
		"th dport >= %d", "th dport < %d", "th dport != 1", "th dport 1", "meta mark %d", "meta mark != %d", "meta mark < %d",
		"tcp flags ! syn", "tcp flags & (fin|syn) == syn", "tcp flags == %d", "meta l4proto tcp", "meta l4proto { tcp, udp }", "ip protocol != icmp", "meta mark %d", "meta mark > %d", "meta mark & 1 == 1",
		"ip saddr . tcp dport { 10.0.0.1 . 1-3, 10.0.0.%d . 0 }", "ip saddr & 0.0.0.1 == 0.0.0.1", "limit rate 1/day", "@nh,64,8 %d", "meta length 40", "icmp code %d",
	}
	verdicts = []string{
		"accept", "drop", "return", "accept", "drop", "counter", "continue", "meta mark set %d", "ip ttl set %d", "tcp dport set %d", "reject", "counter drop", "log accept",
		"meta mark set %d drop", "ip ttl vmap { 1 : accept, 2 : drop, * : continue }", "ip saddr . tcp dport vmap { 10.0.0.1 . 1 : drop, 10.0.0.2 . 2 : accept }",
	}
)

func pickSome(r *rand.Rand, list []string, n int) (out []string) {
	for range n {
		out = append(out, list[r.IntN(len(list))])
	}
	return out
}

func randomRule(r *rand.Rand, words, ends []string) string {
	fill := func(s string) string {
		if strings.Contains(s, "%d") {
			return fmt.Sprintf(s, r.IntN(3))
		}
		return s
	}
	out := ""
	for range r.IntN(3) {
		out += fill(words[r.IntN(len(words))]) + " "
	}
	return out + fill(ends[r.IntN(len(ends))])
}
