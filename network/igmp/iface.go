package igmp

import (
	"net/netip"
	"sync"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
)

// Defaults of RFC 3376 §8.
const (
	queryInterval    = 125 * time.Second
	responseInterval = 10 * time.Second
)

// An iface is one device's state.
type iface struct {
	igmp  *igmp
	dev   *link.Device
	timer clock.Timer

	mu     sync.Mutex
	groups map[netip.Addr]*group
	// older are until when a querier of version 1 and of version 2 counts as
	// present (RFC 3376 §7.2.1), mode the version that followed from it last.
	older [2]clock.Time
	mode  int
	// What the querier uses, from its queries of version 3.
	robustness int // 0: not heard yet
	interval   time.Duration
	// general is when a general query of version 3 is answered, changes when state
	// changes are told, or told again. Never: not at all.
	general, changes clock.Time
	out              outbox
	dead             bool // the module is gone
}

func newIface(g *igmp, dev *link.Device) *iface {
	i := &iface{
		igmp: g, dev: dev, groups: map[netip.Addr]*group{}, mode: 3, interval: queryInterval,
		general: clock.Never, changes: clock.Never,
	}
	i.timer.Init(g.net.Clock, func(clock.Time) { i.do(func(clock.Time) {}) })
	return i
}

// do runs f with the state locked, then does what is due, arms the timer for what
// will be, and sends with no lock held.
func (i *iface) do(f func(now clock.Time)) {
	defer i.igmp.net.Walks.Enter().Exit()
	i.mu.Lock()
	now := i.igmp.net.Clock.Now()
	i.checkMode(now)
	f(now)
	i.run(now)
	i.arm()
	out := i.out
	i.out = outbox{}
	i.mu.Unlock()
	out.send(i)
}

// robust is how often state changes are told (RFC 3376 §8.1).
func (i *iface) robust() int {
	if i.robustness != 0 {
		return i.robustness
	}
	return int(i.igmp.settings.robustness.Load())
}

// version is the compatibility mode: that of the oldest querier of late (RFC 3376
// §7.2.1).
func (i *iface) version(now clock.Time) int {
	if v := i.igmp.forcedVersion(i.dev.Index()); v != 0 {
		return v
	}
	for v, until := range i.older {
		if now < until {
			return v + 1
		}
	}
	return 3
}

// checkMode acts on a change of the mode: "it cancels all its pending responses and
// retransmission timers" (RFC 3376 §7.2.1).
func (i *iface) checkMode(now clock.Time) {
	if v := i.version(now); v != i.mode {
		i.mode = v
		i.quiet()
	}
}

// quiet cancels all that is pending. Groups that this host has left are forgotten.
func (i *iface) quiet() {
	i.general, i.changes = clock.Never, clock.Never
	for a, s := range i.groups {
		s.due, s.asked, s.askedAll = clock.Never, nil, false
		s.modeLeft, s.sources = 0, nil
		if s.filter.None() {
			delete(i.groups, a)
		}
	}
}

// unsolicited is the time within which a state change is told again.
func (i *iface) unsolicited() time.Duration {
	c := i.igmp.conf.Of(i.dev.Index())
	ms := c.v3Interval.Load()
	if i.mode < 3 {
		ms = c.v2Interval.Load()
	}
	return time.Duration(ms) * time.Millisecond
}

// arm sets the timer for whatever comes first.
func (i *iface) arm() {
	if i.dead {
		return
	}
	next := min(i.general, i.changes)
	for _, s := range i.groups {
		next = min(next, s.due)
	}
	i.timer.Reset(next)
}

// run does what is due.
func (i *iface) run(now clock.Time) {
	if i.general <= now {
		i.general = clock.Never
		i.answerGeneral()
	}
	for a, s := range i.groups {
		if s.due <= now {
			i.answerGroup(a, s)
		}
	}
	if i.changes <= now {
		i.tellChanges(now)
	}
}

// reportAll tells of all groups as if they had just been joined.
func (i *iface) reportAll(now clock.Time) {
	for _, s := range i.groups {
		s.modeLeft = i.robust()
	}
	if len(i.groups) > 0 {
		i.changes = now
	}
}

// change takes over what this host listens to in a group, and has it told at once
// (RFC 3376 §5.1).
func (i *iface) change(now clock.Time, a netip.Addr, f network.Filter) {
	s := i.groups[a]
	if s == nil {
		s = &group{due: clock.Never}
		i.groups[a] = s
	}
	if i.mode < 3 {
		i.changeOld(now, a, s, f)
		return
	}
	s.change(f, i.robust())
	i.changes = now
}

// tellChanges sends one round of state changes and plans the next: "the set of
// retransmissions is sent at intervals chosen at random from the range (0,
// [Unsolicited Report Interval])" (RFC 3376 §5.1).
func (i *iface) tellChanges(now clock.Time) {
	more := false
	for a, s := range i.groups {
		if i.mode == 3 {
			i.out.records = append(i.out.records, s.changeRecords(a)...)
		} else if s.modeLeft > 0 {
			s.modeLeft--
			i.reportOld(a, s)
		}
		switch {
		case s.pending():
			more = true
		case s.filter.None():
			delete(i.groups, a)
		}
	}
	i.changes = clock.Never
	if more {
		i.changes = now.Add(1 + random(i.unsolicited()))
	}
}
