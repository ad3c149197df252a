package netfilter

import (
	"hash/crc32"

	"github.com/knitnet/knit/core/packet"
)

// SCTPHeaderLen is the length of SCTP's common header in bytes; its last four are the
// checksum, in little endian.
const SCTPHeaderLen = 12

// noSum stands in place of the checksum while it is computed.
var noSum = [4]byte{}

// SCTPChecksum returns the checksum that a packet should have whose SCTP header begins
// at an offset: a CRC over all of it with zeros in its own place (RFC 9260 §6.8), which
// a change of a few bytes cannot correct. It is not ok if the header is not complete.
func SCTPChecksum(pkt *packet.Packet, off int) (sum uint32, ok bool) {
	if !pkt.Ensure(off + SCTPHeaderLen) {
		return 0, false
	}
	b := pkt.Head()[off:]
	castagnoli := crc32.MakeTable(crc32.Castagnoli) // RFC 9260 Appendix A; made once
	sum = crc32.Update(0, castagnoli, b[:SCTPHeaderLen-len(noSum)])
	sum = crc32.Update(sum, castagnoli, noSum[:])
	sum = crc32.Update(sum, castagnoli, b[SCTPHeaderLen:])
	for i := range pkt.Frags() {
		sum = crc32.Update(sum, castagnoli, pkt.Frag(i))
	}
	return sum, true
}
