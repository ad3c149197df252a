package conntrack

import (
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/netfilter"
)

// Offload implements netfilter.Tracker.
func (t *tracker) Offload(c *netfilter.Conn) bool {
	e := entryOf(c)
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.lendable() || !e.set(netfilter.Offload) {
		return false
	}
	e.tcp.lose()
	e.Deadline.Store(int64(clock.Never))
	return true
}

// lendable reports whether nobody here has to see each packet of e. It is locked.
func (e *entry) lendable() bool {
	const want = netfilter.Confirmed | netfilter.SeenReply
	if e.Status.Load()&(want|netfilter.Dying|netfilter.Fixed) != want || e.Helper.Load() != nil {
		return false
	}
	if m := e.More.Load(); m != nil && (m.SeqAdjust[0].Load() != nil || m.SeqAdjust[1].Load() != nil) {
		return false // each segment has to be changed
	}
	switch e.proto {
	case tcpProtocol:
		return e.tcp.state == established
	case udpProtocol:
		return true
	}
	return false
}

// Reclaim implements netfilter.Tracker.
func (t *tracker) Reclaim(c *netfilter.Conn, last clock.Time, some bool) {
	e := entryOf(c)
	e.mu.Lock()
	if !e.Is(netfilter.Offload) {
		e.mu.Unlock()
		return
	}
	life, assured := t.afterOffload(e, last, some)
	e.Deadline.Store(int64(last.Add(time.Duration(life))))
	e.Status.And(^netfilter.Offload)
	fresh := assured && !e.Is(netfilter.Dying) && e.set(netfilter.Assured)
	e.mu.Unlock()
	if fresh {
		t.tell(netfilter.EventAssured, e)
	}
}

// afterOffload returns what tracking would have made of the packets that it has not
// seen: how many nanoseconds e lives after the last one, and whether it is assured.
func (t *tracker) afterOffload(e *entry, last clock.Time, some bool) (life int64, assured bool) {
	if e.proto == tcpProtocol {
		e.tcp.lose()
		return t.timeouts.tcp[e.tcp.state].Load(), false
	}
	if e.Is(netfilter.Assured) || some && last >= e.tcp.since.Add(streamAfter) {
		return t.timeouts.udpStream.Load(), true
	}
	return t.timeouts.udp.Load(), false
}

// lose forgets the sequence numbers of both ends, which go on unseen. Only how their
// windows are scaled stays true.
func (c *tcpState) lose() {
	for i := range c.sides {
		a := &c.sides[i]
		*a = side{scale: a.scale, flags: a.flags&(scales|sacks|finFirst) | loose | unseen}
	}
}
