package nft

import "github.com/knitnet/knit/netfilter/rule"

// A use is something of a table that rules, elements or sets name.
type use struct {
	kind useKind
	name string
}

type useKind uint8

const (
	useChain useKind = iota
	useSet
	useFlowtable
	useObject // the kinds of objects follow
)

func useOf(k rule.ObjectKind) useKind { return useObject + useKind(k) }

// usesOf returns what the rules and elements of a table use.
func usesOf(t *rule.Table) map[use]bool {
	out := map[use]bool{}
	note := func(u use) { out[u] = true }
	for _, c := range t.Chains {
		for _, r := range c.Rules {
			eachUse(r.Stmts, note)
		}
	}
	for _, s := range t.Sets {
		elemUses(s.Elems, s.ObjData, note)
	}
	return out
}

// eachUse calls f for everything that statements name.
func eachUse(stmts []rule.Stmt, f func(use)) {
	for _, s := range stmts {
		switch x := s.(type) {
		case *rule.Verdict:
			verdictUse(x, f)
		case *rule.Update:
			f(use{useSet, x.Set})
			eachUse(x.Stmts, f)
		case *rule.FlowOffload:
			f(use{useFlowtable, x.Flowtable})
		case *rule.ObjectRef:
			objectUse(x, f)
		}
		for _, e := range exprsOf(s) {
			walkExpr(e, func(e rule.Expr) { exprUse(e, f) })
		}
	}
}

func exprUse(e rule.Expr, f func(use)) {
	switch x := e.(type) {
	case *rule.SetRef:
		f(use{useSet, x.Name})
	case *rule.SetLit:
		elemUses(x.Elems, 0, f)
	}
}

func objectUse(x *rule.ObjectRef, f func(use)) {
	switch n := x.Name.(type) {
	case *rule.Value:
		f(use{useOf(x.Kind), nameOf(n)})
	case *rule.MapExpr:
		if lit, ok := n.Map.(*rule.SetLit); ok {
			elemUses(lit.Elems, x.Kind, f)
		}
	}
}

func elemUses(elems []rule.Elem, objects rule.ObjectKind, f func(use)) {
	for i := range elems {
		switch d := elems[i].Data.(type) {
		case *rule.Verdict:
			verdictUse(d, f)
		case *rule.Value:
			if objects != 0 {
				f(use{useOf(objects), nameOf(d)})
			}
		}
	}
}

func verdictUse(v *rule.Verdict, f func(use)) {
	if v.Kind == rule.Jump || v.Kind == rule.Goto {
		f(use{useChain, v.Chain})
	}
}

// nameOf returns a name that is kept as a value.
func nameOf(v *rule.Value) string {
	b := v.Data
	for len(b) > 0 && b[len(b)-1] == 0 {
		b = b[:len(b)-1]
	}
	return string(b)
}

// exprsOf returns the expressions of a statement.
func exprsOf(s rule.Stmt) []rule.Expr {
	switch x := s.(type) {
	case *rule.Match:
		return []rule.Expr{x.Left, x.Right}
	case *rule.VMap:
		return []rule.Expr{x.Key, x.Map}
	case *rule.NAT:
		return []rule.Expr{x.Addr, x.Port}
	case *rule.Assign:
		return []rule.Expr{x.Dst, x.Value}
	case *rule.TProxy:
		return []rule.Expr{x.Addr, x.Port}
	case *rule.Dup:
		return []rule.Expr{x.Addr, x.Device}
	case *rule.Fwd:
		return []rule.Expr{x.Addr, x.Device}
	case *rule.Update:
		return []rule.Expr{x.Key, x.Data}
	case *rule.ObjectRef:
		return []rule.Expr{x.Name}
	}
	return nil
}

// walkExpr calls f for an expression and all that is in it; nil has nothing.
func walkExpr(e rule.Expr, f func(rule.Expr)) {
	if e == nil {
		return
	}
	f(e)
	switch x := e.(type) {
	case *rule.Concat:
		for _, p := range x.Parts {
			walkExpr(p, f)
		}
	case *rule.MapExpr:
		walkExpr(x.Key, f)
		walkExpr(x.Map, f)
	case *rule.Binary:
		walkExpr(x.Left, f)
		walkExpr(x.Right, f)
	case *rule.Hash:
		walkExpr(x.Key, f)
	}
}

// anonymousSets returns the sets and maps that a rule spells out.
func anonymousSets(r *rule.Rule) (out []*rule.SetLit) {
	for _, s := range r.Stmts {
		for _, e := range exprsOf(s) {
			walkExpr(e, func(e rule.Expr) {
				if lit, ok := e.(*rule.SetLit); ok {
					out = append(out, lit)
				}
			})
		}
	}
	return out
}
