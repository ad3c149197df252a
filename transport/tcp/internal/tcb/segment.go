package tcb

// Flags are the control bits of a segment, as on the wire (RFC 9293 §3.1,
// RFC 3168 §6.1).
type Flags uint8

// The control bits.
const (
	FIN Flags = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
	ECE
	CWR
)

// String returns the bits as tcpdump prints them, for example "S." for
// SYN and ACK.
func (f Flags) String() string {
	const letters = "FSRP.UEW"
	b := make([]byte, 0, len(letters))
	for i := range len(letters) {
		if f&(1<<i) != 0 {
			b = append(b, letters[i])
		}
	}
	if len(b) == 0 {
		return "none"
	}
	return string(b)
}

// OptionSet says which options a segment carries.
type OptionSet uint8

// The options a TCB understands.
const (
	HasMSS           OptionSet = 1 << iota // RFC 9293 §3.7.1
	HasWScale                              // RFC 7323 §2
	HasSACKPermitted                       // RFC 2018 §2
	HasTimestamps                          // RFC 7323 §3
)

// MaxSACK is the number of SACK blocks that fit in a segment (RFC 2018 §3).
const MaxSACK = 4

// A Block is a contiguous range of octets that was received: Left is its first
// sequence number, Right the one after its last (RFC 2018 §3).
type Block struct{ Left, Right Seq }

// Options are the options of a segment. The zero value is none.
type Options struct {
	Has    OptionSet // which of MSS, WScale, TSVal and TSEcr count
	WScale uint8     // shift count
	SACKs  uint8     // number of blocks in SACK
	MSS    uint16
	TSVal  uint32
	TSEcr  uint32
	SACK   [MaxSACK]Block
}

// Len returns the bytes that the options take on the wire, padding included,
// in the layout that every stack uses: timestamps and SACK blocks behind two
// NOPs (RFC 7323 appendix A), the window scale behind one.
func (o *Options) Len() int {
	n := 0
	if o.Has&HasMSS != 0 {
		n += 4
	}
	if o.Has&HasWScale != 0 {
		n += 4
	}
	switch {
	case o.Has&HasTimestamps != 0:
		n += timestampBytes // SACK-permitted takes the place of the NOPs
	case o.Has&HasSACKPermitted != 0:
		n += 4
	}
	return n + sackBytes(int(o.SACKs))
}

// timestampBytes is the timestamps option with its two NOPs.
const timestampBytes = 12

// sackBytes returns the bytes of a SACK option with n blocks and two NOPs.
func sackBytes(n int) int {
	if n == 0 {
		return 0
	}
	return 4 + 8*n
}

// A Segment is the header of a TCP segment in host form; the payload travels
// beside it. The shell converts it to and from wire bytes.
type Segment struct {
	Seq    Seq
	Ack    Seq
	Len    int    // payload bytes; may exceed a datagram when Cut is set
	Window uint16 // as in the header, not scaled
	Urgent uint16
	// Cut is the payload size of the segments on the wire when this one
	// stands for several: the size at which the device has to cut it, or of
	// which it was merged. Zero means that it is one segment.
	Cut   uint16
	Flags Flags
	// Rexmit marks data that was sent before. Only Output sets it.
	Rexmit bool
	Options
}

// End returns the sequence number after the segment; SYN and FIN take one
// each (RFC 9293 §3.4).
func (s *Segment) End() Seq {
	return s.Seq + Seq(s.Len) + Seq(s.Flags&FIN) + Seq(s.Flags&SYN)>>1
}

// count returns how many segments on the wire s stands for.
func (s *Segment) count() int {
	if s.Cut == 0 || s.Len <= int(s.Cut) {
		return 1
	}
	return (s.Len + int(s.Cut) - 1) / int(s.Cut)
}

// ResetFor returns the answer to a segment that belongs to no connection
// (RFC 9293 §3.10.7.1). ok is false for a reset, which gets no answer.
func ResetFor(in *Segment) (out Segment, ok bool) {
	switch {
	case in.Flags&RST != 0:
		return Segment{}, false
	case in.Flags&ACK != 0:
		return Segment{Seq: in.Ack, Flags: RST}, true
	default:
		return Segment{Ack: in.End(), Flags: RST | ACK}, true
	}
}
