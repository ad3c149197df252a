package ftp

import (
	"bytes"
	"slices"
	"sync"
)

const (
	// maxLine is how much of a line that has not ended is kept: announcements are
	// shorter.
	maxLine = 256
	// maxStarts is how many beginnings of lines are remembered, so that a segment that
	// is sent again is recognised.
	maxStarts = 4
)

// A control is what is known of a control connection.
type control struct {
	mu      sync.Mutex
	streams [2]stream
}

// A stream is one direction: where in it lines begin. Sequence numbers are those of
// its sender.
type stream struct {
	starts []uint32 // the newest last
	part   []byte   // the line that has not ended, and where it began
	partAt uint32
	last   said
	// offer is the first sequence number after a SYN that came late, if one did.
	offer   uint32
	offered bool
}

// begin is called with the first sequence number.
func (s *stream) begin(seq uint32) { *s = stream{starts: append(s.starts[:0], seq)} }

// open is called with the sequence number behind that of a SYN. In a connection that is
// open already anybody may have sent it, for all that is known here (RFC 5961 §4): it
// counts when data follows it.
func (s *stream) open(seq uint32, late bool) {
	if late {
		s.offer, s.offered = seq, true
		return
	}
	s.begin(seq)
}

// note remembers that a line begins at seq.
func (s *stream) note(seq uint32) {
	if n := len(s.starts); n > 0 && int32(seq-s.starts[n-1]) <= 0 {
		return
	}
	if len(s.starts) == maxStarts {
		s.starts = slices.Delete(s.starts, 0, 1)
	}
	s.starts = append(s.starts, seq)
}

// A reader reads the lines of a segment.
type reader struct {
	s      *stream
	seq    uint32
	b      []byte
	at     int
	before []byte // what earlier segments have had of the first line
}

// read begins to read b, which begins at seq. What is there before the first line
// whose beginning is known is left out.
func (s *stream) read(seq uint32, b []byte) reader {
	if s.offered && seq == s.offer {
		s.begin(seq)
	}
	r := reader{s: s, seq: seq, b: b}
	switch {
	case slices.Contains(s.starts, seq):
	case len(s.part) > 0 && seq == s.partAt+uint32(len(s.part)):
		r.before = s.part
	default:
		if r.at = bytes.IndexByte(b, '\n') + 1; r.at == 0 {
			r.at = len(b)
			break
		}
		s.note(seq + uint32(r.at))
	}
	return r
}

// next returns the next complete line and where in the segment it begins: before it
// if it was begun in an earlier one.
func (r *reader) next() (line []byte, at int, ok bool) {
	n := bytes.IndexByte(r.b[r.at:], '\n') + 1
	if n == 0 {
		return nil, 0, false
	}
	line, at = r.b[r.at:r.at+n], r.at-len(r.before)
	if at < r.at {
		line = slices.Concat(r.before, line)
		r.before = nil
	}
	r.at += n
	r.s.note(r.seq + uint32(r.at))
	return line, at, true
}

// rest returns the line that has not ended and its sequence number; it is empty if
// there is none.
func (r *reader) rest() (b []byte, seq uint32) {
	b, seq = r.b[r.at:], r.seq+uint32(r.at)
	if len(r.before) > 0 {
		return slices.Concat(r.before, b), seq - uint32(len(r.before))
	}
	return b, seq
}

// keep remembers the beginning of a line, at seq; more of it may follow.
func (s *stream) keep(seq uint32, b []byte) {
	switch {
	case len(s.part) > 0 && seq == s.partAt && len(b) <= len(s.part): // sent again
	case len(b) > maxLine:
		s.part = s.part[:0]
	default:
		s.part, s.partAt = append(s.part[:0], b...), seq
	}
}
