// Package offload does in software what network cards do for TCP and UDP: it cuts
// a packet that is larger than the MTU into segments just before a device that
// cannot (GSO), and merges the segments of a received batch into large packets
// before the layers above see them (GRO). Both share payload by reference.
package offload

import (
	"encoding/binary"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/wire"
)

// An Offload is a link.Offload for IPv4 and IPv6. It keeps nothing between calls
// and is safe for concurrent use.
type Offload struct {
	// MergeUDP merges UDP datagrams too, into packets of type GSOUDP; off by
	// default, as on Linux (rx-udp-gro-forwarding). It must not change once the
	// Offload is in use.
	MergeUDP bool
}

// New returns an Offload with Linux's defaults.
func New() *Offload { return new(Offload) }

// Offsets of fields that are changed in place.
const (
	ip4TotalLen   = 2
	ip4ID         = 4
	ip4Sum        = 10
	ip6PayloadLen = 4
	tcpSeq        = 4
	tcpFlagByte   = 13 // FIN to CWR
	udpLen        = 4
)

// Flags that do not go with every segment cut from a packet: CWR with the first
// (RFC 3168 §6.1.2), FIN and PSH with the last.
const (
	onFirst = wire.TCPCwr
	onLast  = wire.TCPFin | wire.TCPPsh
)

// isAtomic reports whether an IPv4 packet with this identification, cut into pieces,
// gives all of them the identification 0. Where fragmentation is forbidden it has no
// meaning (RFC 6864 §4.1) and 0 is what says so; others count on by one.
func isAtomic(id uint16, df bool) bool { return df && id == 0 }

// layout makes the empty packet p one of n bytes at offset off of its head, so
// that offsets in a Meta copied from another packet hold for it too.
func layout(p *packet.Packet, off, n int) []byte {
	end := off
	if off <= packet.Headroom {
		end = packet.Headroom
		p.Push(packet.Headroom - off)
	} else {
		p.Extend(off - packet.Headroom)
		p.Pull(off - packet.Headroom)
	}
	if off+n >= end {
		p.Extend(off + n - end)
	} else {
		p.TrimBack(end - off - n)
	}
	return p.Head()
}

// addToSum returns what a folded one's complement sum becomes when a word of it
// changes.
func addToSum(sum, before, after uint16) uint16 {
	return ^wire.UpdateChecksum16(^sum, before, after)
}

// addToField is addToSum for the sum in front of b.
func addToField(b []byte, before, after int) {
	s := binary.BigEndian.Uint16(b)
	binary.BigEndian.PutUint16(b, addToSum(s, uint16(before), uint16(after)))
}
