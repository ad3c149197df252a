package conntrack

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/wire"
)

const (
	clientSix = "[fd00::1]:5000"
	serverSix = "[fd00::2]:53"
)

// behind puts an extension header of 8 octets between the IPv6 header and the rest.
func behind(typ byte, rest [7]byte, b []byte) []byte {
	out := append(slices.Clone(b[:40]), b[6])
	out = append(append(out, rest[:]...), b[40:]...)
	out[6] = typ
	binary.BigEndian.PutUint16(out[4:], uint16(len(out)-40))
	return out
}

// damaged is b with its last octet changed.
func damaged(b []byte) []byte {
	b = slices.Clone(b)
	b[len(b)-1] ^= 1
	return b
}

func TestChecksumBehindExtensionHeaders(t *testing.T) {
	r := newRig(t)
	padded := behind(wire.ProtoDstOpts, [7]byte{0, 1, 4}, udp(clientSix, serverSix, 4))
	r.want(damaged(padded), netfilter.Invalid)
	r.want(padded, netfilter.New)
	// The sum is over the address of the last stop (RFC 8200 §8.1), which nobody here
	// looks for.
	r.want(damaged(behind(wire.ProtoRouting, [7]byte{0, 4, 1}, udp(clientSix, serverSix, 4))), netfilter.New)
	r.want(damaged(behind(wire.ProtoRouting, [7]byte{0, 4, 0}, udp(clientSix, serverSix, 4))), netfilter.Invalid)
}

// TestDamagedNeighbourDiscovery: rules that let pass what is untracked must not be
// deceived by messages that their receiver throws away (RFC 4861 §7.1.1).
func TestDamagedNeighbourDiscovery(t *testing.T) {
	r := newRig(t)
	good := icmp("fe80::1", "fe80::2", 135, 0, 0, make([]byte, 16)...)
	r.want(good, netfilter.Untracked)
	r.want(damaged(good), netfilter.Invalid)
}

func udpLite(src, dst string, n int, coverage uint16) []byte {
	b := udp(src, dst, n)
	at := 20
	if b[0]>>4 == 6 {
		at = 40
		b[6] = wire.ProtoUDPLite
	} else {
		b[9] = wire.ProtoUDPLite
		b[10], b[11] = 0, 0
		binary.BigEndian.PutUint16(b[10:], wire.Checksum(b[:20]))
	}
	l4 := b[at:]
	binary.BigEndian.PutUint16(l4[4:], coverage)
	l4[6], l4[7] = 0, 0
	if coverage == 0 {
		coverage = uint16(len(l4))
	}
	sum := wire.Pseudo(ap(src).Addr(), ap(dst).Addr(), wire.ProtoUDPLite, len(l4))
	sum = sum.Add(wire.Sum(l4[:min(int(coverage), len(l4))], 0))
	binary.BigEndian.PutUint16(l4[6:], sum.Finish())
	return b
}

// TestUDPLite: the checksum is over as much as its sender says, and never missing (RFC
// 3828 §3.1).
func TestUDPLite(t *testing.T) {
	for _, ends := range [][2]string{{clientA, serverA}, {clientSix, serverSix}} {
		lite := func(coverage uint16) []byte { return udpLite(ends[0], ends[1], 10, coverage) }
		r := newRig(t)
		r.want(lite(0), netfilter.New)
		r.want(lite(8), netfilter.New)
		r.want(lite(18), netfilter.New)
		r.want(damaged(lite(8)), netfilter.New)
		r.want(damaged(lite(0)), netfilter.Invalid)
		r.want(damaged(lite(18)), netfilter.Invalid)
		r.want(lite(7), netfilter.Invalid)
		r.want(lite(19), netfilter.Invalid)
		none := lite(8)
		none[len(none)-12], none[len(none)-11] = 0, 0
		r.want(none, netfilter.Invalid)
		r.wantCount(1)
	}
}

// TestOtherVersionsICMP means nothing to anybody.
func TestOtherVersionsICMP(t *testing.T) {
	r := newRig(t)
	r.want(ip(wire.ProtoICMPv6, ap(clientA).Addr(), ap(serverA).Addr(), make([]byte, 8), -1), netfilter.Invalid)
	r.want(ip(wire.ProtoICMP, ap(clientSix).Addr(), ap(serverSix).Addr(), make([]byte, 8), -1), netfilter.Invalid)
}

// TestHeadersInFragments: what tells connections apart may lie outside of the head.
func TestHeadersInFragments(t *testing.T) {
	r := newRig(t)
	b := behind(wire.ProtoDstOpts, [7]byte{0, 1, 4}, udp(clientSix, serverSix, 4))
	pkt := r.net.Pool.Get()
	pkt.Append(b[:40])
	buf := r.net.Pool.Buf(len(b) - 40)
	copy(buf.Bytes(), b[40:])
	if !pkt.AddFrag(buf, 0, len(b)-40) {
		t.Fatal("no room for a fragment")
	}
	pkt.In = 1
	var q packet.Queue
	q.Push(pkt)
	r.net.Hooks[network.V6].Prerouting.RunBatch(&q)
	if got := netfilter.Info(q.Front().Track); got != netfilter.New {
		t.Errorf("it is %d, want new", got)
	}
	q.Pop().Consume()
}
