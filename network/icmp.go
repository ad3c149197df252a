package network

import (
	"fmt"

	"github.com/knitnet/knit/core/packet"
)

// An ICMPFunc takes one ICMP message, which it owns. The message is the data, all
// of it in the head or the fragments, and its checksum was checked; the IP header
// is at Meta.L3.
type ICMPFunc func(pkt *packet.Packet)

// HandleICMP gives ICMP messages of a type to f until undo is called: Neighbour
// Discovery and MLD are made of such messages. Types that the ICMP module itself
// answers, and errors, never come here; nor do echo replies, which are for raw and
// ping sockets (SetRaw).
func (l *Layer) HandleICMP(v Version, typ uint8, f ICMPFunc) (undo func(), err error) {
	if !l.icmp[v][typ].CompareAndSwap(nil, &f) {
		return nil, fmt.Errorf("ICMP for %v, type %d: taken", v, typ)
	}
	return func() { l.icmp[v][typ].Store(nil) }, nil
}

// ICMP returns who takes ICMP messages of a type, or nil. ICMP modules call it.
func (l *Layer) ICMP(v Version, typ uint8) ICMPFunc {
	if f := l.icmp[v][typ].Load(); f != nil {
		return *f
	}
	return nil
}
