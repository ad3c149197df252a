package lang

import (
	"bytes"
	"slices"
	"strings"
	"syscall"

	"github.com/knitnet/knit/netfilter/rule"
)

// declareSet checks the block of a set or map.
func (ev *evaluator) declareSet(c *command, b *setDecl) error {
	if err := ev.inTable(c); err != nil {
		return err
	}
	s, sc := c.SetSpec, ev.scope(c.Family, c.Table)
	sc.elem = true
	if b.key != nil {
		e, err := ev.typeof(c.Family, c.Table, b.key)
		if err != nil {
			return err
		}
		s.KeyExpr, s.Key = e, sized(e)
	} else {
		s.Key = b.keyT
	}
	if s.Key == nil {
		return &Error{At: b.at, Msg: "set definition does not specify key"}
	}
	if s.Key.Bits == 0 {
		return &Error{At: b.at, Msg: "unqualified type " + s.Key.Name + " specified in set definition. Try \"typeof expression\" instead of \"type datatype\"."}
	}
	if b.data != nil {
		e, err := ev.typeof(c.Family, c.Table, b.data)
		if err != nil {
			return err
		}
		s.DataExpr, s.Data = e, sized(e)
	} else {
		s.Data = b.dataT
	}
	if b.isMap && s.Data == nil && s.ObjData == 0 {
		return &Error{At: b.at, Msg: "map definition does not specify mapping data type"}
	}
	s.DataInterval = b.dataInterval
	var err error
	if s.Stmts, err = sc.elemStmts(b.stmts); err != nil {
		return err
	}
	if b.elems != nil {
		if s.Elems, c.ElemAt, err = ev.elements(c.Family, c.Table, s, b.elems); err != nil {
			return err
		}
	}
	return sc.late
}

// typeof checks an expression that only its type is wanted of.
func (ev *evaluator) typeof(f rule.Family, table string, n *node) (rule.Expr, error) {
	sc := &scope{ev: ev, family: rule.Inet, table: table, elem: true}
	if n.kind == nConcat {
		c := &rule.Concat{}
		var types []*rule.Type
		for _, k := range n.kids {
			e, err := ev.typeof(f, table, k)
			if err != nil {
				return nil, err
			}
			c.Parts = append(c.Parts, e)
			types = append(types, sized(e))
		}
		c.T = rule.ConcatOf(types...)
		return c, nil
	}
	return sc.expr(n, nil, 0)
}

// elements checks the elements of a named set, and says where each stands.
func (ev *evaluator) elements(f rule.Family, table string, s *rule.Set, n *node) (out []rule.Elem, at []Span, err error) {
	sc := ev.scope(f, table)
	sc.elem = true
	data := s.Data
	if s.ObjData != 0 {
		data = rule.StringType
	}
	kids := flatten(n)
	if n.kind != nSet {
		kids = []*node{{kind: nElem, kids: []*node{n}, at: n.at, elem: &elemOpts{}}}
	}
	for _, k := range kids {
		e, err := sc.element(s.Key, data, k)
		if err != nil {
			return nil, nil, err
		}
		if s.Flags&rule.Interval == 0 && isInterval(e.Key) {
			return nil, nil, &Error{At: keyNode(k).at, Msg: "You must add 'flags interval' to your set declaration if you want to add prefix elements"}
		}
		if len(e.Stmts) == 0 {
			e.Stmts = fresh(s.Stmts)
		}
		out, at = append(out, *e), append(at, keyNode(k).at)
	}
	return out, at, sc.late
}

// fresh returns the statements that a set creates with an element.
func fresh(stmts []rule.Stmt) (out []rule.Stmt) {
	for _, s := range stmts {
		switch x := s.(type) {
		case *rule.Counter:
			out = append(out, &rule.Counter{})
		case *rule.Quota:
			out = append(out, &rule.Quota{Over: x.Over, Bytes: x.Bytes})
		case *rule.Limit:
			n := *x
			out = append(out, &n)
		case *rule.CTCount:
			n := *x
			out = append(out, &n)
		default:
			out = append(out, s)
		}
	}
	return out
}

func keyNode(k *node) *node {
	for k.kind == nMapping || k.kind == nElem {
		k = k.kids[0]
	}
	return k
}

func isInterval(e rule.Expr) bool {
	switch x := e.(type) {
	case *rule.Prefix, *rule.Range:
		return true
	case *rule.Concat:
		return slices.ContainsFunc(x.Parts, isInterval)
	}
	return false
}

