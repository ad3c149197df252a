package igmp

import (
	"net/netip"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/wire"
)

// This file is versions 1 and 2 (RFC 1112 app. I, RFC 2236): a report for each
// group, suppressed by that of another member, and no sources.

// changeOld joins or leaves a group. A join is reported at once and again (RFC 2236
// §3); the last one to report a group tells when it leaves.
func (i *iface) changeOld(now clock.Time, a netip.Addr, s *group, f network.Filter) {
	was := !s.filter.None()
	s.filter = f
	switch is := !f.None(); {
	case is && !was:
		s.modeLeft = i.robust()
		i.changes = now
	case !is && was:
		if s.reporter && i.mode == 2 {
			i.out.old = append(i.out.old, oldMessage{wire.IGMPv2Leave, a})
		}
		delete(i.groups, a)
	}
}

// queryOld has each group that is asked for reported after a delay of its own. "If
// a timer for the group is already running, it is reset to the random value only
// if the requested Max Response Time is less than the remaining value of the
// running timer" (RFC 2236 §3).
func (i *iface) queryOld(now clock.Time, asked netip.Addr, most time.Duration) {
	for a, s := range i.groups {
		if !asked.IsUnspecified() && asked != a || s.filter.None() {
			continue
		}
		if s.due == clock.Never || now.Add(most) < s.due {
			s.due = now.Add(random(most))
		}
	}
}

// heard notes that another host has reported a group: ours need not.
func (i *iface) heard(a netip.Addr) {
	if s := i.groups[a]; s != nil && i.mode < 3 {
		s.due, s.modeLeft, s.reporter = clock.Never, 0, false
	}
}

func (i *iface) reportOld(a netip.Addr, s *group) {
	typ := uint8(wire.IGMPv2Report)
	if i.mode == 1 {
		typ = wire.IGMPv1Report
	}
	s.reporter = true
	i.out.old = append(i.out.old, oldMessage{typ, a})
}
