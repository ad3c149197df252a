package neigh

import (
	"maps"
	"net/netip"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/rcu"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/wire"
)

// Params are the timers and bounds of the entries of one device. Zero fields mean
// the default.
type Params struct {
	// BaseReachable is how long a neighbour counts as reachable after it was
	// confirmed, 30 s (REACHABLE_TIME of RFC 4861 §10); each time is drawn from
	// half to one and a half of it.
	BaseReachable time.Duration
	// Retrans is the time between questions, 1 s (RETRANS_TIMER).
	Retrans time.Duration
	// DelayProbe is how long an upper layer has to confirm a stale neighbour
	// before it is asked, 5 s (DELAY_FIRST_PROBE_TIME).
	DelayProbe time.Duration
	// Multicast and Unicast are how many questions of each kind are asked, 3
	// (MAX_MULTICAST_SOLICIT, MAX_UNICAST_SOLICIT).
	Multicast, Unicast int
	// QueueBytes and QueuePackets bound what waits for one neighbour: 212992
	// (unres_qlen_bytes) and 101 (unres_qlen).
	QueueBytes, QueuePackets int
}

// Config is what a table is made of. Clock and Solicit must be set.
type Config struct {
	Clock *clock.Clock
	// Walks brackets what timers do, so that a module that unloads can wait for
	// it; nil means no bracket.
	Walks *rcu.Period
	// Solicit asks on dev's link who has target: to is the neighbour that is
	// asked, zero means everybody (broadcast, or the solicited-node group). src
	// is the source address of the first packet that waits, zero if none does:
	// a hint from which of this host's addresses to ask.
	Solicit func(dev *link.Device, target netip.Addr, to wire.MAC, src netip.Addr)
	// Unreachable ends a packet that waited in vain, and owns it; it begins
	// with its IP header. Nil drops it for NEIGH_FAILED.
	Unreachable func(dev *link.Device, pkt *packet.Packet)
	// Params are those of devices without their own.
	Params Params
	// Thresh1 is how many entries are never cleaned up, Thresh2 how many may
	// stay for more than 5 s, Thresh3 how many there can be (gc_thresh1 to 3):
	// 128, 512 and 1024.
	Thresh1, Thresh2, Thresh3 int
	// StaleTime is how long an unused entry above Thresh1 stays, 60 s
	// (gc_stale_time).
	StaleTime time.Duration
	// Seed makes the random reachable times repeatable; 0 draws one.
	Seed uint64
}

func (p Params) over(base Params) Params {
	or(&p.BaseReachable, base.BaseReachable)
	or(&p.Retrans, base.Retrans)
	or(&p.DelayProbe, base.DelayProbe)
	or(&p.Multicast, base.Multicast)
	or(&p.Unicast, base.Unicast)
	or(&p.QueueBytes, base.QueueBytes)
	or(&p.QueuePackets, base.QueuePackets)
	return p
}

func (c *Config) setDefaults() {
	c.Params = c.Params.over(Params{
		BaseReachable: 30 * time.Second, Retrans: time.Second, DelayProbe: 5 * time.Second,
		Multicast: 3, Unicast: 3, QueueBytes: 212992, QueuePackets: 101,
	})
	or(&c.Thresh1, 128)
	or(&c.Thresh2, 512)
	or(&c.Thresh3, 1024)
	or(&c.StaleTime, 60*time.Second)
}

// or sets *v to def if it is zero.
func or[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// SetParams gives the entries of dev their own timers and bounds; zero fields
// mean the table's. It is for Router Advertisements (RFC 4861 §6.3.4).
func (t *Table) SetParams(dev *link.Device, p Params) {
	t.mu.Lock()
	defer t.mu.Unlock()
	next := maps.Clone(*t.params.Load())
	next[dev.Index()] = p.over(t.cfg.Params)
	if p == (Params{}) {
		delete(next, dev.Index())
	}
	t.params.Store(&next)
}

// Params returns the timers and bounds that hold for dev's entries.
func (t *Table) Params(dev *link.Device) Params {
	if p, ok := (*t.params.Load())[dev.Index()]; ok {
		return p
	}
	return t.cfg.Params
}
