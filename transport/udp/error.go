package udp

import (
	"encoding/binary"
	"hash/maphash"
	"net/netip"
	"sync/atomic"

	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/wire"
)

// Error implements network.Handler: connected sockets learn of ICMP errors
// (RFC 1122 §4.1.3.3).
func (u *udp) Error(e *network.Error) {
	h, ok := wire.ParseUDP(e.Payload)
	if !ok {
		return
	}
	f := flow{src: e.Dst, dst: e.Src, index: e.Index, srcPort: h.DstPort(), dstPort: h.SrcPort()}
	u.place(&f)
	s := u.table.find(&f)
	switch {
	case s == nil:
		return
	case e.Kind == network.PacketTooBig:
		if u.sent.explains(&f, h.Len(), e.MTU) {
			u.net.LearnMTU(e.Dst, e.Index, e.MTU) // the next datagram is cut to it
		}
	case s.peer.Load() != nil && e.Kind.Hard():
		s.queue.Fail(e.Kind.Errno())
	}
}

// sentSlots is the number of slots of a sentTable.
const sentSlots = 4096

// A sentTable remembers to whom large datagrams were sent, because routers complain
// of those only: a stranger who does not see this host's traffic cannot make a path
// seem narrower with a Packet Too Big of his own (RFC 8201 §6). network.LearnMTU asks
// whether anything as large went to the host, this table whether this socket's did: a
// port that listens must not vouch for what TCP sends there. There are no connections
// to ask, so it is a table of fixed size in which exchanges share slots
// by hash: who was overwritten is remembered again with his next datagram.
type sentTable struct {
	seed  maphash.Seed
	slots [sentSlots]atomic.Uint64 // hash of the exchange, with its largest UDP length in the low 16 bits
}

func (t *sentTable) init() { t.seed = maphash.MakeSeed() }

// note remembers that a datagram of n bytes, UDP header included, was sent.
func (t *sentTable) note(from uint16, to netip.AddrPort, n int) {
	slot, tag := t.slot(from, to)
	if old := slot.Load(); old&^0xffff == tag && int(old&0xffff) >= n {
		return
	}
	slot.Store(tag | uint64(min(n, 0xffff)))
}

// explains reports whether an error can be about what was sent: it quotes a UDP
// header with the length n that did not fit into mtu, no longer than the largest.
func (t *sentTable) explains(f *flow, n, mtu int) bool {
	slot, tag := t.slot(f.dstPort, netip.AddrPortFrom(f.src, f.srcPort))
	v := slot.Load()
	return v&^0xffff == tag && n <= int(v&0xffff) && n+headerLen(f.src) > mtu
}

func (t *sentTable) slot(from uint16, to netip.AddrPort) (slot *atomic.Uint64, tag uint64) {
	var key [20]byte
	*(*[16]byte)(key[:]) = to.Addr().As16()
	binary.BigEndian.PutUint16(key[16:], to.Port())
	binary.BigEndian.PutUint16(key[18:], from)
	h := maphash.Bytes(t.seed, key[:])
	return &t.slots[h%sentSlots], h &^ 0xffff
}

// headerLen returns the length of the IP header of packets to an address.
func headerLen(to netip.Addr) int {
	if to.Is4() {
		return wire.IPv4Len
	}
	return wire.IPv6Len
}
