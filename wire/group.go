package wire

// What IGMPv3 (RFC 3376) and MLDv2 (RFC 3810) have in common.

// Types of group records (RFC 3376 §4.2.12, RFC 3810 §5.2.12).
const (
	GroupIsInclude       = 1
	GroupIsExclude       = 2
	GroupChangeToInclude = 3
	GroupChangeToExclude = 4
	GroupAllowNew        = 5
	GroupBlockOld        = 6
)

// groupHeadLen is the length of a record before its group address, in bytes.
const groupHeadLen = 4

// nextGroup returns the length of the record at the front of b, whose
// addresses take size bytes each, and the number of its sources. It is not ok
// if b does not hold all of it.
func nextGroup(b []byte, size int) (n, sources int, ok bool) {
	if len(b) < groupHeadLen+size {
		return 0, 0, false
	}
	sources = int(be.Uint16(b[2:4]))
	n = groupHeadLen + size + sources*size + int(b[1])*4 // with auxiliary data
	return n, sources, n <= len(b)
}

// groupsOK reports whether b begins with count whole records.
func groupsOK(b []byte, count, size int) bool {
	for range count {
		n, _, ok := nextGroup(b, size)
		if !ok {
			return false
		}
		b = b[n:]
	}
	return true
}

// floatCode decodes a number of manBits of mantissa below three bits of
// exponent below a one; smaller codes stand for themselves (RFC 3376 §4.1.1,
// RFC 3810 §5.1.3).
func floatCode(code uint32, manBits int) uint32 {
	if code < 1<<(manBits+3) {
		return code
	}
	man := code&(1<<manBits-1) | 1<<manBits
	return man << (code>>manBits&7 + 3)
}

// toFloatCode returns the greatest code that stands for no more than v.
func toFloatCode(v uint32, manBits int) uint32 {
	if v < 1<<(manBits+3) {
		return v
	}
	exp := uint32(0)
	for v>>(exp+3) >= 1<<(manBits+1) {
		if exp == 7 {
			return 1<<(manBits+4) - 1
		}
		exp++
	}
	return 1<<(manBits+3) | exp<<manBits | v>>(exp+3)&(1<<manBits-1)
}
