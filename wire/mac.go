package wire

import (
	"errors"
	"net/netip"
)

// A MAC is an IEEE 802 48-bit address. The zero value is the address of
// nobody, as ARP probes carry it (RFC 5227 §1.1).
type MAC [6]byte

// BroadcastMAC returns the address of every station on a link.
func BroadcastMAC() MAC { return MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff} }

// ErrMAC says that a text is not an Ethernet address.
var ErrMAC = errors.New("not an Ethernet address; want six octets as in 02:00:5e:10:00:01")

// ParseMAC reads six hexadecimal octets, one or two digits each, that colons
// or dashes separate. The error is ErrMAC.
func ParseMAC(s string) (MAC, error) {
	var m MAC
	var sep byte
	for i := range m {
		v, n := hexOctet(s)
		if n == 0 {
			return MAC{}, ErrMAC
		}
		m[i], s = v, s[n:]
		if i == len(m)-1 {
			break
		}
		if s == "" || s[0] != ':' && s[0] != '-' || sep != 0 && s[0] != sep {
			return MAC{}, ErrMAC
		}
		sep, s = s[0], s[1:]
	}
	if s != "" {
		return MAC{}, ErrMAC
	}
	return m, nil
}

// hexOctet reads one or two digits and returns how many it read.
func hexOctet(s string) (v byte, n int) {
	for n < 2 && n < len(s) {
		var d byte
		switch c := s[n]; {
		case '0' <= c && c <= '9':
			d = c - '0'
		case 'a' <= c && c <= 'f':
			d = c - 'a' + 10
		case 'A' <= c && c <= 'F':
			d = c - 'A' + 10
		default:
			return v, n
		}
		v = v<<4 | d
		n++
	}
	return v, n
}

// String returns m as six octets with colons, the form of ip(8).
func (m MAC) String() string {
	b, _ := m.AppendText(make([]byte, 0, 17))
	return string(b)
}

// AppendText appends String to b; it implements encoding.TextAppender and
// never fails.
func (m MAC) AppendText(b []byte) ([]byte, error) {
	const digits = "0123456789abcdef"
	for i, v := range m {
		if i > 0 {
			b = append(b, ':')
		}
		b = append(b, digits[v>>4], digits[v&0xf])
	}
	return b, nil
}

// MarshalText implements encoding.TextMarshaler.
func (m MAC) MarshalText() ([]byte, error) { return m.AppendText(nil) }

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *MAC) UnmarshalText(b []byte) (err error) {
	*m, err = ParseMAC(string(b))
	return err
}

// IsZero reports whether m is the zero address.
func (m MAC) IsZero() bool { return m == MAC{} }

// IsBroadcast reports whether m is BroadcastMAC.
func (m MAC) IsBroadcast() bool { return m == BroadcastMAC() }

// IsMulticast reports whether m is a group address; broadcast is one.
func (m MAC) IsMulticast() bool { return m[0]&1 != 0 }

// IsLocal reports whether m is locally administered.
func (m MAC) IsLocal() bool { return m[0]&2 != 0 }

// MulticastMAC returns the group address that carries multicast to ip: RFC
// 1112 §6.4 for IPv4, RFC 2464 §7 for IPv6. ip must be valid; whether it is
// multicast is not checked.
func MulticastMAC(ip netip.Addr) MAC {
	if ip.Is4() {
		a := ip.As4()
		return MAC{0x01, 0x00, 0x5e, a[1] & 0x7f, a[2], a[3]}
	}
	a := ip.As16()
	return MAC{0x33, 0x33, a[12], a[13], a[14], a[15]}
}
