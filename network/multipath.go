package network

import (
	"encoding/binary"
	"net/netip"
	"sync/atomic"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/sysctl"
	"github.com/knitnet/knit/wire"
)

// Policies of Multipath, as Linux numbers them.
const (
	policyL3    = 0 // the addresses, and of IPv6 the flow label
	policyL4    = 1 // addresses, protocol and ports
	policyInner = 2 // the addresses, of a tunnel those inside
)

// A Multipath says how flows are spread over the next hops of one route
// (net.ipv4.fib_multipath_hash_policy, RFC 2992). All packets of a flow go the same
// way. The zero Multipath hashes addresses with a seed of 0.
type Multipath struct {
	Policy atomic.Int64
	// Seed is net.ipv4.fib_multipath_hash_seed; 0 stands for a random one.
	Seed atomic.Int64

	random uint64
}

func (m *Multipath) seed() uint64 {
	if s := m.Seed.Load(); s != 0 {
		return uint64(s) * golden
	}
	return m.random
}

// Entries returns the settings for a Family to register; prefix is "net.ipv4".
func (m *Multipath) Entries(prefix string) []sysctl.Entry {
	return []sysctl.Entry{
		sysctl.Int(prefix+".fib_multipath_hash_policy", &m.Policy, policyL3, policyInner),
		sysctl.Int(prefix+".fib_multipath_hash_seed", &m.Seed, 0, 1<<32-1),
	}
}

// golden is 2^64 divided by the golden ratio.
const golden = 0x9e3779b97f4a7c15

// stir mixes a word into a hash, so that each bit of both changes about half of the
// bits of the result.
func stir(h, v uint64) uint64 {
	h = (h ^ v) * 0xff51afd7ed558ccd
	h ^= h >> 32
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>29
}

func stirAddr(h uint64, a netip.Addr) uint64 {
	b := a.As16() // of no address all zeros
	return stir(stir(h, binary.BigEndian.Uint64(b[:8])), binary.BigEndian.Uint64(b[8:]))
}

// hash is what decides which of several next hops f takes.
func (l *Layer) hash(f *Flow) uint32 {
	if f.Hash != 0 {
		return f.Hash
	}
	m := &l.Multipath[VersionOf(f.Dst)]
	h := l.addrHash(m, f.Src, f.Dst)
	switch m.Policy.Load() {
	case policyL4:
		h = stir(h, uint64(f.Proto)<<32|uint64(f.SrcPort)<<16|uint64(f.DstPort))
	case policyL3:
		if f.Label != 0 {
			h = stir(h, uint64(f.Label))
		}
	}
	return uint32(h>>32) | 1 // 0 would be none
}

func (l *Layer) addrHash(m *Multipath, src, dst netip.Addr) uint64 {
	h := m.seed()
	if src.IsValid() {
		h = stirAddr(h, src)
	}
	return stirAddr(h, dst)
}

// innerHash hashes the addresses inside of a tunnel's packet, whose payload is at at;
// 0 for what is no tunnel (RFC 2003, RFC 4213, RFC 2784 without options).
func (l *Layer) innerHash(pkt *packet.Packet, proto uint8, at int) uint32 {
	var b [wire.IPv6Len]byte
	if proto == wire.ProtoGRE {
		if pkt.CopyOut(at, b[:4]) < 4 || b[0]&0xf0 != 0 {
			return 0
		}
		at += 4
	}
	switch proto {
	case wire.ProtoIPv4, wire.ProtoIPv6, wire.ProtoGRE:
		return l.hashAt(pkt, at)
	}
	return 0
}

// hashAt hashes the addresses of an IP header inside of a packet, 0 if there is none.
func (l *Layer) hashAt(pkt *packet.Packet, at int) uint32 {
	var b [wire.IPv6Len]byte
	n := pkt.CopyOut(at, b[:])
	switch {
	case n >= wire.IPv4Len && b[0]>>4 == 4:
		src, dst := netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
		return uint32(l.addrHash(&l.Multipath[V4], src, dst)>>32) | 1
	case n >= wire.IPv6Len && b[0]>>4 == 6:
		src, dst := netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
		return uint32(l.addrHash(&l.Multipath[V6], src, dst)>>32) | 1
	}
	return 0
}

// aboutHash4 hashes the flow that an ICMP error at at belongs to, so that the error goes
// the way of its packets; 0 for other messages. It goes to the source of the packet that
// it quotes, so its flow is that packet's the other way around.
func (l *Layer) aboutHash4(pkt *packet.Packet, at int) uint32 {
	var b [wire.ICMPLen + wire.IPv4MaxLen + 4]byte
	n := pkt.CopyOut(at, b[:])
	if n == 0 || !wire.IsICMP4Error(b[0]) {
		return 0
	}
	h, ok := wire.ParseIPv4(b[min(n, wire.ICMPLen):n])
	if !ok {
		return 0
	}
	f := Flow{Dst: h.Src(), Src: h.Dst(), Proto: h.Protocol()}
	if q := h.HeaderLen(); f.hasPorts() && h.FragOffset() == 0 && n >= wire.ICMPLen+q+4 {
		ports := b[wire.ICMPLen+q:]
		f.DstPort, f.SrcPort = binary.BigEndian.Uint16(ports), binary.BigEndian.Uint16(ports[2:])
	}
	return l.hash(&f)
}
