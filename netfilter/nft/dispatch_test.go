package nft

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/netfilter/rule"
	"github.com/knitnet/knit/network"
)

// randomRule is a rule of the kind that maps are made for, or one that breaks the
// run.
func randomRule(r *rand.Rand) *rule.Rule {
	l4 := &rule.Match{Left: &rule.Meta{Key: rule.MetaL4Proto}, Right: &rule.Value{T: rule.InetProtoType, Data: []byte{6}, N: 8}}
	port := &rule.Match{Left: fieldOf("tcp", "dport"), Right: u16(uint16(r.IntN(6)))}
	verdicts := []rule.Stmt{
		&rule.Verdict{Kind: rule.Accept}, &rule.Verdict{Kind: rule.Drop}, &rule.Verdict{Kind: rule.Return},
		&rule.Counter{}, &rule.Counter{}, &rule.Counter{}, &rule.Verdict{Kind: rule.Jump, Chain: "sub"},
		&rule.Assign{Dst: fieldOf("tcp", "dport"), Value: u16(uint16(r.IntN(6)))},
	}
	last := verdicts[r.IntN(len(verdicts))]
	switch r.IntN(12) {
	case 0:
		return &rule.Rule{Stmts: []rule.Stmt{last}}
	case 1:
		return &rule.Rule{Stmts: []rule.Stmt{port, last}}
	}
	return &rule.Rule{Stmts: []rule.Stmt{l4, port, &rule.Counter{}, last}}
}

// TestArrangedAsOneByOne: a chain in parts decides and counts as the same chain run
// rule by rule.
func TestArrangedAsOneByOne(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		var rules, sub []*rule.Rule
		for range 40 {
			rules = append(rules, randomRule(r))
		}
		for range 3 {
			if x := randomRule(r); len(x.Stmts) > 1 {
				if v, ok := x.Stmts[len(x.Stmts)-1].(*rule.Verdict); !ok || v.Kind != rule.Jump {
					sub = append(sub, x)
				}
			}
		}
		table := inputTable(rules...)
		table.Chains = append(table.Chains, &rule.Chain{Name: "sub", Rules: sub})
		fast, slow := newTest(t), newTest(t)
		for _, m := range []*machine{fast, slow} {
			if err := m.commit([]*rule.Table{table}, nil); err != nil {
				t.Fatal(err)
			}
		}
		for _, ch := range slow.current.Load().bases {
			ch.parts = nil
		}
		for range 50 {
			port := uint16(r.IntN(6))
			a := passes(fast, tcp4(fast, [4]byte{10, 0, 0, 1}, [4]byte{10, 0, 0, 2}, 1, port))
			b := passes(slow, tcp4(slow, [4]byte{10, 0, 0, 1}, [4]byte{10, 0, 0, 2}, 1, port))
			if a != b {
				t.Fatalf("seed %d, port %d: passes %v, rule by rule %v", seed, port, a, b)
			}
		}
		for spec, s := range fast.statesOf(rule.IP, "t") {
			if c, ok := s.(*counterState); ok {
				if n, want := c.packets.Load(), slow.statesOf(rule.IP, "t")[spec].(*counterState).packets.Load(); n != want {
					t.Fatalf("seed %d: a counter is %d, rule by rule %d", seed, n, want)
				}
			}
		}
	}
}

func BenchmarkThousandRules(b *testing.B) {
	for _, n := range []int{1, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			m := newTest(b)
			var rules []*rule.Rule
			for i := range n {
				rules = append(rules, &rule.Rule{Stmts: []rule.Stmt{
					&rule.Match{Left: fieldOf("tcp", "dport"), Right: u16(uint16(i + 100))}, &rule.Verdict{Kind: rule.Drop},
				}})
			}
			if err := m.commit([]*rule.Table{inputTable(rules...)}, nil); err != nil {
				b.Fatal(err)
			}
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
