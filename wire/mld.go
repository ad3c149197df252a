package wire

import "net/netip"

// Lengths of MLD in bytes, from the ICMPv6 header on.
const (
	MLDLen          = 24 // version 1
	MLDv2QueryLen   = 28 // before its sources
	MLDv2ReportLen  = 8  // before its records
	MLDv2RecordLen  = 20 // before its sources
	mldv2SourceSize = 16
)

// MLDHopLimit is the hop limit of every MLD message; one with another, or
// from an address that is not link-local, is ignored (RFC 3810 §5, §6.2).
const MLDHopLimit = 1

// An MLD is a checked view of a message of version 1: query, report or done
// (RFC 2710 §3).
type MLD struct{ b []byte }

// ParseMLD returns the message of type ICMP6MLDQuery, ICMP6MLDReport or
// ICMP6MLDDone that fills b.
func ParseMLD(b []byte) (MLD, bool) {
	if len(b) < MLDLen || b[0] < ICMP6MLDQuery || b[0] > ICMP6MLDDone {
		return MLD{}, false
	}
	return MLD{b}, true
}

// Type returns the ICMPv6 type.
func (m MLD) Type() uint8 { return m.b[0] }

// Group returns the group; unspecified in a general query.
func (m MLD) Group() netip.Addr { return netip.AddrFrom16([16]byte(m.b[8:24])) }

// PutMLD writes a message of version 1, MLDLen bytes, with a checksum of
// zero. maxResponse is in milliseconds and zero but for a query.
func PutMLD(b []byte, typ uint8, maxResponse uint16, group [16]byte) {
	PutICMP6(b, typ, 0, uint32(maxResponse)<<16)
	copy(b[8:MLDLen], group[:])
}

// An MLDQueryMsg is a checked view of a query of either version.
type MLDQueryMsg struct{ b []byte }

// ParseMLDQuery returns the query that fills b. A length between those of the
// versions, or one that does not hold all sources, is not ok: it "MUST be
// silently ignored" (RFC 3810 §8.1).
func ParseMLDQuery(b []byte) (MLDQueryMsg, bool) {
	if len(b) < MLDLen || b[0] != ICMP6MLDQuery {
		return MLDQueryMsg{}, false
	}
	if len(b) > MLDLen && (len(b) < MLDv2QueryLen ||
		len(b) < MLDv2QueryLen+mldv2SourceSize*int(be.Uint16(b[26:28]))) {
		return MLDQueryMsg{}, false
	}
	return MLDQueryMsg{b}, true
}

// Version returns 1 or 2.
func (m MLDQueryMsg) Version() int {
	if len(m.b) == MLDLen {
		return 1
	}
	return 2
}

// MaxResponse returns the time within which to answer, in milliseconds.
func (m MLDQueryMsg) MaxResponse() int {
	code := uint32(be.Uint16(m.b[4:6]))
	if m.Version() == 1 {
		return int(code)
	}
	return int(floatCode(code, 12))
}

// Group returns the group that is asked for; unspecified in a general query.
func (m MLDQueryMsg) Group() netip.Addr { return netip.AddrFrom16([16]byte(m.b[8:24])) }

// SuppressRouter returns the S flag of version 2.
func (m MLDQueryMsg) SuppressRouter() bool { return m.Version() == 2 && m.b[24]&8 != 0 }

// Robustness returns the querier's robustness variable, 0 in version 1.
func (m MLDQueryMsg) Robustness() int {
	if m.Version() == 1 {
		return 0
	}
	return int(m.b[24] & 7)
}

// Interval returns the querier's query interval in seconds, 0 in version 1.
func (m MLDQueryMsg) Interval() int {
	if m.Version() == 1 {
		return 0
	}
	return int(floatCode(uint32(m.b[25]), 4))
}

// NumSources returns how many sources are asked for.
func (m MLDQueryMsg) NumSources() int {
	if m.Version() == 1 {
		return 0
	}
	return int(be.Uint16(m.b[26:28]))
}

// Source returns the i-th source, 0 <= i < NumSources.
func (m MLDQueryMsg) Source(i int) netip.Addr {
	at := MLDv2QueryLen + mldv2SourceSize*i
	return netip.AddrFrom16([16]byte(m.b[at : at+16]))
}

