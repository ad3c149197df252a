package lang

import (
	"math/big"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/knitnet/knit/netfilter/rule"
)

// number returns v as a value of a type.
func number(t *rule.Type, bits int, v uint64) *rule.Value {
	x := newValue(t, bits)
	for i := len(x.Data) - 1; i >= 0; i-- {
		x.Data[i] = byte(v)
		v >>= 8
	}
	return x
}

// newValue returns a zero of a type, with its bytes beside it.
func newValue(t *rule.Type, bits int) *rule.Value {
	n := (bits + 7) / 8
	if n > 16 {
		return &rule.Value{T: t, N: bits, Data: make([]byte, n)}
	}
	v := new(struct {
		rule.Value
		data [16]byte
	})
	v.Value = rule.Value{T: t, N: bits, Data: v.data[:n:n]}
	return &v.Value
}

func bigNumber(t *rule.Type, bits int, v *big.Int) *rule.Value {
	x := newValue(t, bits)
	if v.BitLen() <= len(x.Data)*8 {
		v.FillBytes(x.Data)
	}
	return x
}

// toBig returns the number a value is.
func toBig(v *rule.Value) *big.Int { return new(big.Int).SetBytes(v.Data) }

// toUint returns the number a value of at most 64 bits is.
func toUint(v *rule.Value) (n uint64) {
	for _, b := range v.Data[max(len(v.Data)-8, 0):] {
		n = n<<8 | uint64(b)
	}
	return n
}

// symbol gives a word or number the meaning it has as a value of a type.
func (sc *scope) symbol(t *rule.Type, bits int, n *node) (*rule.Value, error) {
	fail := func(msg string) (*rule.Value, error) { return nil, &Error{At: n.where(), Msg: msg} }
	if n.own != nil && n.own != t && t != rule.IntegerType {
		return nil, sc.otherType(n, t)
	}
	if t.Format == rule.Text {
		return sc.textValue(t, bits, n)
	}
	if t == rule.CTLabelType {
		return labelValue(t, bits, n)
	}
	if v, ok := lookup(t, n.text); ok {
		return number(t, bits, v), nil
	}
	if v, ok := smallNumber(n.text); ok && (t.Format == rule.Decimal || t.Format == rule.Service || t.Format == rule.HexFill) && v>>min(bits, 63) == 0 {
		return number(t, bits, v), nil
	}
	switch t.Format {
	case rule.IPv4Address, rule.IPv6Address:
		if v := addressValue(t, n.text); v != nil {
			return v, nil
		}
		if !n.number || t.Format == rule.IPv6Address {
			if _, err := netip.ParseAddr(n.text); err == nil {
				return fail("Could not resolve hostname: Address family for hostname not supported")
			}
			return fail("Could not resolve hostname: Name or service not known")
		}
	case rule.LinkAddress:
		return linkValue(t, bits, n)
	case rule.Interface:
		if sc.ev.src.opts.Env != nil {
			if i, ok := sc.ev.src.opts.Env.InterfaceIndex(n.text); ok {
				return number(t, bits, uint64(i)), nil
			}
		}
		if v, ok := parseInt(n.text); ok && n.kind == nSymbol && v.BitLen() < 32 { // an int, as Linux has them
			return bigNumber(t, bits, v), nil
		}
		return fail("Interface does not exist")
	case rule.Service:
		v, ok := parseInt(n.text)
		switch {
		case ok && v.BitLen() <= 16:
			return bigNumber(t, bits, v), nil
		case ok:
			return fail("Service out of range")
		}
		if port, ok := servicePort(n.text); ok {
			return number(t, bits, uint64(port)), nil
		}
		return fail("Could not resolve service: Servname not supported for ai_socktype")
	case rule.Duration:
		if d, ok := parseDuration(n.text); ok {
			return number(t, bits, uint64(d/time.Millisecond)), nil
		}
		return fail("Could not parse relative time")
	case rule.Time, rule.Hour, rule.Day:
		if v, ok := parseInt(n.text); ok && t.Format == rule.Day && v.Cmp(big.NewInt(6)) > 0 {
			return fail("Value " + v.String() + " exceeds valid range 0-6")
		}
		if v, ok := clockValue(t, n.text); ok {
			return number(t, bits, v), nil
		}
		return fail(map[rule.Format]string{rule.Time: "Cannot parse date", rule.Hour: "wrong time format", rule.Day: "Could not parse " + t.Desc}[t.Format])
	case rule.ClassID:
		if v, ok := parseClass(n.text); ok {
			return number(t, bits, v), nil
		}
	}
	v, ok := parseInt(n.text)
	if t == rule.InetProtoType {
		switch {
		case ok && v.BitLen() > 8:
			return fail("Protocol out of range")
		case !ok:
			return fail("Could not resolve protocol name")
		}
	}
	switch {
	case t == rule.UIDType || t == rule.GIDType:
		return sc.ownerValue(t, n)
	case !ok:
		return fail("Could not parse " + t.Desc)
	case v.BitLen() > bits:
		limit := new(big.Int).Lsh(big.NewInt(1), uint(bits))
		return fail("Value " + v.String() + " exceeds valid range 0-" + limit.Sub(limit, big.NewInt(1)).String())
	}
	return bigNumber(t, bits, v), nil
}

