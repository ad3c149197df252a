package reach_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/knitnet/knit/netfilter/reach"
)

// BenchmarkNever reads a chain of 10,000 rules that have nothing to do with each other:
// the worst case, for each is held against all in front of it.
func BenchmarkNever(b *testing.B) {
	f := newFilter(b)
	var text strings.Builder
	text.WriteString("table ip t { chain in { type filter hook input priority 0\n")
	for i := range 10000 {
		fmt.Fprintf(&text, "ip saddr 10.0.%d.%d tcp dport %d accept\n", i/256, i%256, 1+i%1000)
	}
	text.WriteString("}; }\n")
	f.load(b, text.String())
	t := f.rules.Tables()[0]
	for b.Loop() {
		if n := len(reach.Never(t)); n != 0 {
			b.Fatalf("%d rules", n)
		}
	}
}
