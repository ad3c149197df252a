package nft

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/network"
)

// load runs commands.
func load(t testing.TB, m *machine, text string) {
	t.Helper()
	if err := m.Run(context.Background(), &netfilter.NFTRequest{Text: text, Name: "rules"}, io.Discard); err != nil {
		t.Fatal(err)
	}
}

// manyRules is a table of n rules that differ in more than one field.
func manyRules(n int) string {
	var b strings.Builder
	b.WriteString("table ip t {\n\tchain in {\n\t\ttype filter hook input priority 0;\n")
	for i := range n {
		fmt.Fprintf(&b, "\t\tip saddr 10.%d.%d.0/24 tcp dport %d counter accept\n", i>>8&255, i&255, i%60000+1)
	}
	b.WriteString("\t}\n}\n")
	return b.String()
}

// BenchmarkReplace replaces a ruleset of 10,000 rules: reading, compiling, switching.
func BenchmarkReplace(b *testing.B) {
	m := newTest(b)
	text := "flush ruleset\n" + manyRules(10000)
	for b.Loop() {
		load(b, m, text)
	}
}

// BenchmarkCompile is the part of it that is not the language's.
func BenchmarkCompile(b *testing.B) {
	m := newTest(b)
	load(b, m, manyRules(10000))
	t := m.current.Load().tables[0]
	for b.Loop() {
		if _, err := m.program(t); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkVerdictMap looks into verdict maps of one and of 10,000 addresses.
func BenchmarkVerdictMap(b *testing.B) {
	for _, n := range []int{1, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var elems strings.Builder
			for i := range n {
				fmt.Fprintf(&elems, "11.0.%d.%d : drop, ", i>>8, i&255)
			}
			m := newTest(b)
			load(b, m, "table ip t {\n\tmap v { type ipv4_addr : verdict; elements = { "+elems.String()+"10.0.0.1 : accept }; }\n"+
				"\tchain in {\n\t\ttype filter hook input priority 0;\n\t\tip saddr vmap @v\n\t}\n}\n")
			var q packet.Queue
			for range 32 {
				q.Push(tcp4(m, [4]byte{10, 0, 0, 1}, [4]byte{10, 0, 0, 2}, 1000, 81))
			}
			for b.Loop() {
				m.net.Hooks[network.V4].Input.RunBatch(&q)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/32, "ns/packet")
			q.Consume()
		})
	}
}

// FuzzRun: no ruleset, and no packet through it, brings the machine down; what is
// refused changes nothing.
func FuzzRun(f *testing.F) {
	f.Add("add table ip t\nadd chain ip t c { type filter hook input priority 0; }\nadd rule ip t c ip saddr . tcp dport { 1.2.3.4 . 80 } counter drop", []byte{0x45})
	f.Add("table ip t {\n\tset s { type ipv4_addr; flags dynamic; }\n\tchain c { type filter hook prerouting priority 0; add @s { ip saddr limit rate 1/second } accept; }\n}\n", []byte{0x46, 2})
	f.Add("table ip t {\n\tchain c { type filter hook input priority 0; @th,3,17 5 ip ttl set 3 tcp option maxseg size set 1400 log reject; }\n}\n", []byte{0x45})
	f.Add("table ip6 t {\n\tchain c { type filter hook input priority 0; exthdr hbh exists jhash ip6 saddr mod 3 0 drop; }\n}\n", []byte{0x60})
	f.Fuzz(func(t *testing.T, text string, data []byte) {
		m := newTest(t)
		var before, after strings.Builder
		list := &netfilter.NFTRequest{Text: "list ruleset"}
		if err := m.Run(context.Background(), list, &before); err != nil {
			t.Fatal(err)
		}
		err := m.Run(context.Background(), &netfilter.NFTRequest{Text: text, Name: "rules"}, io.Discard)
		if lerr := m.Run(context.Background(), list, &after); lerr != nil {
			t.Fatal(lerr)
		}
		if err != nil && before.String() != after.String() {
			t.Fatalf("refused with %v, and changed: %s", err, after.String())
		}
		if len(data) < 20 || data[0]>>4 != 4 || int(data[0]&15)*4 > len(data) || data[0]&15 < 5 {
			data = append([]byte{0x45, 0, 0, 20, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2}, data...)
		}
		pass(m, data[:min(len(data), 128)])
	})
}

// TestStatesStay: a counter counts on when other rules of its table change, elements
// that rules have added stay, and a reset reads and begins again.
func TestStatesStay(t *testing.T) {
	m := newTest(t)
	load(t, m, `table ip t {
	set seen { type ipv4_addr; flags dynamic; size 100; }
	chain in { type filter hook input priority 0; counter name c; add @seen { ip saddr }; counter; }
	counter c { }
}
`)
	send := func() { passes(m, tcp4(m, [4]byte{10, 0, 0, 1}, [4]byte{10, 0, 0, 2}, 1, 80)) }
	listed := func(what string) string {
		var out strings.Builder
		if err := m.Run(context.Background(), &netfilter.NFTRequest{Text: what}, &out); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	send()
	load(t, m, "add rule ip t in tcp dport 80 drop\nadd element ip t seen { 10.9.9.9 }\n")
	send()
	all := listed("list ruleset")
	if n := strings.Count(all, "packets 2 bytes 80"); n != 2 {
		t.Errorf("%d counters counted on, want 2:\n%s", n, all)
	}
	if !strings.Contains(all, "10.0.0.1, 10.9.9.9") {
		t.Errorf("the elements are not all there:\n%s", all)
	}
	if text := listed("reset counters"); !strings.Contains(text, "packets 2 bytes 80") {
		t.Errorf("reset read %s", text)
	}
	if text := listed("list counters"); !strings.Contains(text, "packets 0 bytes 0") {
		t.Errorf("after the reset: %s", text)
	}
	load(t, m, "delete element ip t seen { 10.0.0.1 }\n")
	if text := listed("list set ip t seen"); strings.Contains(text, "10.0.0.1") {
		t.Errorf("deleted: %s", text)
	}
}
