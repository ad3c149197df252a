package hook

import (
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
)

// A function that panics is a mistake in a module, which must not end the
// program around the kernel. What it was looking at is dropped, so that a filter
// that fails lets nothing through, and the next packet meets it again.

// one asks a function about one packet.
func (p *Point) one(e *entry, pkt *packet.Packet) (v Verdict) {
	if p.Oops != nil {
		defer func() {
			if reason := recover(); reason != nil {
				p.report(e, reason)
				if v = Drop; pkt.Ended() {
					v = Stolen
				}
			}
		}()
	}
	return e.Func(pkt)
}

// batch passes a batch to a function.
func (p *Point) batch(e *entry, q *packet.Queue) {
	if p.Oops != nil {
		defer func() {
			if reason := recover(); reason != nil {
				p.report(e, reason)
				q.Drop(stat.NetfilterDrop)
			}
		}()
	}
	e.Batch(q)
}

// report tells of the panics whose number is a power of two, so that a hook that
// panics at every packet does not push everything else out of the log.
func (p *Point) report(e *entry, reason any) {
	if n := e.panics.Add(1); n&(n-1) == 0 {
		p.Oops(e.Owner, reason)
	}
}
