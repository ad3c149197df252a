package nft

import (
	"sync/atomic"

	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/netfilter/rule"
)

// A counterState counts packets and bytes.
type counterState struct{ packets, bytes atomic.Uint64 }

// keep returns the state of a statement: that of the last compilation, or a new one.
func keep[T any](c *compiler, spec any, fresh func() *T) *T {
	if s, ok := c.states[spec]; ok {
		return s.(*T) // a named object that several rules use
	}
	if s, ok := c.old[spec]; ok {
		c.states[spec] = s
		return s.(*T)
	}
	s := fresh()
	c.states[spec] = s
	return s
}

func (c *compiler) counter(x *rule.Counter) step {
	s := keep(c, x, func() *counterState {
		s := new(counterState)
		s.packets.Store(x.Packets)
		s.bytes.Store(x.Bytes)
		return s
	})
	return func(ev *eval) next {
		s.packets.Add(1)
		s.bytes.Add(uint64(ev.size()))
		return goOn
	}
}

type quotaState struct{ used atomic.Uint64 }

func (c *compiler) quota(x *rule.Quota) step {
	s := keep(c, x, func() *quotaState {
		s := new(quotaState)
		s.used.Store(x.Used)
		return s
	})
	limit, over := x.Bytes, x.Over
	return func(ev *eval) next {
		return truth(s.used.Add(uint64(ev.size())) > limit == over)
	}
}

func (c *compiler) limit(x *rule.Limit) step {
	c.need.limit = true
	rate := max(x.Rate.Amount, 1)
	unit := func(n uint64) int64 { return int64(float64(n) * float64(x.Rate.Per) / float64(rate)) }
	burst := x.Burst
	most := unit(burst)
	if x.Rate.Bytes {
		most = unit(rate + burst)
	} else if burst == 0 {
		most = unit(5) // nft's default
	}
	s := keep(c, x, func() *netfilter.Bucket { return &netfilter.Bucket{Tokens: most, Last: c.m.clock.Now()} })
	one := unit(1)
	octets, over := x.Rate.Bytes, x.Over
	return func(ev *eval) next {
		cost := one
		if octets {
			cost = unit(uint64(ev.size()))
		}
		return truth(ev.gen.limiter.Take(s, ev.clock(), cost, most) != over)
	}
}
