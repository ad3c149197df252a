package mld

import (
	"net/netip"
	"slices"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/wire"
)

// Defaults of RFC 3810 §9.
const (
	defaultRobustness = 2
	defaultInterval   = 125 * time.Second
	defaultResponse   = 10 * time.Second
)

// maxAsked bounds the sources of a query that are remembered; a query for more is
// answered as one for all.
const maxAsked = 64

// A state is what one host tells on one link: a state machine without clock and
// lock.
type state struct {
	force                int // 1 or 2: the only version; 0: what routers speak
	interval1, interval2 time.Duration

	random     func(most time.Duration) time.Duration // from 0 to most
	groups     map[netip.Addr]*group
	robustness int
	interval   time.Duration // the querier's
	v1Until    clock.Time    // a router of version 1 is there
	wasV1      bool

	changeAt  clock.Time // next report of changes; Never: none
	generalAt clock.Time // answer to a general query
}

// A group is one that this host listens to, or has left a moment ago.
type group struct {
	filter network.Filter
	// modeLeft is how often the filter as a whole is still to be told, after its
	// mode changed, and sourceLeft how often each source (RFC 3810 §6.1).
	modeLeft   int
	sourceLeft map[netip.Addr]int

	respondAt clock.Time // answer to a query for this group; Never: none
	asked     []netip.Addr

	// Version 1:
	reportAt    clock.Time // Never: none
	reportsLeft int
	last        bool // this host was the last one to report it
}

func (s *state) init(random func(time.Duration) time.Duration) {
	*s = state{
		random: random, groups: map[netip.Addr]*group{}, robustness: defaultRobustness, interval: defaultInterval,
		changeAt: clock.Never, generalAt: clock.Never, interval1: 10 * time.Second, interval2: time.Second,
	}
}

// version1 reports whether version 1 is spoken at time now (RFC 3810 §8.2.1).
func (s *state) version1(now clock.Time) bool {
	if s.force != 0 {
		return s.force == 1
	}
	return now < s.v1Until
}

// settle notices a change of version: "Whenever a host changes its compatibility
// mode, it cancels all its pending responses and retransmission timers" (RFC 3810
// §8.2.1).
func (s *state) settle(now clock.Time) (v1 bool) {
	v1 = s.version1(now)
	if v1 != s.wasV1 {
		s.wasV1 = v1
		s.stopPending()
	}
	return v1
}

func (s *state) stopPending() {
	s.changeAt, s.generalAt = clock.Never, clock.Never
	for a, g := range s.groups {
		g.modeLeft, g.sourceLeft, g.asked = 0, nil, nil
		g.respondAt, g.reportAt, g.reportsLeft = clock.Never, clock.Never, 0
		if g.filter.None() {
			delete(s.groups, a)
		}
	}
}

// stop forgets what was pending and who was there, on a link that is down.
func (s *state) stop() {
	s.stopPending()
	s.robustness, s.interval, s.v1Until, s.wasV1 = defaultRobustness, defaultInterval, 0, false
}

// restart tells of all groups anew.
func (s *state) restart(now clock.Time) {
	for a, g := range s.groups {
		if f := g.filter; !f.None() {
			g.filter = network.Filter{}
			s.change(now, a, f)
		}
	}
}

// change takes in the new filter of a group.
func (s *state) change(now clock.Time, a netip.Addr, next network.Filter) {
	v1 := s.settle(now)
	g := s.groups[a]
	if g == nil {
		g = &group{respondAt: clock.Never, reportAt: clock.Never}
		s.groups[a] = g
	}
	old := g.filter
	g.filter = next
	if v1 {
		s.change1(now, g, old)
	} else {
		s.change2(now, g, old)
	}
}

// change2 notes what routers have to hear, as often as the robustness variable says.
// A new change is merged with what is left of earlier ones (RFC 3810 §6.1).
func (s *state) change2(now clock.Time, g *group, old network.Filter) {
	if old.Exclude != g.filter.Exclude {
		g.modeLeft, g.sourceLeft = s.robustness, nil
	} else {
		if g.sourceLeft == nil {
			g.sourceLeft = map[netip.Addr]int{}
		}
		for _, x := range slices.Concat(minus(old.Sources, g.filter.Sources), minus(g.filter.Sources, old.Sources)) {
			g.sourceLeft[x] = s.robustness
		}
	}
	s.changeAt = now
}

