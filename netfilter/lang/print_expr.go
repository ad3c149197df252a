package lang

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/knitnet/knit/netfilter/rule"
)

// expr writes what is computed per packet, or a constant.
func (p *printer) expr(e rule.Expr) {
	switch x := e.(type) {
	case *rule.Payload:
		if x.Field != nil {
			p.f("%s %s", x.Field.Header, x.Field.Name)
		} else {
			p.f("@%s,%d,%d", x.Base, x.Offset, x.N)
		}
	case *rule.Exthdr:
		p.exthdr(x)
	case *rule.Meta:
		if !x.Key.Short() {
			p.f("meta ")
		}
		p.f("%s", x.Key)
	case *rule.CT:
		p.f("ct ")
		if x.Dir != rule.NoDir {
			p.f("%s ", x.Dir)
		}
		if x.Key == rule.CTSrc || x.Key == rule.CTDst {
			p.f("%s ", x.Family)
		}
		p.f("%s", x.Key)
	case *rule.FIB:
		p.fib(x)
	case *rule.RT:
		p.f("rt ")
		if x.Key == rule.RTNexthop {
			p.f("%s ", x.Family)
		}
		p.f("%s", x.Key)
	case *rule.Socket:
		p.f("socket %s", x.Key)
		if x.Key == rule.SocketCgroup {
			p.f(" level %d", x.Level)
		}
	case *rule.Numgen:
		kind := "inc"
		if x.Random {
			kind = "random"
		}
		p.f("numgen %s mod %d", kind, x.Mod)
		if x.Offset != 0 {
			p.f(" offset %d", x.Offset)
		}
	case *rule.Hash:
		p.hash(x)
	case *rule.Concat:
		for i, k := range x.Parts {
			if i > 0 {
				p.f(" . ")
			}
			p.expr(k)
		}
	case *rule.MapExpr:
		p.expr(x.Key)
		p.f(" map ")
		p.mapOf(x.Map)
	case *rule.Binary:
		p.binary(x)
	default:
		p.constant(e)
	}
}

func (p *printer) exthdr(x *rule.Exthdr) {
	switch x.Kind {
	case rule.TCPOption:
		p.f("tcp option ")
	case rule.IPOption:
		p.f("ip option ")
	case rule.SCTPChunk:
		p.f("sctp chunk ")
	case rule.IPv6Ext:
		if x.Field == nil {
			p.f("exthdr ")
		}
	}
	switch {
	case x.Raw:
		p.f("@%d,%d,%d", x.Number, x.Offset, x.N)
		return
	case x.Name != "":
		p.f("%s", x.Name)
	default:
		p.f("%d", x.Number)
	}
	if x.Field != nil {
		p.f(" %s", x.Field.Name)
	}
}

func (p *printer) fib(x *rule.FIB) {
	var flags []string
	for i, w := range []string{"saddr", "daddr", "mark", "iif", "oif"} {
		if x.Flags&(1<<i) != 0 {
			flags = append(flags, w)
		}
	}
	p.f("fib %s %s", strings.Join(flags, " . "), [...]string{"oif", "oifname", "type"}[x.Result])
}

func (p *printer) hash(x *rule.Hash) {
	if x.Sym {
		p.f("symhash")
	} else {
		p.f("jhash ")
		p.expr(x.Key)
	}
	p.f(" mod %d", x.Mod)
	if x.HasSeed && !x.Sym {
		p.f(" seed 0x%x", x.Seed)
	}
	if x.Offset != 0 {
		p.f(" offset %d", x.Offset)
	}
}

var opSigns = map[byte]string{'&': "&", '|': "|", '^': "^", '<': "<<", '>': ">>"}

func (p *printer) binary(x *rule.Binary) {
	prec := map[byte]int{'|': 0, '^': 1, '&': 2, '<': 3, '>': 3}
	side := func(e rule.Expr) {
		if b, ok := e.(*rule.Binary); ok && prec[b.Op] < prec[x.Op] {
			p.f("(")
			p.expr(e)
			p.f(")")
			return
		}
		if v, ok := e.(*rule.Value); ok && v.T.Bitmask() && len(bitNames(v)) > 1 {
			p.f("(%s)", strings.Join(bitNames(v), " | "))
			return
		}
		p.expr(e)
	}
	side(x.Left)
	p.f(" %s ", opSigns[x.Op])
	side(x.Right)
}

func bitNames(v *rule.Value) (out []string) {
	n := toBig(v)
	for i := range n.BitLen() {
		if n.Bit(i) == 0 {
			continue
		}
		name, ok := v.T.Symbol(uint64(1) << min(i, 63))
		if !ok || i > 63 {
			return nil
		}
		out = append(out, name)
	}
	return out
}

// right writes the right side of a relation.
func (p *printer) right(e rule.Expr) {
	switch x := e.(type) {
	case *rule.SetRef:
		p.f("@%s", x.Name)
	case *rule.SetLit:
		p.setLit(x)
	default:
		p.constant(e)
	}
}

