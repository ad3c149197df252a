package lang

import (
	"fmt"
	"strings"
	"testing"
)

// BenchmarkParse reads 10,000 rules.
func BenchmarkParse(b *testing.B) {
	var s strings.Builder
	s.WriteString("table inet t {\n\tchain c {\n")
	for i := range 10000 {
		fmt.Fprintf(&s, "\t\tip saddr 10.%d.%d.0/24 tcp dport %d counter accept\n", i>>8, i&255, i+1)
	}
	s.WriteString("\t}\n}\n")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(s.String(), "bench", Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
