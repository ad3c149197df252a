package igmp

import (
	"net/netip"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/wire"
)

// maxMessage is how much of a message is looked at: the longest that fits into an
// Ethernet frame.
const maxMessage = 1500

// Input implements network.Handler.
func (g *igmp) Input(q *packet.Queue) {
	for pkt := q.Pop(); pkt != nil; pkt = q.Pop() {
		var buf [maxMessage]byte
		b := buf[:pkt.CopyOut(0, buf[:])]
		m, ok := wire.ParseIGMP(b)
		switch {
		case !ok || pkt.Len() > maxMessage:
			pkt.Drop(stat.PktTooSmall)
			continue
		case !m.ChecksumOK():
			pkt.Drop(stat.ICMPCsum)
			continue
		}
		dev := g.net.Link.Device(pkt.In)
		pkt.Consume()
		if dev == nil {
			continue
		}
		if i := g.iface(dev); i != nil {
			i.take(m, b)
		}
	}
}

// Error implements network.Handler. Nobody is told of errors about groups.
func (g *igmp) Error(*network.Error) {}

func (i *iface) take(m wire.IGMP, b []byte) {
	switch m.Type() {
	case wire.IGMPQuery:
		if query, ok := wire.ParseIGMPQuery(b); ok {
			i.do(func(now clock.Time) { i.query(now, query) })
		}
	case wire.IGMPv1Report, wire.IGMPv2Report:
		i.do(func(clock.Time) { i.heard(m.Group()) })
	}
}

// query acts on a query (RFC 3376 §5.2, §7.2.1).
func (i *iface) query(now clock.Time, m wire.IGMPQueryMsg) {
	version := m.Version()
	most := time.Duration(m.MaxResponse()) * time.Second / 10
	if version < 3 {
		// Older Version Querier Present Timeout (RFC 3376 §8.12).
		i.older[version-1] = now.Add(time.Duration(i.robust())*i.interval + max(most, responseInterval))
	} else {
		i.learn(m)
	}
	i.checkMode(now)
	if i.mode < 3 {
		i.queryOld(now, m.Group(), most)
		return
	}
	if version < 3 {
		most = max(most, time.Second/10) // forced to version 3; the answer is still spread
	}
	i.queryNew(now, m, now.Add(random(most)))
}

// learn takes over what the querier uses: "Multicast routers ... MUST adopt" and
// hosts do as well (RFC 3376 §4.1.6, §4.1.7). A robustness of 0 means more than 7.
func (i *iface) learn(m wire.IGMPQueryMsg) {
	i.robustness = m.Robustness()
	i.interval = queryInterval
	if s := m.Interval(); s != 0 {
		i.interval = time.Duration(s) * time.Second
	}
}

// queryNew holds the five rules of RFC 3376 §5.2.
func (i *iface) queryNew(now clock.Time, m wire.IGMPQueryMsg, at clock.Time) {
	switch s := i.groups[m.Group()]; {
	case i.general <= at: // 1: an answer about everything comes sooner
	case m.Group().IsUnspecified(): // 2
		i.general = at
	case s != nil:
		var sources []netip.Addr
		for n := range m.NumSources() {
			sources = append(sources, m.Source(n))
		}
		s.ask(at, sources)
	}
}

// answerGeneral tells the state of all groups.
func (i *iface) answerGeneral() {
	for a, s := range i.groups {
		if !s.filter.None() {
			i.out.records = append(i.out.records, s.current(a))
		}
	}
}

// answerGroup answers the queries about one group.
func (i *iface) answerGroup(a netip.Addr, s *group) {
	r, ok := s.answer(a)
	if i.mode < 3 {
		if !s.filter.None() {
			i.reportOld(a, s)
		}
		return
	}
	if ok {
		i.out.records = append(i.out.records, r)
	}
}
