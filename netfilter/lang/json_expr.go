package lang

import (
	"strings"
	"time"

	"github.com/knitnet/knit/netfilter/rule"
)

// jsonExpr returns what is computed per packet, or a constant.
func (p *printer) jsonExpr(e rule.Expr) any {
	switch x := e.(type) {
	case *rule.Payload:
		if x.Field == nil {
			return obj("payload", object{{"base", x.Base.String()}, {"offset", x.Offset}, {"len", x.N}})
		}
		return obj("payload", object{{"protocol", x.Field.Header}, {"field", x.Field.Name}})
	case *rule.Exthdr:
		return jsonExthdr(x)
	case *rule.Meta:
		return obj("meta", obj("key", x.Key.String()))
	case *rule.CT:
		return jsonCT(x)
	case *rule.FIB:
		return jsonFIB(x)
	case *rule.RT:
		o := obj("key", x.Key.String())
		if x.Key == rule.RTNexthop {
			o = o.with("family", x.Family.String())
		}
		return obj("rt", o)
	case *rule.Socket:
		return obj("socket", obj("key", x.Key.String()))
	case *rule.Numgen:
		mode := "inc"
		if x.Random {
			mode = "random"
		}
		return obj("numgen", object{{"mode", mode}, {"mod", uint64(x.Mod)}, {"offset", uint64(x.Offset)}})
	case *rule.Hash:
		return p.jsonHash(x)
	case *rule.Concat:
		return obj("concat", p.jsonExprs(x.Parts))
	case *rule.MapExpr:
		return obj("map", object{{"key", p.jsonExpr(x.Key)}, {"data", p.jsonExpr(x.Map)}})
	case *rule.Binary:
		return obj(opSigns[x.Op], []any{p.jsonExpr(x.Left), p.jsonOperand(x.Right)})
	}
	return p.jsonConstant(e)
}

func (p *printer) jsonExprs(list []rule.Expr) []any {
	out := make([]any, len(list))
	for i, e := range list {
		out[i] = p.jsonExpr(e)
	}
	return out
}

// jsonOperand returns the right side of a binary operation, where bits are combined.
func (p *printer) jsonOperand(e rule.Expr) any {
	v, ok := e.(*rule.Value)
	if !ok || !v.T.Bitmask() {
		return p.jsonExpr(e)
	}
	names := p.jsonBitNames(v)
	if len(names) < 2 {
		return p.jsonValue(v)
	}
	out := names[0]
	for _, n := range names[1:] {
		out = obj("|", []any{out, n})
	}
	return out
}

func jsonExthdr(x *rule.Exthdr) any {
	kind := map[rule.ExthdrKind]string{rule.TCPOption: "tcp option", rule.IPOption: "ip option", rule.SCTPChunk: "sctp chunk",
		rule.IPv6Ext: "exthdr", rule.DCCPOption: "dccp option"}[x.Kind]
	switch {
	case x.Raw:
		return obj(kind, object{{"base", int(x.Number)}, {"offset", x.Offset}, {"len", x.N}})
	case x.Name == "":
		return obj(kind, object{{"base", int(x.Number)}, {"offset", 0}, {"len", 8}})
	}
	o := obj("name", x.Name)
	if x.Field != nil {
		o = o.with("field", x.Field.Name)
	}
	return obj(kind, o)
}

func jsonCT(x *rule.CT) any {
	key := x.Key.String()
	if x.Key == rule.CTSrc || x.Key == rule.CTDst {
		key = x.Family.String() + " " + key
	}
	o := obj("key", key)
	if x.Dir != rule.NoDir {
		o = o.with("dir", x.Dir.String())
	}
	return obj("ct", o)
}

func jsonFIB(x *rule.FIB) any {
	var flags []any
	for i, w := range []string{"saddr", "daddr", "mark", "iif", "oif"} {
		if x.Flags&(1<<i) != 0 {
			flags = append(flags, w)
		}
	}
	result := [...]string{"oif", "oifname", "type"}[x.Result]
	return obj("fib", object{{"result", result}, {"flags", flags}})
}

func (p *printer) jsonHash(x *rule.Hash) any {
	o := obj("mod", uint64(x.Mod))
	if x.HasSeed && !x.Sym {
		o = o.with("seed", uint64(x.Seed))
	}
	if x.Offset != 0 {
		o = o.with("offset", uint64(x.Offset))
	}
	if x.Sym {
		return obj("symhash", o)
	}
	return obj("jhash", o.with("expr", p.jsonExpr(x.Key)))
}

// jsonConstant returns a value, range, prefix, set or verdict.
func (p *printer) jsonConstant(e rule.Expr) any {
	switch x := e.(type) {
	case *rule.Value:
		return p.jsonValue(x)
	case *rule.Prefix:
		return obj("prefix", object{{"addr", p.jsonValue(x.Value)}, {"len", x.Len}})
	case *rule.Range:
		return obj("range", []any{p.jsonValue(x.Lo), p.jsonValue(x.Hi)})
	case *rule.Any:
		return "*"
	case *rule.SetRef:
		return "@" + x.Name
	case *rule.SetLit:
		return obj("set", p.jsonElems(x.Elems))
	case *rule.Verdict:
		return jsonVerdict(x)
	}
	return nil
}

func jsonVerdict(v *rule.Verdict) any {
	if v.Kind == rule.Jump || v.Kind == rule.Goto {
		return obj(v.Kind.String(), obj("target", v.Chain))
	}
	return obj(v.Kind.String(), nil)
}

// jsonValue returns a value as a string if it has a name or a form of its own, else
// as a number.
func (p *printer) jsonValue(v *rule.Value) any {
	t, n := v.T, toBig(v)
	switch t.Format {
	case rule.Service:
		if s := p.text(v); s[0] == '"' {
			return strings.Trim(s, `"`)
		}
	case rule.Text, rule.IPv4Address, rule.IPv6Address, rule.LinkAddress, rule.ClassID, rule.Hour, rule.Time, rule.Interface:
		return strings.Trim(p.text(v), `"`)
	case rule.Duration:
		return n.Uint64() / uint64(time.Second/time.Millisecond)
	}
	switch {
	case t == rule.CTLabelType:
		if i := n.BitLen() - 1; i >= 0 && int(n.TrailingZeroBits()) == i {
			return i
		}
		return n
	case t == rule.BooleanType:
		return n.Sign() != 0
	case t == rule.RealmType:
		return strings.Trim(p.text(v), `"`)
	case t.Bitmask():
		return p.jsonBits(v)
	}
	if s, ok := p.userName(v); ok {
		return s
	}
	if n.IsUint64() && !p.Numeric && (!p.NumericProtocol || t != rule.InetProtoType) {
		if s, ok := t.Symbol(n.Uint64()); ok {
			return s
		}
	}
	return n
}

// jsonBits returns a bitmask as the names of its bits; one stands for itself.
func (p *printer) jsonBits(v *rule.Value) any {
	names := p.jsonBitNames(v)
	switch len(names) {
	case 0:
		return toBig(v)
	case 1:
		return names[0]
	}
	return names
}

// jsonBitNames returns the names of bits, or the bits as numbers.
func (p *printer) jsonBitNames(v *rule.Value) (out []any) {
	names := bitNames(v)
	if !p.Numeric {
		return strings2any(names)
	}
	n := toBig(v)
	for i := range n.BitLen() {
		if n.Bit(i) != 0 && len(names) > 0 {
			out = append(out, uint64(1)<<i)
		}
	}
	return out
}
