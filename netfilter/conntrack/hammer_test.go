package conntrack

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/knitnet/knit/netfilter"
)

// TestHammer: packets, deletions, walks, and users that come and go at once. At the
// end nothing is left.
func TestHammer(t *testing.T) {
	r := newRig(t)
	r.max.Store(300)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(g), 2))
			for range 3000 {
				a, b := fmt.Sprint("10.0.0.1:", 1+rnd.IntN(500)), "10.0.0.2:80"
				if rnd.IntN(2) == 0 {
					a, b = b, a
				}
				switch rnd.IntN(3) {
				case 0:
					r.pass(udp(a, b, 4))
				case 1:
					r.pass(tcp(a, b, seg{flags: flagChoices[rnd.IntN(len(flagChoices))], seq: rnd.Uint32N(1000), ack: rnd.Uint32N(1000)}))
				case 2:
					r.pass(icmp("10.0.0.9", "10.0.0.1", 3, 1, 0, udp(a, b, 4)...))
				}
			}
		})
	}
	wg.Go(func() {
		undo := r.Watch(func(e netfilter.Event) { r.Snapshot(e.Conn) })
		defer undo()
		for range 200 {
			release := r.Hold([2]bool{true, true})
			r.Each(func(c *netfilter.Conn) bool { r.Delete(c); return true })
			r.advance(time.Second)
			release()
		}
	})
	wg.Wait()
	r.Flush(func(*netfilter.Conn) bool { return true })
	r.wantCount(0)
}
