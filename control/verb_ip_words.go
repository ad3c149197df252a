package control

import (
	"math"
	"net/netip"
	"strconv"
	"strings"
)

// words are the words of a command and the place in them.
type words struct {
	args []string
	i    int // the next word; the one before it is the one in hand
}

func (w *words) more() bool   { return w.i < len(w.args) }
func (w *words) peek() string { return w.args[w.i] }

// next takes the next word, which must be there.
func (w *words) next() string {
	w.i++
	return w.args[w.i-1]
}

// arg takes the next word as the argument of the one in hand.
func (w *words) arg() (string, error) {
	if !w.more() {
		return "", w.fail(255, "Command line is not complete. Try option \"help\"")
	}
	return w.next(), nil
}

// skip takes the next word if it is name.
func (w *words) skip(name string) bool {
	if w.more() && w.peek() == name {
		w.i++
		return true
	}
	return false
}

// fail returns an error about the word in hand.
func (w *words) fail(status int, format string, args ...any) error {
	return WordErrorf(max(w.i, 1), status, format, args...)
}

func (w *words) invalid(arg, why string) error {
	return w.fail(255, "Error: argument %s is wrong: %s", inQuotes(arg), why)
}

// garbage is what iproute2 says of a word that it took for a second value.
func (w *words) garbage(what, word, want string) error {
	return w.fail(255, "Error: either %s is duplicate, or %s is a garbage.\nWant: %s", inQuotes(what), inQuotes(word), want)
}

// quote puts a word between quotation marks, as it is.
func inQuotes(s string) string { return `"` + s + `"` }

// abbreviates reports whether word is the beginning of name.
func abbreviates(word, name string) bool { return word != "" && strings.HasPrefix(name, word) }

// number takes an argument from 0 to limit, decimal, 0x or 0 octal.
func (w *words) number(limit uint64, complaint string) (uint64, error) {
	arg, err := w.arg()
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(arg, 0, 64)
	if err != nil || n > limit || strings.Contains(arg, "_") {
		return 0, w.invalid(arg, complaint)
	}
	return n, nil
}

// u32 takes an argument of 32 bits.
func (w *words) u32(complaint string) (uint32, error) {
	n, err := w.number(math.MaxUint32, complaint)
	return uint32(n), err
}

// onOff takes "on" or "off".
func (w *words) onOff(what string) (*bool, error) {
	arg, err := w.arg()
	if err != nil {
		return nil, err
	}
	on := arg == "on"
	if !on && arg != "off" {
		return nil, w.fail(1, "Error: argument of %s must be \"on\" or \"off\", not %s", inQuotes(what), inQuotes(arg))
	}
	return &on, nil
}

// device takes the name of a device.
func (w *words) device(what string) (string, error) {
	arg, err := w.arg()
	if err != nil {
		return "", err
	}
	return arg, w.checkName(arg, what)
}

// checkName holds Linux's rules for interface names; those longer than 15 bytes
// are for the kernel to refuse, as ip leaves it to it.
func (w *words) checkName(name, what string) error {
	if name == "" || strings.ContainsAny(name, "/ \t\n\v\f\r") {
		return w.invalid(name, inQuotes(what)+" not a valid ifname")
	}
	return nil
}

// mac takes a link layer address of six bytes.
func (w *words) mac() (string, error) {
	arg, err := w.arg()
	if err != nil {
		return "", err
	}
	return w.checkMAC(arg)
}

func (w *words) checkMAC(arg string) (string, error) {
	parts := strings.Split(arg, ":")
	out := make([]string, len(parts))
	for i, s := range parts {
		n, err := strconv.ParseUint(s, 16, 8)
		if err != nil || len(s) > 2 {
			return "", w.fail(1, "%s is invalid lladdr.", inQuotes(arg))
		}
		out[i] = string("0123456789abcdef"[n>>4]) + string("0123456789abcdef"[n&15])
	}
	if len(parts) != 6 {
		return "", w.fail(1, "Invalid address length %d - must be 6 bytes", len(parts))
	}
	return strings.Join(out, ":"), nil
}

