package resolve

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"strings"
)

// Types and classes of questions (RFC 1035 §3.2).
const (
	typeA     = 1
	typeNS    = 2
	typeCNAME = 5
	typePTR   = 12
	typeMX    = 15
	typeTXT   = 16
	typeAAAA  = 28
	classIN   = 1
)

// Response codes (RFC 1035 §4.1.1).
const (
	rcodeOK       = 0
	rcodeFormErr  = 1
	rcodeServFail = 2
	rcodeNXDomain = 3
	rcodeNotImp   = 4
	rcodeRefused  = 5
)

const (
	headerLen = 12
	// maxName is the longest name in its encoded form (RFC 1035 §2.3.4).
	maxName = 255
	// maxUDP is the longest answer over UDP to a client that does not say that it
	// takes more (RFC 1035 §4.2.1).
	maxUDP = 512

	flagResponse  = 1 << 15
	opcodeMask    = 0xf << 11
	flagTruncated = 1 << 9
	flagDesired   = 1 << 8 // recursion desired
	flagAvailable = 1 << 7 // recursion available
)

var errMessage = errors.New("malformed DNS message")

// A question is the first question of a message.
type question struct {
	id    uint16
	flags uint16
	name  string // lower case, without the dot at the end; "" is the root
	typ   uint16
	class uint16
	end   int // where the question ends in the message
}

// parseQuestion reads the header and the question of a message, which must have
// exactly one, as every query that servers answer has.
func parseQuestion(b []byte) (q question, err error) {
	if len(b) < headerLen || binary.BigEndian.Uint16(b[4:]) != 1 {
		return q, errMessage
	}
	q.id, q.flags = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	name, at, ok := parseName(b, headerLen)
	if !ok || len(b) < at+4 {
		return q, errMessage
	}
	q.name = name
	q.typ, q.class = binary.BigEndian.Uint16(b[at:]), binary.BigEndian.Uint16(b[at+2:])
	q.end = at + 4
	return q, nil
}

// parseName reads the name at an offset: labels without compression, which
// nothing in front of the first question could be compressed with. Bytes that
// would make the text ambiguous are refused.
func parseName(b []byte, at int) (name string, end int, ok bool) {
	var text strings.Builder
	for start := at; at < len(b) && at-start < maxName; {
		n := int(b[at])
		at++
		switch {
		case n == 0:
			return text.String(), at, true
		case n > 63 || at+n > len(b):
			return "", 0, false
		}
		if text.Len() > 0 {
			text.WriteByte('.')
		}
		for _, c := range b[at : at+n] {
			switch {
			case c == '.' || c == '\\' || c <= ' ' || c >= 0x7f:
				return "", 0, false
			case 'A' <= c && c <= 'Z':
				c += 'a' - 'A'
			}
			text.WriteByte(c)
		}
		at += n
	}
	return "", 0, false
}

// appendName appends a name; ok is false when it cannot be encoded.
func appendName(b []byte, name string) (_ []byte, ok bool) {
	start := len(b)
	for label := range strings.SplitSeq(strings.TrimSuffix(name, "."), ".") {
		if label == "" && name != "." && name != "" || len(label) > 63 {
			return b, false
		}
		if label != "" {
			b = append(b, byte(len(label)))
			b = append(b, label...)
		}
	}
	b = append(b, 0)
	return b, len(b)-start <= maxName
}

// A reply is being built: the header and the question of the query, and then
// records about the name that was asked for.
type reply struct {
	b       []byte
	answers uint16
}

// newReply begins a reply with a response code. q must come from query.
func newReply(query []byte, q question, rcode uint16) *reply {
	r := &reply{b: append([]byte(nil), query[:q.end]...)}
	flags := flagResponse | q.flags&(opcodeMask|flagDesired) | flagAvailable | rcode
	binary.BigEndian.PutUint16(r.b[2:], flags)
	clear(r.b[6:headerLen])
	return r
}

// refusal is a reply without anything but a response code; nil if the query has
// no header.
func refusal(query []byte, rcode uint16) []byte {
	if len(query) < headerLen || query[2]&0x80 != 0 {
		return nil
	}
	b := append([]byte(nil), query[:headerLen]...)
	flags := binary.BigEndian.Uint16(b[2:])
	binary.BigEndian.PutUint16(b[2:], flagResponse|flags&(opcodeMask|flagDesired)|flagAvailable|rcode)
	clear(b[4:])
	return b
}

// ttl is how long answers of ours may be kept, in seconds: they come from places
// that can change at any time.
const ttl = 10

// add appends a record of a type about the name of the question. fill appends its
// data and reports whether that can be encoded; otherwise the record is left out.
func (r *reply) add(typ uint16, fill func(b []byte) ([]byte, bool)) {
	before := len(r.b)
	b := append(r.b, 0xc0, headerLen) // the name: a pointer to the question's
	b = binary.BigEndian.AppendUint16(b, typ)
	b = binary.BigEndian.AppendUint16(b, classIN)
	b = binary.BigEndian.AppendUint32(b, ttl)
	at := len(b)
	b, ok := fill(append(b, 0, 0))
	if !ok || len(b)-at-2 > 65535 {
		r.b = r.b[:before]
		return
	}
	binary.BigEndian.PutUint16(b[at:], uint16(len(b)-at-2))
	r.b = b
	r.answers++
}

// addAddr adds an A or AAAA record.
func (r *reply) addAddr(a netip.Addr) {
	typ := uint16(typeAAAA)
	if a.Is4() {
		typ = typeA
	}
	r.add(typ, func(b []byte) ([]byte, bool) { return append(b, a.AsSlice()...), true })
}

// addName adds a record that is a name.
func (r *reply) addName(typ uint16, name string) {
	r.add(typ, func(b []byte) ([]byte, bool) { return appendName(b, name) })
}

// finish returns the message, cut to max bytes: then it has no answers but the
// mark that there are more, so that the client asks over TCP (RFC 2181 §9).
func (r *reply) finish(q question, max int) []byte {
	if len(r.b) > max {
		r.b, r.answers = r.b[:q.end], 0
		r.b[2] |= flagTruncated >> 8
	}
	binary.BigEndian.PutUint16(r.b[6:], r.answers)
	return r.b
}

// parseReverse reads the address that a PTR question is about (RFC 1035 §3.5,
// RFC 3596 §2.5).
func parseReverse(name string) (netip.Addr, bool) {
	if rest, ok := strings.CutSuffix(name, ".in-addr.arpa"); ok {
		parts := strings.Split(rest, ".")
		if len(parts) != 4 {
			return netip.Addr{}, false
		}
		a, err := netip.ParseAddr(parts[3] + "." + parts[2] + "." + parts[1] + "." + parts[0])
		return a, err == nil
	}
	rest, ok := strings.CutSuffix(name, ".ip6.arpa")
	if !ok || len(rest) != 63 {
		return netip.Addr{}, false
	}
	var text strings.Builder
	for i := 62; i >= 0; i -= 2 {
		if i < 62 && rest[i+1] != '.' {
			return netip.Addr{}, false
		}
		if text.WriteByte(rest[i]); i%8 == 0 && i > 0 {
			text.WriteByte(':')
		}
	}
	a, err := netip.ParseAddr(text.String())
	return a, err == nil && !a.Is4In6()
}
