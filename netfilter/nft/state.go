package nft

import (
	"math"
	"math/bits"
	"sync/atomic"
	"syscall"

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

// A price says what packets or bytes cost in nanoseconds of a bucket's time: per for
// each rate of them.
type price struct{ per, rate uint64 }

// of returns what n cost, false if that is more than can be counted.
func (p price) of(n uint64) (cost int64, ok bool) {
	hi, lo := bits.Mul64(n, p.per)
	if hi != 0 {
		return 0, false
	}
	return int64(min(lo/p.rate, math.MaxInt64)), true
}

// usualBurst is the burst of packets for which nothing is said, as nft has it.
const usualBurst = 5

// limit compiles a token bucket. A rate of nothing is EINVAL, a bucket that is deeper
// than can be counted EOVERFLOW.
func (c *compiler) limit(x *rule.Limit) (step, error) {
	c.need.limit = true
	if x.Rate.Amount == 0 {
		return nil, syscall.EINVAL
	}
	p := price{uint64(x.Rate.Per), x.Rate.Amount}
	depth := x.Burst
	one, _ := p.of(1)
	switch {
	case x.Rate.Bytes:
		if depth += x.Rate.Amount; depth < x.Burst {
			return nil, syscall.EOVERFLOW
		}
	case depth == 0:
		depth = usualBurst
		fallthrough
	default:
		p = price{uint64(one), 1} // whole nanoseconds for each packet
	}
	most, ok := p.of(depth)
	if !ok {
		return nil, syscall.EOVERFLOW
	}
	s := keep(c, x, func() *netfilter.Bucket { return &netfilter.Bucket{Tokens: most, Last: c.m.clock.Now()} })
	octets, over := x.Rate.Bytes, x.Over
	return func(ev *eval) next {
		cost := one
		if octets {
			cost, _ = p.of(uint64(ev.size()))
		}
		return truth(ev.gen.limiter.Take(s, ev.clock(), cost, most) != over)
	}, nil
}