// familyWord is how iproute2 names an expected family: "any valid" if it does not
// matter.
func familyWord(family string) string {
	if family == "" || family == "link" {
		return "any valid"
	}
	return family
}

// prefix reads a word as an address with a length; without one it is the whole
// address. Host bits stay. "default", "any" and "all" are the empty prefix.
func (w *words) prefix(word, family string) (netip.Prefix, error) {
	p, ok := parsePrefix(word, family)
	if !ok {
		return p, w.fail(1, "Error: %s prefix is expected rather than %s.", familyWord(family), inQuotes(word))
	}
	return p, nil
}

// address reads a word as an address.
func (w *words) address(word, family string) (netip.Addr, error) {
	a, ok := parseAddress(word, family)
	if !ok {
		return a, w.fail(1, "Error: %s address is expected rather than %s.", familyWord(family), inQuotes(word))
	}
	return a, nil
}

// addressArg takes an address.
func (w *words) addressArg(family string) (netip.Addr, error) {
	arg, err := w.arg()
	if err != nil {
		return netip.Addr{}, err
	}
	return w.address(arg, family)
}

func parsePrefix(word, family string) (p netip.Prefix, ok bool) {
	if word == "default" || word == "any" || word == "all" {
		return netip.PrefixFrom(unspecified(family), 0), true
	}
	text, length, hasLength := strings.Cut(word, "/")
	a, ok := parseAddress(text, family)
	if !ok {
		return p, false
	}
	bits := a.BitLen()
	if hasLength {
		if bits, ok = prefixLength(length, a); !ok {
			return p, false
		}
	} else if n := strings.Count(text, "."); a.Is4() && n < 3 {
		bits = 8 * (n + 1) // 10.1 is 10.1.0.0/16
	}
	return netip.PrefixFrom(a, bits), true
}

// prefixLength reads a number of bits, or for IPv4 a netmask.
func prefixLength(text string, a netip.Addr) (bits int, ok bool) {
	if mask, err := netip.ParseAddr(text); err == nil && mask.Is4() && a.Is4() {
		b := mask.As4()
		m := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
		for bits < 32 && m<<bits&(1<<31) != 0 {
			bits++
		}
		return bits, m == 0 || m<<bits == 0
	}
	n, err := strconv.ParseUint(text, 10, 8)
	return int(n), err == nil && int(n) <= a.BitLen()
}

func parseAddress(word, family string) (netip.Addr, bool) {
	if word == "default" || word == "any" || word == "all" {
		return unspecified(family), true
	}
	a, err := netip.ParseAddr(word)
	if err != nil {
		a, err = parseShort4(word)
	}
	if err != nil || a.Zone() != "" || family == "inet" && !a.Is4() || family == "inet6" && !a.Is6() {
		return netip.Addr{}, false
	}
	return a, true
}

// parseShort4 reads an IPv4 address whose last bytes are left out: 10.1.
func parseShort4(word string) (netip.Addr, error) {
	missing := 3 - strings.Count(word, ".")
	return netip.ParseAddr(word + strings.Repeat(".0", max(missing, 0)))
}

func unspecified(family string) netip.Addr {
	if family == "inet6" {
		return netip.IPv6Unspecified()
	}
	return netip.IPv4Unspecified()
}

// familyOf returns "inet" or "inet6".
func familyOf(a netip.Addr) string {
	if a.Is4() {
		return "inet"
	}
	return "inet6"
}

// shortPrefix prints a prefix without the length of a whole address.
func shortPrefix(p netip.Prefix) string {
	switch {
	case p.Bits() == 0 && p.Addr().IsUnspecified():
		return "default"
	case p.IsSingleIP():
		return p.Addr().String()
	}
	return p.String()
}
