package nft

import (
	"encoding/binary"
	"fmt"

	"github.com/knitnet/knit/netfilter/rule"
	"github.com/knitnet/knit/wire"
)

// loadExthdr compiles extension headers and options.
func loadExthdr(x *rule.Exthdr) (loader, error) {
	switch x.Kind {
	case rule.IPv6Ext:
		return loadIPv6Ext(x), nil
	case rule.SCTPChunk:
		return loadSCTPChunk(x), nil
	}
	find := finder(x)
	if find == nil {
		return nil, fmt.Errorf("options of this kind are not looked into")
	}
	if x.Field == nil && !x.Raw {
		return func(ev *eval, dst []byte) bool {
			dst[0] = 0
			putBool(dst, find(ev) != nil)
			return true
		}, nil
	}
	off, bits := x.Offset, x.N
	if x.Field != nil {
		off, bits = x.Field.Offset, x.Field.Bits
	}
	first, n := off/8, bytesFor(off%8+bits)
	return func(ev *eval, dst []byte) bool {
		b := find(ev)
		if first+n > len(b) {
			return false
		}
		cutBits(dst, b[first:first+n], off%8, bits)
		return true
	}, nil
}

// finder returns the function that finds an option; it returns its bytes or nil.
func finder(x *rule.Exthdr) func(ev *eval) []byte {
	number := x.Number
	switch x.Kind {
	case rule.TCPOption:
		return func(ev *eval) []byte { return ev.tcpOption(number) }
	case rule.IPOption:
		return func(ev *eval) []byte { return ev.ipOption(number) }
	}
	return nil
}

// upperLayer asks walk6 for what is behind all extension headers.
const upperLayer = -1

// walk6 walks over the extension headers of an IPv6 packet to the first header of a type,
// or to the upper layer, as Linux's rules do: AH is of the upper layer (which has no other
// in a packet that is not for this host), headers may be in any order, and the header at
// the end need not be there. later: the packet is a fragment other than the first, and the
// upper layer is known by its name alone; if more extension headers were to follow, it is
// not known at all.
func (ev *eval) walk6(want int) (proto uint8, at int, later, ok bool) {
	b := ev.header(rule.NetworkHeader, 6, 1)
	if b == nil {
		return 0, 0, false, false
	}
	proto, at = b[0], wire.IPv6Len
	for {
		found := int(proto) == want
		if !wire.IsIPv6Ext(proto) {
			return proto, at, false, found || want == upperLayer
		}
		b := ev.header(rule.NetworkHeader, at, 2)
		if b == nil {
			return 0, 0, false, false
		}
		if proto == wire.ProtoAH && want == upperLayer {
			return proto, at, false, true
		}
		n := (int(b[1]) + 1) * 8
		switch proto {
		case wire.ProtoAH:
			n = (int(b[1]) + 2) * 4 // RFC 4302 §2.2
		case wire.ProtoFragment:
			n = wire.IPv6FragmentLen
			f := ev.header(rule.NetworkHeader, at+2, 2)
			if f == nil {
				return 0, 0, false, false
			}
			if !found && binary.BigEndian.Uint16(f)&^7 != 0 {
				return b[0], at + n, true, want == upperLayer && !wire.IsIPv6Ext(b[0])
			}
		}
		if found {
			return proto, at, false, true
		}
		proto, at = b[0], at+n
	}
}

// loadIPv6Ext compiles a field of an extension header, or whether it is there. What its
// length says is not looked at.
func loadIPv6Ext(x *rule.Exthdr) loader {
	want := int(x.Number)
	find := func(ev *eval) (at int, ok bool) {
		if ev.parse(); ev.net != wire.EtherTypeIPv6 {
			return 0, false
		}
		_, at, _, ok = ev.walk6(want)
		return at, ok
	}
	if x.Field == nil {
		return func(ev *eval, dst []byte) bool {
			_, ok := find(ev)
			dst[0] = 0
			putBool(dst, ok)
			return true
		}
	}
	off, bits := x.Field.Offset, x.Field.Bits
	first, n := off/8, bytesFor(off%8+bits)
	return func(ev *eval, dst []byte) bool {
		at, ok := find(ev)
		if !ok {
			return false
		}
		b := ev.header(rule.NetworkHeader, at+first, n)
		if b == nil {
			return false
		}
		cutBits(dst, b, off%8, bits)
		return true
	}
}