// change1 reports a group that is joined, and says Done for one that is left
// (RFC 2710 §4); sources do not matter there.
func (s *state) change1(now clock.Time, g *group, old network.Filter) {
	switch {
	case old.None() && !g.filter.None():
		g.reportAt, g.reportsLeft, g.last = now, s.robustness, true
	case !old.None() && g.filter.None():
		// Done follows, if this host was the last one to report the group.
		g.reportAt, g.reportsLeft = now, 0
	}
}

// minus returns the addresses of a that are not in b; both are sorted.
func minus(a, b []netip.Addr) (out []netip.Addr) {
	for _, x := range a {
		if _, in := slices.BinarySearchFunc(b, x, netip.Addr.Compare); !in {
			out = append(out, x)
		}
	}
	return out
}

// query takes in a query (RFC 3810 §6.2, RFC 2710 §4).
func (s *state) query(now clock.Time, q wire.MLDQueryMsg) {
	if q.Version() == 1 && s.force != 2 {
		// The Older Version Querier Present Timeout is the robustness variable times
		// the query interval, plus one query response interval (RFC 3810 §9.12).
		s.v1Until = now.Add(time.Duration(s.robustness)*s.interval + defaultResponse)
	}
	if q.Version() == 2 {
		s.robustness, s.interval = defaultRobustness, defaultInterval
		if n := q.Robustness(); n > 0 {
			s.robustness = n
		}
		if n := q.Interval(); n > 0 {
			s.interval = time.Duration(n) * time.Second
		}
	}
	most := time.Duration(q.MaxResponse()) * time.Millisecond
	if s.settle(now) {
		s.query1(now, q.Group(), most)
		return
	}
	s.query2(now, q, now.Add(s.random(most)))
}

// query2 schedules an answer by the five rules of RFC 3810 §6.2.
func (s *state) query2(now clock.Time, q wire.MLDQueryMsg, at clock.Time) {
	if s.generalAt <= at { // 1
		return
	}
	if q.Group().IsUnspecified() { // 2
		s.generalAt = at
		return
	}
	g := s.groups[q.Group()]
	if g == nil || g.filter.None() {
		return
	}
	sources := make([]netip.Addr, 0, min(q.NumSources(), maxAsked))
	for i := 0; i < q.NumSources() && i < maxAsked; i++ {
		sources = append(sources, q.Source(i))
	}
	pending := g.respondAt != clock.Never
	switch {
	case !pending: // 3
		g.asked, g.respondAt = sources, at
	case len(sources) == 0 || len(g.asked) == 0: // 4
		g.asked, g.respondAt = nil, min(g.respondAt, at)
	default: // 5
		g.asked, g.respondAt = append(g.asked, sources...), min(g.respondAt, at)
	}
	if q.NumSources() > maxAsked || len(g.asked) > maxAsked {
		g.asked = nil
	}
}

// query1 sets the delay timers of the groups that are asked for: "If a timer for any
// address is already running, it is reset to the new random value only if the
// requested Maximum Response Delay is less than the remaining value of the running
// timer" (RFC 2710 §4).
func (s *state) query1(now clock.Time, asked netip.Addr, most time.Duration) {
	for a, g := range s.groups {
		if g.filter.None() || !asked.IsUnspecified() && a != asked {
			continue
		}
		if g.reportAt == clock.Never || now.Add(most) < g.reportAt {
			g.reportAt = now.Add(s.random(most))
			g.reportsLeft = max(g.reportsLeft, 1)
		}
	}
}

// heard takes in another host's report of version 1, which makes ours superfluous.
func (s *state) heard(now clock.Time, a netip.Addr) {
	if g := s.groups[a]; g != nil && s.settle(now) && !g.filter.None() {
		g.reportAt, g.reportsLeft, g.last = clock.Never, 0, false
	}
}

// next returns when something is due.
func (s *state) next() clock.Time {
	at := min(s.changeAt, s.generalAt)
	for _, g := range s.groups {
		at = min(at, g.respondAt, g.reportAt)
	}
	return at
}
