package wire

import "net/netip"

// Types of IGMP messages.
const (
	IGMPQuery    = 0x11
	IGMPv1Report = 0x12 // RFC 1112
	IGMPv2Report = 0x16 // RFC 2236
	IGMPv2Leave  = 0x17 // RFC 2236
	IGMPv3Report = 0x22 // RFC 3376
)

// Lengths of IGMP in bytes.
const (
	IGMPLen          = 8  // versions 1 and 2; the report of version 3 before its records
	IGMPv3QueryLen   = 12 // before its sources
	IGMPv3RecordLen  = 8  // before its sources
	igmpv3SourceSize = 4
)

// An IGMP is a checked view of the fixed part of an IGMP message (RFC 2236
// §2), which is the same in all versions.
type IGMP struct{ b []byte }

// ParseIGMP returns the message that fills b. Whether type and version are
// known is the caller's to see; ParseIGMPQuery and ParseIGMPv3Report go on.
func ParseIGMP(b []byte) (IGMP, bool) {
	if len(b) < IGMPLen {
		return IGMP{}, false
	}
	return IGMP{b}, true
}

// Type returns the type.
func (m IGMP) Type() uint8 { return m.b[0] }

// ChecksumOK reports whether the checksum over the whole message is right.
func (m IGMP) ChecksumOK() bool { return Sum(m.b, 0).Valid() }

// Group returns the group of messages of version 1 and 2 and of every query;
// unspecified in a general query.
func (m IGMP) Group() netip.Addr { return netip.AddrFrom4([4]byte(m.b[4:8])) }

// An IGMPQueryMsg is a checked view of a query of any version.
type IGMPQueryMsg struct{ b []byte }

// ParseIGMPQuery returns the query that fills b. A length between those of
// versions 2 and 3, or one that does not hold all sources, is not ok: it "MUST
// be silently ignored" (RFC 3376 §7.1).
func ParseIGMPQuery(b []byte) (IGMPQueryMsg, bool) {
	if len(b) < IGMPLen || b[0] != IGMPQuery {
		return IGMPQueryMsg{}, false
	}
	if len(b) > IGMPLen && (len(b) < IGMPv3QueryLen ||
		len(b) < IGMPv3QueryLen+igmpv3SourceSize*int(be.Uint16(b[10:12]))) {
		return IGMPQueryMsg{}, false
	}
	return IGMPQueryMsg{b}, true
}

// Version returns 1, 2 or 3 (RFC 3376 §7.1).
func (m IGMPQueryMsg) Version() int {
	switch {
	case len(m.b) > IGMPLen:
		return 3
	case m.b[1] != 0:
		return 2
	}
	return 1
}

// MaxResponse returns the time within which to answer, in tenths of a second:
// 100 in version 1 (RFC 2236 §4).
func (m IGMPQueryMsg) MaxResponse() int {
	switch m.Version() {
	case 1:
		return 100
	case 2:
		return int(m.b[1])
	}
	return int(floatCode(uint32(m.b[1]), 4))
}

// Group returns the group that is asked for; unspecified in a general query.
func (m IGMPQueryMsg) Group() netip.Addr { return netip.AddrFrom4([4]byte(m.b[4:8])) }

// SuppressRouter returns the S flag of version 3.
func (m IGMPQueryMsg) SuppressRouter() bool { return m.Version() == 3 && m.b[8]&8 != 0 }

// Robustness returns the querier's robustness variable, 0 before version 3.
func (m IGMPQueryMsg) Robustness() int {
	if m.Version() < 3 {
		return 0
	}
	return int(m.b[8] & 7)
}

// Interval returns the querier's query interval in seconds, 0 before version 3.
func (m IGMPQueryMsg) Interval() int {
	if m.Version() < 3 {
		return 0
	}
	return int(floatCode(uint32(m.b[9]), 4))
}

// NumSources returns how many sources are asked for.
func (m IGMPQueryMsg) NumSources() int {
	if m.Version() < 3 {
		return 0
	}
	return int(be.Uint16(m.b[10:12]))
}

// Source returns the i-th source, 0 <= i < NumSources.
func (m IGMPQueryMsg) Source(i int) netip.Addr {
	at := IGMPv3QueryLen + igmpv3SourceSize*i
	return netip.AddrFrom4([4]byte(m.b[at : at+4]))
}

// IGMPQueryFields are the values of a query of version 3.
type IGMPQueryFields struct {
	MaxResponse    int // in tenths of a second, rounded down to what the field holds
	Group          [4]byte
	SuppressRouter bool
	Robustness     uint8 // 0 to 7
	Interval       int   // in seconds, rounded down to what the field holds
}