// otherType reports a word whose own type is not the one that is needed.
func (sc *scope) otherType(n *node, want *rule.Type) error {
	e := &Error{At: n.where(), Msg: "datatype mismatch, expected " + want.Desc + ", expression has type " + n.own.Desc}
	if sc.left != nil {
		e.More = []Span{*sc.left}
	}
	return e
}

// lookup returns the value of a type's symbol, whose case matters little for days.
func lookup(t *rule.Type, s string) (uint64, bool) {
	if t == rule.InetProtoType {
		return lookupProtocol(s)
	}
	return t.Lookup(s)
}

// lookupProtocol knows the protocols' other names as well: those in capitals, and the
// name of the header.
func lookupProtocol(s string) (uint64, bool) {
	if s == "icmpv6" {
		s = "ipv6-icmp"
	}
	if s == strings.ToUpper(s) {
		s = strings.ToLower(s)
	}
	return rule.InetProtoType.Lookup(s)
}

// smallNumber reads a decimal number that is small.
func smallNumber(s string) (v uint64, ok bool) {
	if len(s) == 0 || len(s) > 9 || s[0] == '0' && len(s) > 1 {
		return 0, false
	}
	for i := range len(s) {
		if !digit(s[i]) {
			return 0, false
		}
		v = v*10 + uint64(s[i]-'0')
	}
	return v, true
}

// parseInt reads a number as nft does: 0x for sixteen, 0 for eight.
func parseInt(s string) (*big.Int, bool) {
	if len(s) > 80 || s == "" || !digit(s[0]) {
		return nil, false
	}
	base := 10
	switch {
	case strings.HasPrefix(s, "0x"), strings.HasPrefix(s, "0X"):
		s, base = s[2:], 16
	case s[0] == '0' && len(s) > 1:
		base = 8
	}
	for i := range len(s) {
		if !xdigit(s[i]) {
			return nil, false
		}
	}
	return new(big.Int).SetString(s, base)
}

// labelValue makes the number of a label the bit that it is.
func labelValue(t *rule.Type, bits int, n *node) (*rule.Value, error) {
	v, ok := parseInt(n.text)
	if !ok || !v.IsUint64() || v.Uint64() >= uint64(bits) {
		return nil, &Error{At: n.where(), Msg: "Could not parse " + t.Desc}
	}
	return bigNumber(t, bits, new(big.Int).Lsh(big.NewInt(1), uint(v.Uint64()))), nil
}

func addressValue(t *rule.Type, s string) *rule.Value {
	if len(s) == 0 || !xdigit(s[0]) && s[0] != ':' {
		return nil
	}
	a, err := netip.ParseAddr(withoutZeros(s))
	if err != nil || a.Zone() != "" || a.Is4() != (t.Format == rule.IPv4Address) {
		return nil
	}
	v := newValue(t, t.Bits)
	if a.Is4() {
		b := a.As4()
		copy(v.Data, b[:])
	} else {
		b := a.As16()
		copy(v.Data, b[:])
	}
	return v
}