// element checks one element. data is nil for a set.
func (sc *scope) element(key, data *rule.Type, n *node) (*rule.Elem, error) {
	e := &rule.Elem{}
	var err error
	el := n
	if n.kind == nMapping {
		el = n.kids[0]
		if data == nil {
			return nil, &Error{At: n.at, Msg: "mapping expression found in set"}
		}
		if e.Data, err = sc.constant(data, data.Bits, n.kids[1]); err != nil {
			return nil, err
		}
		if _, isVerdict := e.Data.(*rule.Verdict); isVerdict != (data == rule.VerdictType) {
			return nil, &Error{At: n.kids[1].at, Msg: "Data type of mapping does not fit"}
		}
	}
	k := el
	if el.kind == nElem {
		k = el.kids[0]
		if o := el.elem; o != nil {
			e.Timeout, e.Expires, e.Comment = o.timeout, o.expires, o.comment
			if e.Stmts, err = sc.elemStmts(o.stmts); err != nil {
				return nil, err
			}
		}
	}
	if len(key.Parts) > 0 && k.kind != nConcat && k.kind != nAny {
		return nil, &Error{At: k.at, Msg: "invalid data type, expected " + typeDesc(key)}
	}
	if e.Key, err = sc.constant(key, key.Bits, k); err != nil {
		return nil, err
	}
	return e, nil
}

// setLit checks an anonymous set.
func (sc *scope) setLit(t *rule.Type, size int, n *node) (rule.Expr, error) {
	if t.Bits == 0 && size != 0 {
		c := *t
		c.Bits = size
		t = &c
	}
	lit := &rule.SetLit{Key: t}
	if len(n.kids) == 0 {
		return nil, emptySet(n)
	}
	for _, k := range flatten(n) {
		e, err := sc.element(t, nil, k)
		if err != nil {
			return nil, err
		}
		lit.Elems = append(lit.Elems, *e)
	}
	return lit, sc.arrange(lit, n)
}

// emptySet reports a set without elements, which only a variable can be.
func emptySet(n *node) error { return &Error{At: n.where(), Msg: "Set is empty"} }

// flatten puts the elements of variables that are sets themselves among the others.
func flatten(n *node) (out []*node) {
	for _, k := range n.kids {
		if k.kind == nElem && k.kids[0].kind == nSet {
			out = append(out, flatten(k.kids[0])...)
			continue
		}
		out = append(out, k)
	}
	return out
}

// arrange sorts the elements of an anonymous set and joins intervals that overlap or
// touch; in a map they must not.
func (sc *scope) arrange(lit *rule.SetLit, n *node) error {
	elems, ok := Arrange(lit.Elems, lit.Key, lit.Data == nil, true)
	if !ok {
		return overlap(lit.Elems, n)
	}
	lit.Elems = elems
	if sc.late == nil {
		sc.late = duplicate(lit, n)
	}
	return nil
}

// overlap reports which elements of a map overlap.
func overlap(elems []rule.Elem, n *node) error {
	for i := range elems {
		lo, hi := bounds(elems[i].Key)
		for j := range elems {
			lo2, hi2 := bounds(elems[j].Key)
			if i != j && i < len(n.kids) && j < len(n.kids) && lo.Cmp(lo2) >= 0 && lo.Cmp(hi2) <= 0 && (hi.Cmp(hi2) <= 0 || lo.Cmp(lo2) > 0) {
				return &Error{At: keyNode(n.kids[i]).at, More: []Span{keyNode(n.kids[j]).at}, Msg: "conflicting intervals specified"}
			}
		}
	}
	return &Error{At: n.at, Msg: "conflicting intervals specified"}
}

// duplicate reports a key that an anonymous map has twice, which Linux refuses.
func duplicate(lit *rule.SetLit, n *node) error {
	if lit.Data == nil {
		return nil
	}
	for i := range lit.Elems[:max(len(lit.Elems)-1, 0)] {
		v, ok := lit.Elems[i].Key.(*rule.Value)
		w, ok2 := lit.Elems[i+1].Key.(*rule.Value)
		if ok && ok2 && v.Wild == w.Wild && bytes.Equal(v.Data, w.Data) {
			return Store(lastWith(n, v), syscall.EEXIST)
		}
	}
	return nil
}

// lastWith returns the place of the last element that is written as a key.
func lastWith(n *node, v *rule.Value) Span {
	text := (&printer{}).text(v)
	for i := len(n.kids) - 1; i >= 0; i-- {
		if k := keyNode(n.kids[i]); strings.Trim(text, `"`) == k.text {
			return k.at
		}
	}
	return n.at
}
