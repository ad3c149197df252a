package reach

import (
	"math/bits"
	"slices"

	"github.com/knitnet/knit/netfilter/rule"
)

// Keys whose value does not change by itself while a packet passes a chain. Those of
// a connection that other packets may change meanwhile are not among them.
var (
	steadyMeta = []rule.MetaKey{
		rule.MetaLength, rule.MetaNFProto, rule.MetaL4Proto, rule.MetaProtocol, rule.MetaPriority, rule.MetaMark, rule.MetaIif,
		rule.MetaIifname, rule.MetaIiftype, rule.MetaOif, rule.MetaOifname, rule.MetaOiftype, rule.MetaPkttype,
	}
	steadyCT = []rule.CTKey{
		rule.CTState, rule.CTDirection, rule.CTL3Proto, rule.CTProto, rule.CTSrc, rule.CTDst, rule.CTProtoSrc, rule.CTProtoDst,
	}
)

// field returns the field that an expression is, perhaps under a mask.
func (x *reader) field(e rule.Expr) (f field, mask *num, ok bool) {
	f, mask, ok = fieldOf(e)
	if f.kind == payload && f.key == uint8(rule.NetworkHeader) {
		// The hook points of an IP version see whole headers (RFC 791, RFC 8200) alone.
		switch end := f.at + f.width; x.a.table.Family {
		case rule.IP:
			f.sure = end <= 160
		case rule.IP6:
			f.sure = end <= 320
		}
	}
	return f, mask, ok
}

func fieldOf(e rule.Expr) (f field, mask *num, ok bool) {
	if b, ok := e.(*rule.Binary); ok {
		v, isValue := b.Right.(*rule.Value)
		f, inner, ok := fieldOf(b.Left)
		if !ok || !isValue || b.Op != '&' || inner != nil || len(v.Data) > 16 {
			return f, nil, false
		}
		m := numOf(v.Data)
		return f, &m, true
	}
	switch x := e.(type) {
	case *rule.Payload:
		base, off := x.Base, x.Offset
		if x.Field != nil {
			base, off = x.Field.Base, x.Field.Offset
		}
		f = field{kind: payload, key: uint8(base), at: off}
		ok = base == rule.NetworkHeader || base == rule.TransportHeader
	case *rule.Meta:
		f = field{kind: meta, key: uint8(x.Key)}
		ok = slices.Contains(steadyMeta, x.Key)
	case *rule.CT:
		f = field{kind: ct, key: uint8(x.Key), dir: x.Dir}
		ok = slices.Contains(steadyCT, x.Key)
	default:
		return f, nil, false
	}
	f.width = e.Bits()
	return f, nil, ok && f.width > 0 && f.width <= 128
}

// spanOf returns the values that a constant means.
func spanOf(e rule.Expr, width int) (s span, ok bool) {
	n := (width + 7) / 8
	switch x := e.(type) {
	case *rule.Value:
		if x.Wild {
			return wild(x, n)
		}
		v := numOf(x.Data)
		return span{v, v}, len(x.Data) == n
	case *rule.Range:
		return span{numOf(x.Lo.Data), numOf(x.Hi.Data)}, len(x.Lo.Data) == n && len(x.Hi.Data) == n
	case *rule.Prefix:
		if len(x.Value.Data) != n || x.Len < 0 || x.Len > width {
			return s, false
		}
		rest := top(width - x.Len)
		v := numOf(x.Value.Data)
		lo := num{v.hi &^ rest.hi, v.lo &^ rest.lo}
		return span{lo, num{lo.hi | rest.hi, lo.lo | rest.lo}}, true
	case *rule.Any:
		return span{num{}, top(width)}, true
	}
	return s, false
}

// wild are the names that begin with a text.
func wild(v *rule.Value, n int) (s span, ok bool) {
	text := v.Data
	for len(text) > 0 && text[len(text)-1] == 0 {
		text = text[:len(text)-1]
	}
	if len(text) > n {
		return s, false
	}
	lo, hi := make([]byte, n), make([]byte, n)
	copy(lo, text)
	copy(hi, text)
	for i := len(text); i < n; i++ {
		hi[i] = 0xff
	}
	return span{numOf(lo), numOf(hi)}, true
}

