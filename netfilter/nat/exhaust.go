package nat

import (
	"sync/atomic"
	"time"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/network"
)

// noPortName is the reason of packets whose connection found no free port.
const noPortName = "NAT_NO_PORT"

// logEvery keeps a range that is used up from filling the log.
const logEvery = time.Minute

// exhausted notes that nothing in a range is free: the connection that was to be
// stays out of the table, and its packet is dropped. Who asks for the behaviour of
// the RFCs has its sender told (RFC 5508 REQ-8).
func (t *translator) exhausted(q *query, now *netfilter.Tuple) {
	q.c.Status.Or(netfilter.Unmapped)
	t.logOnce(&t.logged, func() { t.log.Warn("nf_nat: no port is free, dropping packet: %v", now) })
	if q.pkt != nil && q.r.Mapping != 0 {
		t.net.SendError(now.Version, network.AdminProhibited, q.pkt)
	}
}

// logOnce calls f unless it was called a while ago.
func (t *translator) logOnce(last *atomic.Int64, f func()) {
	now := max(int64(t.clock.Now()), 1)
	was := last.Load()
	if was != 0 && now-was < int64(logEvery) || !last.CompareAndSwap(was, now) {
		return
	}
	f()
}

// reasonOf says why a packet that the rules' chains refused is dropped.
func (t *translator) reasonOf(pkt *packet.Packet) stat.Reason {
	if c, _ := t.track.Of(pkt); c != nil && c.Is(netfilter.Unmapped) {
		return t.noPort
	}
	return stat.NetfilterDrop
}
