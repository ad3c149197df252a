package wire

import (
	"fmt"
	"net/netip"
)

// WellKnownPref64 is the prefix that stands for all of IPv4 wherever nothing else was
// agreed upon (RFC 6052 §2.1).
func WellKnownPref64() netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom16([16]byte{0, 0x64, 0xff, 0x9b}), 96)
}

// A Pref64 is a prefix under which IPv6 addresses stand for IPv4 addresses (RFC 6052
// §2.2). NewPref64 makes one; the zero Pref64 is none. It is a value and may be
// compared.
type Pref64 struct {
	p     [16]byte
	bytes uint8 // length of the prefix
}

// NewPref64 returns the translation prefix p. It is an error if p is not an IPv6
// prefix of one of the lengths that RFC 6052 §2.2 allows, if one of 96 bits has
// bits 64 to 71 set, which must be zero, or if p has bits behind its length.
func NewPref64(p netip.Prefix) (Pref64, error) {
	if !p.IsValid() || !p.Addr().Is6() || p.Addr().Is4In6() {
		return Pref64{}, fmt.Errorf("%v: want an IPv6 prefix", p)
	}
	switch p.Bits() {
	case 32, 40, 48, 56, 64, 96:
	default:
		return Pref64{}, fmt.Errorf("%v: want a prefix of 32, 40, 48, 56, 64 or 96 bits (RFC 6052 §2.2)", p)
	}
	if p != p.Masked() {
		return Pref64{}, fmt.Errorf("%v: bits behind the prefix are set", p)
	}
	b := p.Addr().As16()
	if b[8] != 0 {
		return Pref64{}, fmt.Errorf("%v: bits 64 to 71 are not zero (RFC 6052 §2.2)", p)
	}
	return Pref64{p: b, bytes: uint8(p.Bits() / 8)}, nil
}

// Prefix returns p as NewPref64 took it.
func (p Pref64) Prefix() netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom16(p.p), int(p.bytes)*8)
}

// Contains reports whether a lies under the prefix.
func (p Pref64) Contains(a *[16]byte) bool {
	if p.bytes == 12 {
		return [12]byte(a[:12]) == [12]byte(p.p[:12])
	}
	for i := range p.bytes {
		if a[i] != p.p[i] {
			return false
		}
	}
	return p.bytes > 0
}

// reserved is the octet of bits 64 to 71, which the embedded address leaves out and
// which is zero (RFC 6052 §2.2).
const reserved = 8

// Embed returns the address that stands for v4, with a suffix of zeros.
func (p Pref64) Embed(v4 [4]byte) [16]byte {
	a := p.p
	if p.bytes == 12 {
		copy(a[12:], v4[:])
		return a
	}
	at := int(p.bytes)
	for _, b := range v4 {
		if at == reserved {
			at++
		}
		a[at] = b
		at++
	}
	return a
}

// Extract returns the IPv4 address that a stands for. It is not ok if a does not lie
// under the prefix, or has bits 64 to 71 set. The suffix is not looked at: those
// that are not zero are reserved for extensions (RFC 6052 §2.2).
func (p Pref64) Extract(a *[16]byte) (v4 [4]byte, ok bool) {
	if !p.Contains(a) || a[reserved] != 0 {
		return v4, false
	}
	if p.bytes == 12 {
		return [4]byte(a[12:]), true
	}
	at := int(p.bytes)
	for i := range v4 {
		if at == reserved {
			at++
		}
		v4[i] = a[at]
		at++
	}
	return v4, true
}

// IsWellKnown reports whether p is 64:ff9b::/96.
func (p Pref64) IsWellKnown() bool { return p.Prefix() == WellKnownPref64() }

// MayEmbed reports whether p may stand for v4. The well-known prefix must not stand for
// addresses that are not global (RFC 6052 §3.1); other prefixes may.
func (p Pref64) MayEmbed(v4 [4]byte) bool { return !p.IsWellKnown() || IsGlobalIPv4(v4) }

// IsGlobalIPv4 reports whether a is a unicast address that means the same everywhere,
// by the registry that RFC 6890 §2.2.2 describes.
func IsGlobalIPv4(a [4]byte) bool {
	switch a[0] {
	case 0, 10, 127: // this host, private use, loopback
		return false
	case 100: // shared (RFC 6598)
		return a[1]&0xc0 != 64
	case 169: // link local
		return a[1] != 254
	case 172: // private use
		return a[1]&0xf0 != 16
	case 192:
		return !(a[1] == 168 || // private use
			a[1] == 0 && (a[2] == 0 || a[2] == 2)) // protocol assignments, TEST-NET-1
	case 198:
		return a[1]&0xfe != 18 && !(a[1] == 51 && a[2] == 100) // benchmarks, TEST-NET-2
	case 203: // TEST-NET-3
		return !(a[1] == 0 && a[2] == 113)
	}
	return a[0] < 224 // groups, reserved, broadcast
}
