package nft

import (
	"context"
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/netfilter/rule"
)

// TestWatch: who watches sees the rules that hold and the policy, and where the
// rules are written; rules do not see that somebody watches.
func TestWatch(t *testing.T) {
	m := newTest(t)
	lines := map[*rule.Rule]int{}
	err := m.Run(context.Background(), &netfilter.NFTRequest{
		Name:   "rules",
		Text:   "table ip t {\n\tchain sub {\n\t\ttcp dport 81 return\n\t}\n\tchain in {\n\t\ttype filter hook input priority 0;\n\t\tmeta mark 1 drop\n\t\tjump sub\n\t\ttcp dport 80 drop\n\t}\n}\n",
		Placed: func(r *rule.Rule, _ string, line int) { lines[r] = line },
	}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	undo := m.Watch(func(e netfilter.RuleEvent) {
		got = append(got, fmt.Sprint(lines[e.Rule], " ", e.Chain, " ", e.Verdict))
	})
	for _, port := range []uint16{81, 80} {
		passes(m, tcp4(m, [4]byte{10, 0, 0, 1}, [4]byte{10, 0, 0, 2}, 1, port))
	}
	undo()
	passes(m, tcp4(m, [4]byte{10, 0, 0, 1}, [4]byte{10, 0, 0, 2}, 1, 80))
	want := []string{"8 in jump sub", "3 sub return", "0 in accept", "8 in jump sub", "9 in drop"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if tables := m.Tables(); len(tables) != 1 || len(tables[0].Chains) != 2 {
		t.Errorf("the tables are %v", tables)
	}
}
