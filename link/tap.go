package link

import (
	"slices"

	"github.com/knitnet/knit/core/packet"
)

// A Tap sees every frame of a device, as a packet socket does: received ones
// before any hook, sent ones after all of them. Its function does not own the
// packet and must not keep it; it may be called concurrently.
type Tap struct {
	f func(pkt *packet.Packet, outgoing bool)
}

// Tap calls f for every frame until undo is called. Frames under way may still
// reach f until a grace period has passed.
func (dev *Device) Tap(f func(pkt *packet.Packet, outgoing bool)) (undo func()) {
	t := &Tap{f}
	dev.changeTaps(func(ts []*Tap) []*Tap { return append(ts, t) })
	return func() {
		dev.changeTaps(func(ts []*Tap) []*Tap {
			return slices.DeleteFunc(ts, func(x *Tap) bool { return x == t })
		})
	}
}

func (dev *Device) changeTaps(f func([]*Tap) []*Tap) {
	dev.listen.Lock()
	defer dev.listen.Unlock()
	var ts []*Tap
	if old := dev.taps.Load(); old != nil {
		ts = slices.Clone(*old)
	}
	if ts = f(ts); len(ts) == 0 {
		dev.taps.Store(nil)
		return
	}
	dev.taps.Store(&ts)
}

func tapAll(taps []*Tap, q *packet.Queue, outgoing bool) {
	for pkt := q.Front(); pkt != nil; pkt = pkt.Next() {
		for _, t := range taps {
			t.f(pkt, outgoing)
		}
	}
}