// MLDQueryFields are the values of a query of version 2.
type MLDQueryFields struct {
	MaxResponse    int // in milliseconds, rounded down to what the field holds
	Group          [16]byte
	SuppressRouter bool
	Robustness     uint8 // 0 to 7
	Interval       int   // in seconds, rounded down to what the field holds
}

// PutMLDQuery writes a query of version 2 with a checksum of zero and returns
// its length in bytes.
func PutMLDQuery(b []byte, f MLDQueryFields, sources ...[16]byte) int {
	n := MLDv2QueryLen + mldv2SourceSize*len(sources)
	flags := f.Robustness & 7
	if f.SuppressRouter {
		flags |= 8
	}
	PutMLD(b, ICMP6MLDQuery, uint16(toFloatCode(uint32(max(f.MaxResponse, 0)), 12)), f.Group)
	b[24], b[25] = flags, uint8(toFloatCode(uint32(max(f.Interval, 0)), 4))
	be.PutUint16(b[26:], uint16(len(sources)))
	for i := range sources {
		copy(b[MLDv2QueryLen+mldv2SourceSize*i:n], sources[i][:])
	}
	return n
}

// An MLDv2Groups walks over the records of a report of version 2. It is a
// value: a copy goes its own way.
type MLDv2Groups struct {
	rest []byte
	left int
}

// ParseMLDv2Report returns a walk over the records of the report that fills
// b, all of which are whole.
func ParseMLDv2Report(b []byte) (MLDv2Groups, bool) {
	if len(b) < MLDv2ReportLen || b[0] != ICMP6MLDv2Report {
		return MLDv2Groups{}, false
	}
	n := int(be.Uint16(b[6:8]))
	if !groupsOK(b[MLDv2ReportLen:], n, mldv2SourceSize) {
		return MLDv2Groups{}, false
	}
	return MLDv2Groups{b[MLDv2ReportLen:], n}, true
}

// Next returns the next record; it is not ok at the end.
func (w *MLDv2Groups) Next() (r MLDv2Record, ok bool) {
	if w.left == 0 {
		return MLDv2Record{}, false
	}
	n, _, ok := nextGroup(w.rest, mldv2SourceSize)
	if !ok {
		w.left = 0
		return MLDv2Record{}, false
	}
	r = MLDv2Record{w.rest[:n]}
	w.rest, w.left = w.rest[n:], w.left-1
	return r, true
}

// An MLDv2Record is one record of a report (RFC 3810 §5.2.4).
type MLDv2Record struct{ b []byte }

// Type returns the type, GroupIsInclude to GroupBlockOld. Others are ignored
// (RFC 3810 §5.2.12).
func (r MLDv2Record) Type() uint8 { return r.b[0] }

// Group returns the group.
func (r MLDv2Record) Group() netip.Addr { return netip.AddrFrom16([16]byte(r.b[4:20])) }

// NumSources returns the number of sources.
func (r MLDv2Record) NumSources() int { return int(be.Uint16(r.b[2:4])) }

// Source returns the i-th source, 0 <= i < NumSources.
func (r MLDv2Record) Source(i int) netip.Addr {
	at := MLDv2RecordLen + mldv2SourceSize*i
	return netip.AddrFrom16([16]byte(r.b[at : at+16]))
}

// PutMLDv2Record writes one record and returns its length in bytes.
func PutMLDv2Record(b []byte, typ uint8, group [16]byte, sources ...[16]byte) int {
	n := MLDv2RecordLen + mldv2SourceSize*len(sources)
	be.PutUint32(b, uint32(typ)<<24|uint32(uint16(len(sources))))
	copy(b[4:20], group[:])
	for i := range sources {
		copy(b[MLDv2RecordLen+mldv2SourceSize*i:n], sources[i][:])
	}
	return n
}

// PutMLDv2Report writes the head of a report of so many records,
// MLDv2ReportLen bytes, with a checksum of zero.
func PutMLDv2Report(b []byte, records int) {
	PutICMP6(b, ICMP6MLDv2Report, 0, uint32(uint16(records)))
}
