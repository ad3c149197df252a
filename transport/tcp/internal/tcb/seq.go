package tcb

// A Seq is a TCP sequence number. It wraps, so that the order of two of them
// means something only while they are less than 2^31 apart (RFC 9293 §3.4).
type Seq uint32

// Before reports whether s comes before t.
func (s Seq) Before(t Seq) bool { return int32(s-t) < 0 }

// After reports whether s comes after t.
func (s Seq) After(t Seq) bool { return int32(s-t) > 0 }

// Add returns the number n octets after s, or before it when n is negative.
func (s Seq) Add(n int) Seq { return s + Seq(n) }

// Sub returns how many octets s comes after t; negative when it comes before.
func (s Seq) Sub(t Seq) int { return int(int32(s - t)) }

// maxSeq returns the later of two numbers.
func maxSeq(a, b Seq) Seq {
	if a.Before(b) {
		return b
	}
	return a
}

// minSeq returns the earlier of two numbers.
func minSeq(a, b Seq) Seq {
	if b.Before(a) {
		return b
	}
	return a
}
