package nftcase

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/knitnet/knit/netfilter/rule"
)

// A setting is a field with its value, right aligned in whole bytes.
type setting struct {
	field *rule.Field
	value []byte
}

// parseValue reads the value of a field as nft writes it: an address, a number, the
// name of a symbol, or names of bits with `,` or `|` between them.
func parseValue(f *rule.Field, word string) ([]byte, error) {
	n := (f.Bits + 7) / 8
	fail := func() error { return fmt.Errorf("%s %s: %s is no %s", f.Header, f.Name, word, f.Type.Desc) }
	switch f.Type.Format {
	case rule.IPv4Address, rule.IPv6Address:
		a, err := netip.ParseAddr(word)
		if err != nil || a.BitLen() != f.Bits || a.Zone() != "" {
			return nil, fail()
		}
		return a.AsSlice(), nil
	case rule.LinkAddress:
		m, err := net.ParseMAC(word)
		if err != nil || len(m) != n {
			return nil, fail()
		}
		return m, nil
	}
	v, ok := number(f.Type, word)
	if !ok || f.Bits < 64 && v>>f.Bits != 0 {
		return nil, fail()
	}
	out := make([]byte, n)
	for i := n - 1; i >= 0 && v != 0; i-- {
		out[i], v = byte(v), v>>8
	}
	return out, nil
}

// number reads a number, a symbol of a type or of those that it is derived from, or
// several bits.
func number(t *rule.Type, word string) (v uint64, ok bool) {
	if v, err := strconv.ParseUint(word, 0, 64); err == nil {
		return v, true
	}
	for b := t; b != nil; b = b.Base {
		if v, ok := b.Lookup(word); ok {
			return v, true
		}
	}
	parts := strings.FieldsFunc(word, func(r rune) bool { return r == ',' || r == '|' })
	if !t.Bitmask() || len(parts) < 2 {
		return 0, false
	}
	for _, p := range parts {
		bit, ok := number(t, p)
		if !ok {
			return 0, false
		}
		v |= bit
	}
	return v, true
}

// text writes the value of a field for people.
func text(f *rule.Field, v []byte) string {
	switch f.Type.Format {
	case rule.IPv4Address, rule.IPv6Address:
		if a, ok := netip.AddrFromSlice(v); ok {
			return a.String()
		}
	case rule.LinkAddress:
		return net.HardwareAddr(v).String()
	}
	n := uint64(0)
	for _, b := range v {
		n = n<<8 | uint64(b)
	}
	if f.Type.Bitmask() {
		var names []string
		for _, s := range f.Type.Symbols {
			if n&s.Value != 0 {
				names = append(names, s.Name)
			}
		}
		return strings.Join(names, ",")
	}
	if s, ok := f.Type.Symbol(n); ok {
		return s
	}
	return strconv.FormatUint(n, 10)
}

// putBits writes the right aligned src into bits of b from bit off on.
func putBits(b, src []byte, off, bits int) {
	if off%8 == 0 && bits%8 == 0 {
		copy(b[off/8:off/8+bits/8], src)
		return
	}
	for i := range bits {
		from, at := len(src)*8-bits+i, off+i
		mask := byte(0x80) >> (at % 8)
		if src[from/8]>>(7-from%8)&1 != 0 {
			b[at/8] |= mask
		} else {
			b[at/8] &^= mask
		}
	}
}

// getBits reads bits of b from bit off on, right aligned, or nil if b ends before.
func getBits(b []byte, off, bits int) []byte {
	if off+bits > len(b)*8 {
		return nil
	}
	out := make([]byte, (bits+7)/8)
	if off%8 == 0 && bits%8 == 0 {
		copy(out, b[off/8:])
		return out
	}
	for i := range bits {
		from, at := off+i, len(out)*8-bits+i
		out[at/8] |= b[from/8] >> (7 - from%8) & 1 << (7 - at%8)
	}
	return out
}
