package nft

import (
	"slices"

	"github.com/knitnet/knit/netfilter/rule"
)

// fits reports whether a statement can work in chains that packets of a base chain
// come to.
func fits(s rule.Stmt, f rule.Family, base *rule.Chain) bool {
	for _, e := range exprsOf(s) {
		ok := true
		walkExpr(e, func(e rule.Expr) { ok = ok && exprFits(e, base.Hook) })
		if !ok {
			return false
		}
	}
	at := func(hooks ...rule.Hook) bool { return slices.Contains(hooks, base.Hook) }
	switch x := s.(type) {
	case *rule.NAT:
		return natFits(x, base)
	case *rule.TProxy:
		return at(rule.Prerouting)
	case *rule.Reject:
		return at(rule.Prerouting, rule.Input, rule.Forward, rule.Output, rule.Ingress)
	case *rule.FlowOffload:
		return at(rule.Forward)
	case *rule.Fwd:
		return at(rule.Ingress, rule.Egress)
	case *rule.Dup:
		return (f == rule.Netdev) == (x.Addr == nil)
	case *rule.Assign:
		if m, ok := x.Dst.(*rule.Meta); ok && m.Key == rule.MetaPkttype {
			return at(rule.Prerouting, rule.Ingress)
		}
	}
	return true
}

func natFits(x *rule.NAT, base *rule.Chain) bool {
	if base.Type != rule.NATChain {
		return false
	}
	switch x.Kind {
	case rule.Masquerade:
		return base.Hook == rule.Postrouting
	case rule.SNAT:
		return base.Hook == rule.Postrouting || base.Hook == rule.Input
	}
	return base.Hook == rule.Prerouting || base.Hook == rule.Output
}

// exprFits reports whether there is at a hook what an expression asks for: a device
// to come in by or to leave by, a way that was decided, a socket.
func exprFits(e rule.Expr, h rule.Hook) bool {
	at := func(hooks ...rule.Hook) bool { return slices.Contains(hooks, h) }
	switch x := e.(type) {
	case *rule.Meta:
		return x.Key != rule.MetaSDIF && x.Key != rule.MetaSDIFname || at(rule.Input, rule.Forward)
	case *rule.RT:
		return x.Key != rule.RTMTU || at(rule.Forward, rule.Output, rule.Postrouting)
	case *rule.Socket:
		return at(rule.Prerouting, rule.Input, rule.Output)
	case *rule.FIB:
		return fibFits(x, at)
	}
	return true
}

func fibFits(x *rule.FIB, at func(...rule.Hook) bool) bool {
	switch {
	case x.Result != rule.FIBType, x.Flags&rule.FIBIif != 0:
		return at(rule.Prerouting, rule.Input, rule.Forward, rule.Ingress)
	case x.Flags&rule.FIBOif != 0:
		return at(rule.Forward, rule.Output, rule.Postrouting)
	}
	return true
}