// tcpHeader returns a TCP header with its options, or nil if it is not there whole.
func (ev *eval) tcpHeader() []byte {
	ev.parse()
	if ev.l4Proto != wire.ProtoTCP {
		return nil
	}
	b := ev.header(rule.TransportHeader, 12, 1)
	if b == nil {
		return nil
	}
	if b = ev.header(rule.TransportHeader, 0, int(b[0]>>4)*4); len(b) < wire.TCPLen {
		return nil
	}
	return b
}

func (ev *eval) tcpOption(kind uint8) []byte {
	b := ev.tcpHeader()
	if b == nil {
		return nil
	}
	return findTCPOption(b[wire.TCPLen:], kind)
}

// findTCPOption walks options as Linux's rules do, which see more than the receiver
// will: the end of the list does not end it, a length of 0 counts as 1, and an option
// that is too long for the header hides only itself. The last octet is no option.
func findTCPOption(b []byte, kind uint8) []byte {
	for i := 0; i < len(b)-1; {
		n := 1
		if b[i] > wire.TCPOptNop {
			n = max(int(b[i+1]), 1)
		}
		if b[i] == kind {
			if i+n > len(b) {
				return nil
			}
			return b[i : i+n]
		}
		i += n
	}
	return nil
}

func (ev *eval) ipOption(typ uint8) []byte {
	ev.parse()
	if ev.net != wire.EtherTypeIPv4 || ev.l4Off <= wire.IPv4Len {
		return nil
	}
	h, ok := wire.ParseIPv4(ev.header(rule.NetworkHeader, 0, ev.l4Off))
	if !ok || !sound(h) {
		return nil
	}
	return findIPOption(h.Options(), typ)
}

// sound reports whether all options of a header make sense: as on Linux, what is among
// others that do not is not found.
func sound(h wire.IPv4) bool {
	w := h.WalkOptions()
	for o, ok := w.Next(); ok; o, ok = w.Next() {
		if _, fine := o.Check(); !fine {
			return false
		}
	}
	_, bad := w.Bad()
	return !bad
}

// findIPOption walks options that make sense: type, length, data, where the types 0 and
// 1 are single octets.
func findIPOption(b []byte, kind uint8) []byte {
	for len(b) > 0 {
		n := 1
		if b[0] > 1 {
			if len(b) < 2 || b[1] < 2 || int(b[1]) > len(b) {
				return nil
			}
			n = int(b[1])
		}
		if b[0] == kind {
			return b[:n]
		}
		if b[0] == 0 {
			return nil
		}
		b = b[n:]
	}
	return nil
}

// loadSCTPChunk compiles a field of an SCTP chunk, or whether it is there: a chunk whose
// length says that it goes on behind the packet is, but has no fields.
func loadSCTPChunk(x *rule.Exthdr) loader {
	typ := x.Number
	if x.Field == nil {
		return func(ev *eval, dst []byte) bool {
			_, n := ev.sctpChunk(typ)
			dst[0] = 0
			putBool(dst, n > 0)
			return true
		}
	}
	off, bits := x.Field.Offset, x.Field.Bits
	first, n := off/8, bytesFor(off%8+bits)
	return func(ev *eval, dst []byte) bool {
		at, length := ev.sctpChunk(typ)
		if first+n > length || ev.l4Off+at+length > ev.pkt.Len() {
			return false
		}
		b := ev.header(rule.TransportHeader, at+first, n)
		if b == nil {
			return false
		}
		cutBits(dst, b, off%8, bits)
		return true
	}
}

// sctpChunk returns where in the transport header the first chunk of a type begins, and
// how long it says it is, which is 0 if there is none.
func (ev *eval) sctpChunk(typ uint8) (at, length int) {
	ev.parse()
	if ev.l4Proto != wire.ProtoSCTP {
		return 0, 0
	}
	for at = sctpLen; ; at += (length + 3) &^ 3 {
		h := ev.header(rule.TransportHeader, at, sctpChunkLen)
		if h == nil {
			return 0, 0
		}
		length = int(binary.BigEndian.Uint16(h[2:]))
		if length == 0 || h[0] == typ {
			return at, length
		}
	}
}

// Lengths of SCTP's common header and of a chunk's (RFC 9260 §3) in bytes.
const (
	sctpLen      = 12
	sctpChunkLen = 4
)
