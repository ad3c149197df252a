package tcb

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/knitnet/knit/core/packet"
)

// The fast path does what the whole of RFC 9293 §3.10.7.4 would do: after each
// step of a random conversation both TCBs are equal in every field.
func TestFastPathTwin(t *testing.T) {
	for s := range uint64(200) {
		r := rand.New(rand.NewPCG(s, 9))
		c := plainConfig()
		c.NoTimestamps, c.NoSACK = r.IntN(2) == 0, r.IntN(2) == 0
		cfg := c.Defaults()
		fast, slow := in(t, Established, c), in(t, Established, c)
		fast.cfg, slow.cfg = cfg, cfg
		tsval := uint32(10)
		for step := range 200 {
			d := time.Duration(r.IntN(3)) * time.Millisecond
			write := r.IntN(4) * 700
			seg := fast.ack(0)
			seg.Ack = fast.una.Add(r.IntN(fast.nxt.Sub(fast.una) + 1))
			seg.Window = uint16(30000 + r.IntN(3)*1000)
			if seg.Len = r.IntN(3) * 800; r.IntN(10) == 0 {
				seg.Flags |= PSH
			}
			if fast.has(flagTimestamps) {
				tsval += uint32(r.IntN(2))
				seg.Options = Options{Has: HasTimestamps, TSVal: tsval, TSEcr: fast.tsNow(fast.now)}
			}
			var out [2][]Segment
			for i, k := range []*conn{fast, slow} {
				k.pass(d)
				k.write(write)
				var pkt *packet.Packet
				if seg.Len > 0 {
					pkt = k.pool.Get()
					pkt.Append(make([]byte, seg.Len))
				}
				if k == fast {
					k.Input(k.now, &seg, pkt)
				} else {
					k.stat.segsIn++
					k.inputSynchronized(k.now, &seg, pkt)
				}
				k.Ready.Consume()
				k.Consumed(k.now, k.Unread())
				out[i] = k.outAll()
			}
			if *fast.TCB != *slow.TCB {
				t.Fatalf("seed %d step %d: after %+v\nfast %+v\nslow %+v", s, step, seg, *fast.TCB, *slow.TCB)
			}
			if len(out[0]) != len(out[1]) {
				t.Fatalf("seed %d step %d: fast sends %+v, slow %+v", s, step, out[0], out[1])
			}
		}
		fast.close()
		slow.close()
	}
}
