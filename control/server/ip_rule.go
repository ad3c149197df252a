package server

import (
	"errors"
	"net/netip"
	"syscall"

	"github.com/knitnet/knit/control"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/route"
)

func (x *ipCall) rule() error {
	c := x.q.Rule
	if c == nil {
		return x.unknown()
	}
	v := network.V4
	if c.Family == "inet6" {
		v = network.V6
	}
	switch x.q.Command {
	case "show":
		list := []control.IPRule{}
		for _, r := range x.Kernel.Network.Rules(v == network.V6).All() {
			if ruleShown(c, &r.Rule) {
				list = append(list, ipRule(r, v == network.V6))
			}
		}
		return x.emit(control.IPReply{Rules: list})
	case "flush":
		return x.ruleFlush(v, c)
	case "add":
		return x.ruleAdd(v, c)
	case "delete":
		return x.ruleDelete(v, c)
	}
	return x.unknown()
}

// ruleFlush removes the rules that the filter lets through, but for those of priority
// 0, as iproute2 does.
func (x *ipCall) ruleFlush(v network.Version, c *control.IPRule) error {
	n := 0
	keep := func(r *route.Rule) bool { return r.Priority > 0 && ruleShown(c, r) }
	for x.Kernel.Network.DelRule(v, keep) == nil {
		n++
	}
	return x.emit(control.IPReply{Flushed: &n})
}

func (x *ipCall) ruleAdd(v network.Version, c *control.IPRule) error {
	if err := checkRule(v, c); err != nil {
		return err
	}
	r := newRule(c)
	if r.Action == route.ToTable && r.Table == 0 && !r.L3MDev {
		if v == network.V6 {
			return refuse("Invalid table")
		}
		r.Table = x.Kernel.Network.EmptyTable(false)
	}
	err := x.Kernel.Network.AddRule(v, r, c.Priority != nil)
	if errors.Is(err, route.ErrBackward) {
		return refuse("Backward goto not supported")
	}
	return answer(err)
}

// checkRule refuses what Linux refuses.
func checkRule(v network.Version, c *control.IPRule) error {
	other := func(is4 bool) bool { return is4 != (v == network.V4) }
	// The ends of the number ranges mean all and none to Linux.
	span := func(s *control.IPSpan) bool {
		return s != nil && (s.First == 0 || s.Last < s.First || s.Last >= 1<<16-1)
	}
	bound := func(n *uint32) bool { return n != nil && *n > 1<<31-1 }
	switch {
	case c.Src.Bits() > 0 && other(c.Src.Addr().Is4()):
		return refuse("Invalid source address")
	case c.Dst.Bits() > 0 && other(c.Dst.Addr().Is4()):
		return refuse("Invalid dst address")
	case c.TOS&3 != 0:
		return refuse("Invalid dsfield (tos): ECN bits must be 0")
	case v == network.V4 && c.TOS&^0x1e != 0:
		return refuse("Invalid tos")
	case c.UIDs != nil && (c.UIDs.Last < c.UIDs.First || c.UIDs.Last == 1<<32-1):
		return refuse("Invalid uid range")
	case span(c.SrcPorts):
		return refuse("Invalid sport range")
	case span(c.DstPorts):
		return refuse("Invalid dport range")
	case bound(c.SuppressGroup), bound(c.SuppressPrefix):
		return answer(syscall.EINVAL)
	}
	return nil
}

// newRule translates a command.
func newRule(c *control.IPRule) route.Rule {
	r := route.Rule{
		Not: c.Not, Src: c.Src, Dst: c.Dst, TOS: c.TOS, Mark: c.Mark, Mask: c.Mask, In: c.In, Out: c.Out,
		L3MDev: c.L3MDev, Proto: c.Proto, SrcPorts: ruleSpan(c.SrcPorts), DstPorts: ruleSpan(c.DstPorts), UIDs: ruleSpan(c.UIDs),
		Target: c.Target, Realms: c.Realms, Origin: c.Origin,
		SuppressPrefix: ruleBound(c.SuppressPrefix), SuppressGroup: ruleBound(c.SuppressGroup),
	}
	if c.Priority != nil {
		r.Priority = *c.Priority
	}
	r.Action, _ = route.ParseAction(c.Action)
	r.Table, _ = control.TableNumber(c.Table)
	return r
}