// constant writes a value.
func (p *printer) constant(e rule.Expr) {
	switch x := e.(type) {
	case *rule.Value:
		p.value(x)
	case *rule.Prefix:
		p.value(x.Value)
		p.f("/%d", x.Len)
	case *rule.Range:
		if x.Lo.T.Format == rule.Duration {
			p.f("%ds-%ds", toUint(x.Lo)/1000, toUint(x.Hi)/1000)
			return
		}
		plain := *p
		plain.Services, plain.GUID = false, false // the ends of ranges come as numbers
		p.f("%s-%s", plain.text(x.Lo), plain.text(x.Hi))
	case *rule.Any:
		p.f("*")
	case *rule.Concat:
		for i, k := range x.Parts {
			if i > 0 {
				p.f(" . ")
			}
			p.constant(k)
		}
	case *rule.Verdict:
		p.stmt(x)
	case *rule.SetRef, *rule.SetLit:
		p.right(e)
	}
}

func (p *printer) value(v *rule.Value) { p.f("%s", p.text(v)) }

// text returns a value as it is listed.
func (p *printer) text(v *rule.Value) string {
	t := v.T
	if t.Format == rule.Text {
		s := strings.TrimRight(string(v.Data), "\x00")
		if v.Wild {
			s += "*"
		} else if strings.HasSuffix(s, "*") {
			s = s[:len(s)-1] + `\*`
		}
		return `"` + s + `"`
	}
	if t == rule.CTLabelType {
		return labelString(v)
	}
	if t.Bitmask() {
		return p.bits(v)
	}
	if s, ok := p.userName(v); ok {
		return `"` + s + `"`
	}
	n := toBig(v)
	if n.IsUint64() && !p.Numeric && (!p.NumericProtocol || t != rule.InetProtoType) {
		if s, ok := t.Symbol(n.Uint64()); ok {
			if t.Format == rule.Day || t == rule.DevgroupType {
				return `"` + s + `"`
			}
			return s
		}
	}
	switch t.Format {
	case rule.IPv4Address, rule.IPv6Address:
		if a, ok := netip.AddrFromSlice(v.Data); ok {
			return addrString(a)
		}
	case rule.LinkAddress:
		parts := make([]string, len(v.Data))
		for i, b := range v.Data {
			parts[i] = fmt.Sprintf("%02x", b)
		}
		return strings.Join(parts, ":")
	case rule.Service:
		return p.service(n.Uint64())
	case rule.Duration:
		return p.duration(time.Duration(n.Uint64()) * time.Millisecond)
	case rule.Time:
		return time.Unix(0, int64(n.Uint64())).UTC().Format(`"2006-01-02 15:04:05"`)
	case rule.Hour:
		return hourString(n.Uint64())
	case rule.ClassID:
		switch c := n.Uint64(); c {
		case 0:
			return "none"
		case 0xffffffff:
			return "root"
		default:
			return fmt.Sprintf("%x:%x", c>>16, c&0xffff)
		}
	case rule.Interface:
		if p.Env != nil {
			if s, ok := p.Env.InterfaceName(uint32(n.Uint64())); ok {
				return `"` + s + `"`
			}
		}
	case rule.HexShort:
		return "0x" + n.Text(16)
	case rule.Hex:
		return fmt.Sprintf("0x%0*x", (v.N+3)/4, n)
	case rule.HexFill:
		return fmt.Sprintf("0x%08x", n)
	}
	if t.Name == "integer" && v.N > 64 {
		return "0x" + n.Text(16)
	}
	return n.String()
}

// userName returns the name of a user or group, if it is to be listed.
func (p *printer) userName(v *rule.Value) (string, bool) {
	if !p.GUID || v.T != rule.UIDType && v.T != rule.GIDType {
		return "", false
	}
	return ownerName(v.T, uint32(toUint(v)))
}

// duration writes a span of time, with -n in seconds.
func (p *printer) duration(d time.Duration) string {
	if p.Numeric {
		return fmt.Sprintf("%ds", d/time.Second)
	}
	return durationString(d)
}

// labelString writes a label as the number of its bit.
func labelString(v *rule.Value) string {
	n := toBig(v)
	if i := n.BitLen() - 1; i >= 0 && int(n.TrailingZeroBits()) == i {
		return fmt.Sprint(i)
	}
	return "0x" + n.Text(16)
}

func hourString(n uint64) string {
	n %= 86400
	if n%60 != 0 {
		return fmt.Sprintf(`"%02d:%02d:%02d"`, n/3600, n/60%60, n%60)
	}
	return fmt.Sprintf(`"%02d:%02d"`, n/3600, n/60%60)
}

// addrString writes an address as inet_ntop does: with dots in the end of addresses
// that hold an IPv4 address.
func addrString(a netip.Addr) string { return a.String() }

func (p *printer) service(n uint64) string {
	if p.Services {
		if name, ok := servicePortName(n); ok {
			return `"` + name + `"`
		}
	}
	return fmt.Sprint(n)
}

// bits writes a bitmask as its symbols, with a number for the bits that have none.
func (p *printer) bits(v *rule.Value) string {
	n := toBig(v)
	var names []string
	for i := range n.BitLen() {
		if n.Bit(i) == 0 {
			continue
		}
		name, ok := "", false
		if i < 64 {
			name, ok = v.T.Symbol(uint64(1) << i)
		}
		if p.Numeric && i < 64 {
			name, ok = fmt.Sprintf("0x%x", uint64(1)<<i), true
		}
		if !ok {
			return fmt.Sprintf("0x%0*x", min(len(v.Data), 8)*2, n)
		}
		names = append(names, name)
	}
	if len(names) == 0 {
		return "0x0"
	}
	return strings.Join(names, ",")
}
