package nat

import (
	"sync/atomic"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/network"
)

// masq ends masqueraded connections whose address is no longer this host's: their
// packets would leave with the address of somebody else, and no answer would come.
type masq struct {
	used atomic.Bool // some connection was masqueraded
}

// deviceChanged is told of devices that go down or away.
func (t *translator) deviceChanged(e link.Event) {
	if e.Kind != link.WentDown && e.Kind != link.Removed {
		return
	}
	index := e.Device.Index()
	t.endMasqueraded(func(c *netfilter.Conn) bool { return c.MasqIndex == index })
}

// addrChanged is told of addresses that go.
func (t *translator) addrChanged(e network.Event) {
	if e.Kind != network.AddrRemoved || e.Device == nil || e.Addr == nil {
		return
	}
	index, gone := e.Device.Index(), e.Addr.IP()
	t.endMasqueraded(func(c *netfilter.Conn) bool {
		return c.MasqIndex == index && c.Tuples[netfilter.Reply].DstAddr() == gone
	})
	var x netfilter.Tuple
	x.SetSrc(gone)
	t.mappings.forgetAddr(x.Src)
}

func (t *translator) endMasqueraded(gone func(c *netfilter.Conn) bool) {
	if !t.masq.used.Load() {
		return
	}
	var over []*netfilter.Conn
	t.track.Each(func(c *netfilter.Conn) bool {
		if c.MasqIndex != 0 && gone(c) {
			over = append(over, c)
		}
		return true
	})
	for _, c := range over {
		t.track.Delete(c)
	}
}

// movedOn reports whether a packet of a masqueraded connection leaves by another
// device than that whose address hides it, because routes have changed. The
// connection cannot go on: who is at its other end knows the old address.
func movedOn(at *seat, pkt *packet.Packet, c *netfilter.Conn, d netfilter.Dir) bool {
	return c.MasqIndex != 0 && at.manip == netfilter.ManipSrc && !at.local && d == netfilter.Original && pkt.Out != c.MasqIndex
}