func ruleSpan(s *control.IPSpan) route.Span {
	if s == nil {
		return route.Span{}
	}
	return route.Span{Set: true, First: s.First, Last: s.Last}
}

func ruleBound(n *uint32) route.Bound {
	if n == nil {
		return route.Bound{}
	}
	return route.Bound{Set: true, N: *n}
}

// ruleDelete removes the first rule that agrees with what the command says.
func (x *ipCall) ruleDelete(v network.Version, c *control.IPRule) error {
	want := newRule(c)
	err := x.Kernel.Network.DelRule(v, func(r *route.Rule) bool {
		return (c.Priority == nil || r.Priority == want.Priority) && (c.Action == "" || r.Action == want.Action) &&
			(c.Table == "" || r.Table == want.Table) && sameSelector(r, &want)
	})
	return answer(err)
}

// sameSelector reports whether a rule has every selector of want.
func sameSelector(r, want *route.Rule) bool {
	return (want.Src.Bits() <= 0 || r.Src == want.Src) && (want.Dst.Bits() <= 0 || r.Dst == want.Dst) &&
		(want.TOS == 0 || r.TOS == want.TOS) && (want.Mark == 0 || r.Mark == want.Mark) && (want.Mask == 0 || r.Mask == want.Mask) &&
		(want.In == "" || r.In == want.In) && (want.Out == "" || r.Out == want.Out) &&
		(!want.L3MDev || r.L3MDev) && (want.Proto == 0 || r.Proto == want.Proto) && (want.Origin == 0 || r.Origin == want.Origin) &&
		(!want.SrcPorts.Set || r.SrcPorts == want.SrcPorts) && (!want.DstPorts.Set || r.DstPorts == want.DstPorts) &&
		(!want.UIDs.Set || r.UIDs == want.UIDs) && (!want.SuppressPrefix.Set || r.SuppressPrefix == want.SuppressPrefix) &&
		(!want.SuppressGroup.Set || r.SuppressGroup == want.SuppressGroup)
}

// ruleShown reports whether a filter lets a rule through. As in iproute2 the origin
// and what suppresses have no say.
func ruleShown(c *control.IPRule, r *route.Rule) bool {
	f := newRule(c)
	f.Origin, f.Src, f.Dst = 0, route.Rule{}.Src, route.Rule{}.Dst
	if c.Unmasked {
		f.Mask = 0
	}
	return (c.Priority == nil || r.Priority == f.Priority) && (c.Table == "" || r.Table == f.Table) && (!c.Not || r.Not) &&
		within(r.Src, c.Src) && within(r.Dst, c.Dst) && sameSelector(r, &f)
}

// within reports whether a rule's prefix is inside of a filter's.
func within(p, filter netip.Prefix) bool {
	return filter.Bits() <= 0 || p.Bits() >= filter.Bits() && filter.Contains(p.Addr())
}

// ipRule describes a rule.
func ipRule(r route.RuleInfo, v6 bool) control.IPRule {
	out := control.IPRule{
		Family: "inet", Priority: &r.Priority, Not: r.Not, Src: r.Src, Dst: r.Dst, TOS: r.TOS, Mark: r.Mark, Mask: r.Mask,
		In: r.In, Out: r.Out, InGone: r.InGone, OutGone: r.OutGone, L3MDev: r.L3MDev, Proto: r.Proto,
		Action: r.Action.String(), Target: r.Target, Unresolved: r.Unresolved, Realms: r.Realms, Origin: r.Origin,
		SrcPorts: ipSpan(r.SrcPorts), DstPorts: ipSpan(r.DstPorts), UIDs: ipSpan(r.UIDs),
		SuppressPrefix: ipBound(r.SuppressPrefix), SuppressGroup: ipBound(r.SuppressGroup),
	}
	if v6 {
		out.Family = "inet6"
	}
	if r.Table != 0 {
		out.Table = control.TableName(r.Table)
	}
	return out
}

func ipSpan(s route.Span) *control.IPSpan {
	if !s.Set {
		return nil
	}
	return &control.IPSpan{First: s.First, Last: s.Last}
}

func ipBound(b route.Bound) *uint32 {
	if !b.Set {
		return nil
	}
	return &b.N
}