// withoutZeros writes the numbers of an IPv4 address that begin with a zero, which are octal as
// for inet_aton(3), in decimal.
func withoutZeros(s string) string {
	if strings.Contains(s, ":") || !strings.HasPrefix(s, "0") && !strings.Contains(s, ".0") {
		return s
	}
	parts := strings.Split(s, ".")
	for i, p := range parts {
		if v, err := strconv.ParseUint(p, 0, 8); err == nil {
			parts[i] = strconv.FormatUint(v, 10)
		}
	}
	return strings.Join(parts, ".")
}

func linkValue(t *rule.Type, bits int, n *node) (*rule.Value, error) {
	parts := strings.Split(n.text, ":")
	if len(parts) == 1 {
		if v, ok := parseInt(n.text); ok && v.BitLen() <= bits {
			return bigNumber(t, bits, v), nil
		}
	}
	data := make([]byte, 0, 6)
	for _, p := range parts {
		v, err := strconv.ParseUint(p, 16, 8)
		if err != nil || len(data) == 6 {
			return nil, &Error{At: n.where(), Msg: "Invalid LL address"}
		}
		data = append(data, byte(v))
	}
	if len(data) != 6 {
		return nil, &Error{At: n.where(), Msg: "Invalid LL address"}
	}
	return &rule.Value{T: t, N: bits, Data: data}, nil
}

// textValue makes a string of fixed length.
func (sc *scope) textValue(t *rule.Type, bits int, n *node) (*rule.Value, error) {
	if bits == 0 {
		return &rule.Value{T: t, N: len(n.text) * 8, Data: []byte(n.text), Wild: n.wild}, nil
	}
	size := bits / 8
	switch {
	case n.text == "" && n.wild:
		return nil, &Error{At: n.where(), Msg: "All-wildcard strings are not supported"}
	case n.text == "":
		return nil, &Error{At: n.where(), Msg: "Empty string is not allowed"}
	}
	if len(n.text) >= size {
		return nil, &Error{At: n.where(), Msg: "String exceeds maximum length of " + strconv.Itoa(size)}
	}
	if n.wild {
		return &rule.Value{T: t, N: bits, Data: []byte(n.text), Wild: true}, nil
	}
	data := make([]byte, size)
	copy(data, n.text)
	return &rule.Value{T: t, N: bits, Data: data}, nil
}

func parseClass(s string) (uint64, bool) {
	switch s {
	case "none":
		return 0, true
	case "root":
		return 0xffffffff, true
	}
	major, minor, ok := strings.Cut(s, ":")
	if !ok {
		return 0, false
	}
	part := func(s string) (uint64, bool) {
		if s == "" {
			return 0, true
		}
		v, err := strconv.ParseUint(s, 16, 16)
		return v, err == nil
	}
	a, ok1 := part(major)
	b, ok2 := part(minor)
	return a<<16 | b, ok1 && ok2
}

// clockValue reads a date, an hour of the day or a day of the week. Dates are UTC.
func clockValue(t *rule.Type, s string) (uint64, bool) {
	switch t.Format {
	case rule.Time:
		for _, layout := range []string{"2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02"} {
			if d, err := time.Parse(layout, s); err == nil && d.Unix() >= 0 {
				return uint64(d.UnixNano()), true
			}
		}
		if v, ok := parseInt(s); ok && v.BitLen() <= 33 {
			return v.Uint64() * 1e9, true
		}
	case rule.Hour:
		for _, layout := range []string{"15:04:05", "15:04"} {
			if d, err := time.Parse(layout, s); err == nil {
				return uint64(d.Hour()*3600 + d.Minute()*60 + d.Second()), true
			}
		}
		if v, ok := parseInt(s); ok && v.BitLen() <= 32 {
			return v.Uint64(), true
		}
	case rule.Day:
		if v, ok := parseInt(s); ok && v.Cmp(big.NewInt(6)) <= 0 {
			return v.Uint64(), true
		}
	}
	return 0, false
}
