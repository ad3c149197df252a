package wire

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// A PartialSum is an Internet checksum under way (RFC 1071): the one's
// complement sum of 16-bit words, not yet folded and not complemented. The
// zero value is the sum of nothing. Sums of pieces combine in any order; only
// Fold, Finish and Valid look inside.
//
// The words are summed in little-endian order, 64 bits at a time, and swapped
// once at the end: RFC 1071 §2(B) proves that the result is the same, and the
// loads become plain moves on the machines that matter.
type PartialSum uint64

// Sum returns initial plus the words of b, which lies at an even offset of
// the data that is summed. A last odd byte counts as padded with zero.
//
// Every chain of additions starts without a carry, so that one which ends with
// a carry is at most 2^64-2 and takes it back without another. Long data has
// two chains, which the processor runs side by side.
func Sum(b []byte, initial PartialSum) PartialSum {
	s := uint64(initial)
	var t, c, d uint64
	for len(b) >= 128 {
		p := (*[128]byte)(b)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(p[0:]), 0)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(p[8:]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(p[16:]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(p[24:]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(p[32:]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(p[40:]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(p[48:]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(p[56:]), c)
		s += c
		t, d = bits.Add64(t, binary.LittleEndian.Uint64(p[64:]), 0)
		t, d = bits.Add64(t, binary.LittleEndian.Uint64(p[72:]), d)
		t, d = bits.Add64(t, binary.LittleEndian.Uint64(p[80:]), d)
		t, d = bits.Add64(t, binary.LittleEndian.Uint64(p[88:]), d)
		t, d = bits.Add64(t, binary.LittleEndian.Uint64(p[96:]), d)
		t, d = bits.Add64(t, binary.LittleEndian.Uint64(p[104:]), d)
		t, d = bits.Add64(t, binary.LittleEndian.Uint64(p[112:]), d)
		t, d = bits.Add64(t, binary.LittleEndian.Uint64(p[120:]), d)
		t += d
		b = b[128:]
	}
	s, c = bits.Add64(s, t, 0)
	s += c
	for len(b) >= 32 {
		p := (*[32]byte)(b)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(p[0:]), 0)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(p[8:]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(p[16:]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(p[24:]), c)
		s += c
		b = b[32:]
	}
	for len(b) >= 8 {
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b), 0)
		s += c
		b = b[8:]
	}
	if len(b) > 0 {
		s, c = bits.Add64(s, sumTail(b), 0)
		s += c
	}
	return PartialSum(s)
}

// sumTail loads the at most seven bytes of b as if zeros followed.
func sumTail(b []byte) uint64 {
	if len(b) >= 4 {
		return uint64(binary.LittleEndian.Uint32(b)) | lastBytes(b[4:])<<32
	}
	return lastBytes(b)
}

// lastBytes loads the at most three bytes of b as if zeros followed.
func lastBytes(b []byte) (v uint64) {
	if len(b) >= 2 {
		v = uint64(binary.LittleEndian.Uint16(b))
		if len(b) == 3 {
			v |= uint64(b[2]) << 16
		}
	} else if len(b) == 1 {
		v = uint64(b[0])
	}
	return v
}

// Add returns s plus t, the sum of a piece at an even offset.
func (s PartialSum) Add(t PartialSum) PartialSum {
	v, c := bits.Add64(uint64(s), uint64(t), 0)
	return PartialSum(v + c)
}

// Swap returns the sum that the same bytes have at an offset of the other
// parity (RFC 1071 §2(B)).
func (s PartialSum) Swap() PartialSum { return PartialSum(bits.RotateLeft64(uint64(s), 8)) }

// Combine returns s plus t, where t was summed as if it began at offset zero
// and in truth begins at offset bytes. It is how fragments of odd lengths are
// put together.
func (s PartialSum) Combine(t PartialSum, offset int) PartialSum {
	if offset&1 != 0 {
		t = t.Swap()
	}
	return s.Add(t)
}

// Uint16 returns s plus one word, given in host order.
func (s PartialSum) Uint16(v uint16) PartialSum {
	return s.Add(PartialSum(bits.ReverseBytes16(v)))
}

// Uint32 returns s plus two words, given in host order.
func (s PartialSum) Uint32(v uint32) PartialSum {
	return s.Add(PartialSum(bits.ReverseBytes32(v)))
}

// Fold returns the sum as one word in host order, not complemented. It is
// what a checksum field holds when a device completes it (VNetNeedsCsum).
func (s PartialSum) Fold() uint16 { return bits.ReverseBytes16(fold(uint64(s))) }

// fold adds up the four words of v, in v's own byte order.
func fold(v uint64) uint16 {
	v = v>>32 + v&0xffffffff
	v = v>>32 + v&0xffffffff
	v = v>>16 + v&0xffff
	v = v>>16 + v&0xffff
	return uint16(v)
}

// Finish returns the checksum: the complement of the folded sum, in host
// order, ready for a checksum field that was summed as zero.
func (s PartialSum) Finish() uint16 { return ^s.Fold() }

// FinishUDP is Finish, except that it returns 0xffff for zero, because a zero
// means "no checksum" (RFC 768; RFC 8200 §8.1).
func (s PartialSum) FinishUDP() uint16 {
	if c := s.Finish(); c != 0 {
		return c
	}
	return 0xffff
}

// FinishAt is Finish for a checksum field offset bytes behind the start of its
// header, when nothing else tells the protocol: at UDP's place it is FinishUDP.
// Elsewhere zero is a sum like others, and 0xffff one that no sender should compute
// (RFC 1624 §3).
func (s PartialSum) FinishAt(offset int) uint16 {
	if offset == UDPChecksumOffset {
		return s.FinishUDP()
	}
	return s.Finish()
}

// Valid reports whether s, summed over data that includes its checksum
// field, proves the data undamaged (RFC 1071 §1 (3)).
func (s PartialSum) Valid() bool { return s.Fold() == 0xffff }

// Checksum returns the checksum of b alone, as IPv4 headers and ICMP use it.
func Checksum(b []byte) uint16 { return Sum(b, 0).Finish() }

// PseudoIPv4 returns the sum of the pseudo header of TCP and UDP over IPv4
// (RFC 9293 §3.1, RFC 768). length is that of transport header and payload
// in bytes.
func PseudoIPv4(src, dst [4]byte, proto uint8, length int) PartialSum {
	s := uint64(binary.LittleEndian.Uint32(src[:])) + uint64(binary.LittleEndian.Uint32(dst[:]))
	s += uint64(bits.ReverseBytes32(uint32(length))) + uint64(proto)<<8
	return PartialSum(s)
}

// PseudoIPv6 returns the sum of the IPv6 pseudo header (RFC 8200 §8.1).
// length is that of upper-layer header and payload in bytes.
func PseudoIPv6(src, dst [16]byte, proto uint8, length int) PartialSum {
	s, c := bits.Add64(binary.LittleEndian.Uint64(src[:]), binary.LittleEndian.Uint64(src[8:]), 0)
	s, c = bits.Add64(s, binary.LittleEndian.Uint64(dst[:]), c)
	s, c = bits.Add64(s, binary.LittleEndian.Uint64(dst[8:]), c)
	s, c = bits.Add64(s, uint64(bits.ReverseBytes32(uint32(length)))+uint64(proto)<<8, c)
	return PartialSum(s + c)
}

// Pseudo returns PseudoIPv4 or PseudoIPv6, by the family of src. An
// IPv4-mapped address counts as IPv6.
func Pseudo(src, dst netip.Addr, proto uint8, length int) PartialSum {
	if src.Is4() {
		return PseudoIPv4(src.As4(), dst.As4(), proto, length)
	}
	return PseudoIPv6(src.As16(), dst.As16(), proto, length)
}

// UpdateChecksum returns what checksum sum becomes when the covered bytes
// that add up to before are replaced by others that add up to after
// (RFC 1624 §3, equation 3). Both pieces lie at even offsets.
func UpdateChecksum(sum uint16, before, after PartialSum) uint16 {
	return PartialSum(0).Uint16(^sum).Add(^before).Add(after).Finish()
}

// A ChecksumChange is what the same change of covered bytes does to any checksum.
type ChecksumChange uint16

// ChangeOf returns what UpdateChecksum does with before and after, for use with many
// checksums.
func ChangeOf(before, after PartialSum) ChecksumChange {
	return ChecksumChange((^before).Add(after).Fold())
}

// Update returns what checksum sum becomes.
func (c ChecksumChange) Update(sum uint16) uint16 {
	v := uint32(^sum) + uint32(c)
	return ^uint16(v>>16 + v)
}

// UpdateChecksum16 is UpdateChecksum for one word in host order.
func UpdateChecksum16(sum, before, after uint16) uint16 {
	v := uint32(^sum) + uint32(^before) + uint32(after)
	v = v>>16 + v&0xffff
	v = v>>16 + v&0xffff
	return ^uint16(v)
}
