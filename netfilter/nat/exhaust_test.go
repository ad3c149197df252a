package nat_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/netfilter"
)

// TestUsedUp: when all ports of a range are in use, packets of further connections
// are dropped for a reason of their own, the log says so once, nothing is left of
// them, and a port that gets free is found again.
func TestUsedUp(t *testing.T) {
	for _, size := range []int{1, 100, 2000} {
		t.Run(fmt.Sprint(size, " ports"), func(t *testing.T) {
			b := newBox(t)
			b.load(natRules("ip", "", fmt.Sprintf("meta l4proto udp oifname wan0 masquerade to :%d-%d", 20000, 20000+size-1)))
			noPort, err := b.Pool.Drops.New("NAT_NO_PORT")
			if err != nil {
				t.Fatal(err)
			}
			flow := func(i int) []byte {
				return udp(fmt.Sprintf("10.0.%d.2:%d", i>>14, 1024+i&0x3fff), "192.0.2.2:53", "x").bytes()
			}
			got := map[uint16]bool{}
			for i := 0; i < 100*size && len(got) < size; i++ {
				for _, f := range b.receive("lan0", flow(i)) {
					m, _ := parse(f.b)
					if p := m.src.Port(); p < 20000 || int(p) >= 20000+size || got[p] {
						t.Fatalf("flow %d got port %d", i, p)
					}
					got[m.src.Port()] = true
				}
				if size <= 256 && i == size-1 && len(got) != size {
					t.Fatalf("%d ports of %d were found, of a range that is small enough to try all", len(got), size)
				}
			}
			live, before := b.Pool.Live(), b.Pool.Drops.Load(noPort)
			for i := range 50 {
				if out := b.receive("lan0", flow(500000+i)); len(out) != 0 {
					t.Fatalf("a packet came out by %s", out[0].port)
				}
			}
			if n := b.Pool.Drops.Load(noPort) - before; n != 50 || b.Pool.Live() != live || b.track.Count() != size {
				t.Errorf("%d drops, want 50; %d packets are left; %d connections, want %d", n, b.Pool.Live()-live, b.track.Count(), size)
			}
			if n := strings.Count(logOf(b), "no port is free"); n != 1 {
				t.Errorf("the log says %d times that no port is free, want once:\n%s", n, logOf(b))
			}
			b.Clock.Advance(time.Hour)
			if out := b.receive("lan0", flow(600000)); len(out) != 1 {
				t.Error("when all connections are over no port is free still")
			}
		})
	}
}

func logOf(b *box) string {
	var lines []string
	for _, r := range b.Log.Entries() {
		lines = append(lines, r.Text)
	}
	return strings.Join(lines, "\n")
}

// TestRace: packets of one flow that come at the same time on several cores make one
// connection, and what leaves has one outer port, also when the port has to change.
// None is lost but for those that the table refuses because another was quicker.
func TestRace(t *testing.T) {
	for _, rules := range []string{
		natRules("ip", "", "oifname wan0 masquerade"), natRules("ip", "", "oifname wan0 masquerade random"),
		natRules("ip", "", "oifname wan0 masquerade fully-random"), behave(endpoint, endpoint),
	} {
		b := newBox(t)
		b.load(rules)
		const flows, cores = 40, 4
		for i := range flows {
			b.inject("lan1", udp(fmt.Sprintf("10.0.1.2:%d", 5000+i), "192.0.2.2:53", "takes the port").bytes())
		}
		b.take()
		for i := range flows {
			m := udp(fmt.Sprintf("10.0.0.2:%d", 5000+i), "192.0.2.2:53", "x").bytes()
			var wg sync.WaitGroup
			start := make(chan struct{})
			for range cores {
				wg.Go(func() { <-start; b.inject("lan0", m) })
			}
			close(start)
			wg.Wait()
			outer := map[uint16]int{}
			for _, f := range b.take() {
				r, _ := parse(f.b)
				outer[r.src.Port()]++
			}
			if len(outer) != 1 {
				t.Errorf("%s\nflow %d left from the ports %v", rules, i, outer)
			}
		}
		conns := 0
		b.track.Each(func(*netfilter.Conn) bool { conns++; return true })
		if conns != 2*flows {
			t.Errorf("%d connections, want %d", conns, 2*flows)
		}
		refused := b.track.Stats().InsertFailed
		if n := b.Pool.Drops.Load(stat.NetfilterDrop); n != refused {
			t.Errorf("%d packets are dropped, the table refused %d", n, refused)
		}
		if !strings.Contains(rules, "fully") && refused != 0 {
			t.Errorf("%s\n%d packets were lost", rules, refused)
		}
	}
}