// PutIGMPQuery writes a query of version 3 with its checksum and returns its
// length in bytes.
func PutIGMPQuery(b []byte, f IGMPQueryFields, sources ...[4]byte) int {
	n := IGMPv3QueryLen + igmpv3SourceSize*len(sources)
	flags := f.Robustness & 7
	if f.SuppressRouter {
		flags |= 8
	}
	be.PutUint32(b, IGMPQuery<<24|toFloatCode(uint32(max(f.MaxResponse, 0)), 4)<<16)
	copy(b[4:8], f.Group[:])
	b[8], b[9] = flags, uint8(toFloatCode(uint32(max(f.Interval, 0)), 4))
	be.PutUint16(b[10:], uint16(len(sources)))
	for i := range sources {
		copy(b[IGMPv3QueryLen+igmpv3SourceSize*i:n], sources[i][:])
	}
	be.PutUint16(b[2:], Checksum(b[:n]))
	return n
}

// PutIGMP writes a message of version 1 or 2, IGMPLen bytes, with its
// checksum. maxResponse is in tenths of a second and zero but for a query of
// version 2.
func PutIGMP(b []byte, typ, maxResponse uint8, group [4]byte) {
	be.PutUint32(b, uint32(typ)<<24|uint32(maxResponse)<<16)
	copy(b[4:IGMPLen], group[:])
	be.PutUint16(b[2:], Checksum(b[:IGMPLen]))
}

// An IGMPv3Groups walks over the records of a report of version 3. It is a
// value: a copy goes its own way.
type IGMPv3Groups struct {
	rest []byte
	left int
}

// ParseIGMPv3Report returns a walk over the records of the report that fills
// b, all of which are whole.
func ParseIGMPv3Report(b []byte) (IGMPv3Groups, bool) {
	if len(b) < IGMPLen || b[0] != IGMPv3Report {
		return IGMPv3Groups{}, false
	}
	n := int(be.Uint16(b[6:8]))
	if !groupsOK(b[IGMPLen:], n, igmpv3SourceSize) {
		return IGMPv3Groups{}, false
	}
	return IGMPv3Groups{b[IGMPLen:], n}, true
}

// Next returns the next record; it is not ok at the end.
func (w *IGMPv3Groups) Next() (r IGMPv3Record, ok bool) {
	if w.left == 0 {
		return IGMPv3Record{}, false
	}
	n, _, ok := nextGroup(w.rest, igmpv3SourceSize)
	if !ok {
		w.left = 0
		return IGMPv3Record{}, false
	}
	r = IGMPv3Record{w.rest[:n]}
	w.rest, w.left = w.rest[n:], w.left-1
	return r, true
}

// An IGMPv3Record is one record of a report (RFC 3376 §4.2.4).
type IGMPv3Record struct{ b []byte }

// Type returns the type, GroupIsInclude to GroupBlockOld. Others are ignored
// (RFC 3376 §4.2.12).
func (r IGMPv3Record) Type() uint8 { return r.b[0] }

// Group returns the group.
func (r IGMPv3Record) Group() netip.Addr { return netip.AddrFrom4([4]byte(r.b[4:8])) }

// NumSources returns the number of sources.
func (r IGMPv3Record) NumSources() int { return int(be.Uint16(r.b[2:4])) }

// Source returns the i-th source, 0 <= i < NumSources.
func (r IGMPv3Record) Source(i int) netip.Addr {
	at := IGMPv3RecordLen + igmpv3SourceSize*i
	return netip.AddrFrom4([4]byte(r.b[at : at+4]))
}

// PutIGMPv3Record writes one record and returns its length in bytes.
func PutIGMPv3Record(b []byte, typ uint8, group [4]byte, sources ...[4]byte) int {
	n := IGMPv3RecordLen + igmpv3SourceSize*len(sources)
	be.PutUint32(b, uint32(typ)<<24|uint32(uint16(len(sources))))
	copy(b[4:8], group[:])
	for i := range sources {
		copy(b[IGMPv3RecordLen+igmpv3SourceSize*i:n], sources[i][:])
	}
	return n
}

// FinishIGMPv3Report writes the head of a report, IGMPLen bytes, into the
// front of b, whose rest are the given number of records, with the checksum
// over all.
func FinishIGMPv3Report(b []byte, records int) {
	be.PutUint64(b, IGMPv3Report<<56|uint64(uint16(records)))
	be.PutUint16(b[2:], Checksum(b))
}