// states are all values of `ct state`: a packet has one of them.
var states = []num{{0, 1}, {0, 2}, {0, 4}, {0, 8}, {0, 64}}

// resolve returns the values of a field for which a comparison holds: of the field
// under a mask, if there is one, with spans. common: it asks for a common bit.
func resolve(f field, mask *num, op rule.Op, common bool, spans []span) (v values, ok bool) {
	holds := func(x num) bool {
		if mask != nil {
			x = x.and(*mask)
		}
		return compares(x, op, common, spans)
	}
	switch {
	case f.kind == ct && rule.CTKey(f.key) == rule.CTState:
		return pick(states, holds), true
	case common && (op == rule.Implicit || op == rule.Not), mask != nil:
		if p, ok := prefixMask(f, mask, op, common, spans); ok {
			return p, true
		}
		if f.width > 16 {
			return v, false
		}
		all := make([]num, 0, maxWide)
		for i := range uint64(1) << f.width {
			all = append(all, num{0, i})
		}
		return pick(all, holds), true
	}
	return ordered(f, op, spans)
}

// pick returns those of some values, in ascending order, for which f holds.
func pick(all []num, f func(num) bool) values {
	var out []span
	for _, x := range all {
		if f(x) {
			out = append(out, span{x, x})
		}
	}
	return valuesOf(out)
}

// compares is a comparison as the packet filter does it.
func compares(x num, op rule.Op, common bool, spans []span) bool {
	in := slices.ContainsFunc(spans, func(s span) bool { return compare(x, s.lo) >= 0 && compare(x, s.hi) <= 0 })
	switch op {
	case rule.Implicit, rule.Not:
		if common {
			return (x.and(spans[0].lo) != num{}) == (op == rule.Implicit)
		}
		return in == (op == rule.Implicit)
	case rule.Eq:
		return in
	case rule.Ne:
		return !in
	case rule.Lt:
		return compare(x, spans[0].lo) < 0
	case rule.Le:
		return compare(x, spans[0].lo) <= 0
	case rule.Gt:
		return compare(x, spans[0].lo) > 0
	}
	return compare(x, spans[0].lo) >= 0
}

// ordered are the values of a whole field.
func ordered(f field, op rule.Op, spans []span) (values, bool) {
	most := top(f.width)
	all := values{spans: []span{{num{}, most}}}
	for _, s := range spans {
		if compare(s.lo, s.hi) > 0 {
			return values{}, false
		}
	}
	in := valuesOf(slices.Clone(spans)).intersect(all)
	switch op {
	case rule.Implicit, rule.Eq:
		return in, true
	case rule.Ne:
		return all.minus(in), true
	}
	if len(spans) != 1 || spans[0].lo != spans[0].hi {
		return values{}, false
	}
	at := spans[0].lo
	below, above := values{spans: []span{{num{}, at}}}, values{spans: []span{{at, most}}}
	switch op {
	case rule.Le:
		return below.intersect(all), true
	case rule.Lt:
		return below.minus(in), true
	case rule.Ge:
		return above.intersect(all), true
	case rule.Gt:
		return above.minus(in), true
	}
	return values{}, false
}

// prefixMask is `field & 255.255.255.0 == 10.0.0.0`.
func prefixMask(f field, mask *num, op rule.Op, common bool, spans []span) (v values, ok bool) {
	if mask == nil || common || len(spans) != 1 || spans[0].lo != spans[0].hi || op != rule.Eq && op != rule.Ne && op != rule.Implicit {
		return v, false
	}
	most := top(f.width)
	rest := num{most.hi &^ mask.hi, most.lo &^ mask.lo}
	n := bits.Len64(rest.hi) + 64
	if rest.hi == 0 {
		n = bits.Len64(rest.lo)
	}
	if rest != top(n) || rest == most && n > 0 {
		return v, false
	}
	lo := spans[0].lo
	if lo.and(rest) != (num{}) {
		return v, false
	}
	return ordered(f, op, []span{{lo, num{lo.hi | rest.hi, lo.lo | rest.lo}}})
}
