package nft

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/netfilter/rule"
)

// nat compiles snat, dnat, masquerade and redirect. The rule decides about the
// connection; packets follow the decision without rules.
func (c *compiler) nat(x *rule.NAT) (step, error) {
	c.need.ct, c.need.nat = true, true
	addr, err := c.natAddr(x)
	if err != nil {
		return nil, err
	}
	port, err := c.natPort(x)
	if err != nil {
		return nil, err
	}
	flags := netfilter.RangeFlags(0)
	for bit, f := range map[rule.NATFlags]netfilter.RangeFlags{
		rule.Random: netfilter.RangeRandom, rule.FullyRandom: netfilter.RangeFullyRandom, rule.Persistent: netfilter.RangePersistent,
	} {
		if x.Flags&bit != 0 {
			flags |= f
		}
	}
	if x.Prefix {
		flags |= netfilter.RangePrefix
	}
	kind := x.Kind
	behaviour := [2]netfilter.Behaviour{netfilter.Behaviour(x.Mapping), netfilter.Behaviour(x.Filtering)}
	return func(ev *eval) next {
		ev.track()
		tr := ev.gen.translator
		if ev.ct == nil || tr == nil {
			return breakRule
		}
		r := &ev.nat
		*r = netfilter.NATRange{Flags: flags, Mapping: behaviour[0], Filtering: behaviour[1]}
		if addr != nil && !addr(ev, r) || port != nil && !port(ev, r) {
			return breakRule
		}
		ok := false
		switch kind {
		case rule.SNAT:
			ok = tr.Setup(ev.pkt, ev.ct, netfilter.ManipSrc, r)
		case rule.DNAT:
			ok = tr.Setup(ev.pkt, ev.ct, netfilter.ManipDst, r)
		case rule.Masquerade:
			ok = tr.Masquerade(ev.pkt, ev.ct, r)
		case rule.Redirect:
			ok = tr.Redirect(ev.pkt, ev.ct, r)
		}
		if !ok {
			return dropNow
		}
		return acceptNow
	}, nil
}

// A ranger fills in a part of a range; false: the packet has none.
type ranger func(ev *eval, r *netfilter.NATRange) bool

func (c *compiler) natAddr(x *rule.NAT) (ranger, error) {
	if x.Addr == nil {
		return nil, nil
	}
	if lo, hi, err := ends(x.Addr); err == nil && !x.Both {
		return func(_ *eval, r *netfilter.NATRange) bool { r.SetAddrs(lo, hi); return true }, nil
	}
	m, ok := x.Addr.(*rule.MapExpr)
	if !ok {
		return c.natComputed(x)
	}
	return c.natMap(m, x.Both)
}

// natComputed takes an address that is an expression.
func (c *compiler) natComputed(x *rule.NAT) (ranger, error) {
	load, err := c.load(x.Addr)
	if err != nil {
		return nil, err
	}
	n := keyLen(x.Addr)
	at, err := c.scratch(n)
	return func(ev *eval, r *netfilter.NATRange) bool {
		b := ev.scratch[at : at+n]
		if !load(ev, b) {
			return false
		}
		r.SetAddrs(b, b)
		return true
	}, err
}

// natMap takes the address, and with both the port, from a map, whose data may be
// ranges.
func (c *compiler) natMap(m *rule.MapExpr, both bool) (ranger, error) {
	look, err := c.look(m.Key, m.Map)
	return func(ev *eval, r *netfilter.NATRange) bool {
		key := ev.scratch[look.at : look.at+look.n]
		if !look.load(ev, key) {
			return false
		}
		e := look.set.find(ev, key)
		if e == nil || e.run(ev) != goOn {
			return false
		}
		lo, hi := e.data, e.dataHi()
		if both {
			split := len(lo) - 4 // a port in a word of 4 bytes
			r.SetPorts(binary.BigEndian.Uint16(lo[split:]), binary.BigEndian.Uint16(hi[split:]))
			lo, hi = lo[:split], hi[:split]
		}
		r.SetAddrs(lo, hi)
		return true
	}, err
}

func (c *compiler) natPort(x *rule.NAT) (ranger, error) {
	if x.Port == nil {
		return nil, nil
	}
	if lo, hi, err := ends(x.Port); err == nil {
		from, to := uint16(number(lo)), uint16(number(hi))
		if from > to {
			return nil, fmt.Errorf("ports %d to %d are no range", from, to)
		}
		return func(_ *eval, r *netfilter.NATRange) bool { r.SetPorts(from, to); return true }, nil
	}
	load, err := c.load(x.Port)
	if err != nil {
		return nil, err
	}
	n := bytesFor(x.Port.Bits())
	at, err := c.scratch(n)
	return func(ev *eval, r *netfilter.NATRange) bool {
		b := ev.scratch[at : at+n]
		if !load(ev, b) || number(b) > math.MaxUint16 {
			return false
		}
		r.SetPorts(uint16(number(b)), uint16(number(b)))
		return true
	}, err
}
