package nft

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/network"
)

// generationRules is a ruleset in which everything says n: a rule of a first chain gives
// the packet the mark n, by way of a map and of another chain, and a rule at the next
// hook drops what has another one.
func generationRules(n int) string {
	var filler strings.Builder
	for i := range 50 {
		fmt.Fprintf(&filler, "\t\ttcp dport %d accept\n", 1000+i)
	}
	return fmt.Sprintf(`flush ruleset
table ip t {
	map marks { type inet_service : mark; elements = { 80 : %[1]d, 81 : %[1]d } }
	map goes { type inet_service : verdict; elements = { 80 : jump a, 81 : jump b } }
	chain a { meta mark set tcp dport map @marks
	}
	chain b { meta mark set %[1]d
	}
	chain first {
		type filter hook prerouting priority 0
%[2]s		tcp dport vmap @goes
	}
	chain second {
		type filter hook input priority 0
		tcp dport 80-81 meta mark != %[1]d drop
	}
}
`, n, filler.String())
}

// TestReplaceUnderTraffic: while the ruleset is replaced a thousand times no packet is
// lost, and none sees half of a transaction: in all chains that it comes to on one walk,
// all is of one generation.
func TestReplaceUnderTraffic(t *testing.T) {
	m := newTest(t)
	times := 1000
	if testing.Short() {
		times = 100
	}
	load(t, m, generationRules(1))
	var done atomic.Bool
	var wg sync.WaitGroup
	var lost, sent atomic.Int64
	for range 2 {
		wg.Go(func() {
			var q packet.Queue
			for !done.Load() {
				for i := range 8 {
					q.Push(tcp4(m, [4]byte{10, 0, 0, 1}, [4]byte{10, 0, 0, 2}, 1, uint16(80+i&1)))
				}
				w := m.net.Walks.Enter()
				m.net.Hooks[network.V4].Prerouting.RunBatch(&q)
				runtime.Gosched()
				m.net.Hooks[network.V4].Input.RunBatch(&q)
				w.Exit()
				lost.Add(int64(8 - q.Len()))
				sent.Add(8)
				q.Consume()
			}
		})
	}
	for n := range times {
		load(t, m, generationRules(n+2))
	}
	done.Store(true)
	wg.Wait()
	if lost.Load() != 0 || sent.Load() == 0 {
		t.Errorf("%d of %d packets were lost", lost.Load(), sent.Load())
	}
}
