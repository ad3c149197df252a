package control

import (
	"math/bits"
	"net/netip"
	"strconv"
	"strings"

	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/wire"
)

// mask narrows or widens an address that was given before it.
func (f *ConntrackFilter) mask(o setting) error {
	p := &f.Prefixes[map[string]int{"mask-src": 0, "mask-dst": 1}[o.name]]
	a, err := netip.ParseAddr(o.value)
	if err != nil {
		return conntrackError(o.word, "Invalid IP address `%s'", o.value)
	}
	ones := 0
	for _, b := range a.AsSlice() {
		ones += bits.OnesCount8(b)
	}
	whole, err := a.Prefix(ones)
	if err != nil || whole.Addr() != netip.PrefixFrom(a, ones).Addr() || !p.IsValid() || p.Addr().BitLen() != a.BitLen() {
		return conntrackError(o.word, "`%s' is no mask for an address that was given before", o.value)
	}
	*p = netip.PrefixFrom(p.Addr(), ones)
	return nil
}

// labelBits reads the numbers of labels.
func labelBits(o setting) (v [2]uint64, err error) {
	for _, text := range strings.Split(o.value, ",") {
		bit, err := strconv.ParseUint(text, 10, 7)
		if err != nil {
			return v, conntrackError(o.word, "unknown label '%s'", text)
		}
		v[bit/64] |= 1 << (bit % 64)
	}
	return v, nil
}

func prefixOf(text string) (netip.Prefix, bool) {
	if p, err := netip.ParsePrefix(text); err == nil {
		return p, true
	}
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(a, a.BitLen()), true
}

func conntrackProto(o setting) (uint8, error) {
	if strings.EqualFold(o.value, "icmpv6") {
		return wire.ProtoICMPv6, nil
	}
	n, ok := ipProtoNumber(o.value)
	if !ok || n == 0 {
		return 0, conntrackError(o.word, "`%s' unsupported protocol", o.value)
	}
	return n, nil
}

func (f *ConntrackFilter) status(o setting) error {
	for _, name := range strings.Split(o.value, ",") {
		switch strings.ToUpper(name) {
		case "ASSURED":
			f.Status |= netfilter.Assured
		case "SEEN_REPLY":
			f.Status |= netfilter.SeenReply
		case "FIXED_TIMEOUT":
			f.Status |= netfilter.Fixed
		case "EXPECTED":
			f.Status |= netfilter.Expected
		case "OFFLOAD":
			f.Status |= netfilter.Offload
		case "UNSET":
		default:
			return conntrackError(o.word, "Bad parameter `%s'", name)
		}
	}
	return nil
}

func (f *ConntrackFilter) mark(o setting, bad error) error {
	value, mask, masked := strings.Cut(o.value, "/")
	v, err := strconv.ParseUint(value, 0, 32)
	if err != nil {
		return bad
	}
	mark := uint32(v)
	f.Mark, f.MarkMask = &mark, 0xffffffff
	if masked {
		m, err := strconv.ParseUint(mask, 0, 32)
		if err != nil {
			return bad
		}
		f.MarkMask = uint32(m)
	}
	return nil
}
