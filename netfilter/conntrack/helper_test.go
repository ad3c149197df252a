package conntrack

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/rcu"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/internal/leak"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/wire"
)

// A rig is the least kernel that tracks connections: hook points without anything
// between them, in virtual time.
type rig struct {
	t testing.TB
	*tracker
	net     *network.Layer
	release func()
}

func newRig(t testing.TB) *rig {
	pool := new(packet.Pool)
	leak.Zero(t, "packets", pool.Live)
	l := link.New(link.Config{Pool: pool, Clock: clock.NewVirtual(), Walks: new(rcu.Period)})
	n := network.New(network.Config{Link: l, Stats: new(stat.Set)})
	slot, undo, err := packet.NewSlot[*entry](&l.Slots, moduleName)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, tracker: newTracker(n, slot, stripes), net: n}
	r.release = r.Hold([2]bool{true, true})
	t.Cleanup(func() {
		r.release()
		r.close()
		undo()
		if p := n.Clock.Pending(); p != 0 {
			t.Errorf("%d timers are armed after the end", p)
		}
	})
	return r
}

func version(b []byte) network.Version {
	if b[0]>>4 == 4 {
		return network.V4
	}
	return network.V6
}

func (r *rig) packet(b []byte) *packet.Packet {
	pkt := r.net.Pool.Get()
	pkt.Append(b)
	pkt.Ensure(min(len(b), 60)) // as the network layer has it
	pkt.In = 1
	return pkt
}

// in brings a packet to PREROUTING.
func (r *rig) in(b []byte) *packet.Packet {
	pkt := r.packet(b)
	var q packet.Queue
	q.Push(pkt)
	r.net.Hooks[version(b)].Prerouting.RunBatch(&q)
	return q.Pop()
}

// out brings it to POSTROUTING and ends it. False: a hook has dropped it.
func (r *rig) out(v network.Version, pkt *packet.Packet) bool {
	var q packet.Queue
	q.Push(pkt)
	r.net.Hooks[v].Postrouting.RunBatch(&q)
	if pkt = q.Pop(); pkt == nil {
		return false
	}
	pkt.Consume()
	return true
}

// pass lets a packet through and returns what it is to which connection; dropped
// is true when a hook has dropped it.
func (r *rig) pass(b []byte) (c *netfilter.Conn, info netfilter.Info, dropped bool) {
	pkt := r.in(b)
	if pkt == nil {
		return nil, 0, true
	}
	c, info = r.Of(pkt)
	return c, info, !r.out(version(b), pkt)
}

// want lets a packet through, which must be of a kind.
func (r *rig) want(b []byte, want netfilter.Info) *netfilter.Conn {
	r.t.Helper()
	c, info, dropped := r.pass(b)
	if dropped || info != want {
		r.t.Fatalf("a packet is %d (dropped: %v), want %d; % x", info, dropped, want, b)
	}
	return c
}

func (r *rig) advance(d time.Duration) { r.net.Clock.Advance(d) }

func (r *rig) wantCount(n int) {
	r.t.Helper()
	if got := r.Count(); got != n {
		r.t.Fatalf("%d connections, want %d", got, n)
	}
}

func ap(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// ip puts an IP header of the right version in front of a transport packet, whose
// checksum is at offset sum; -1: it has none.
func ip(proto uint8, src, dst netip.Addr, b []byte, sum int) []byte {
	if sum >= 0 {
		s := wire.Sum(b, 0)
		if proto != wire.ProtoICMP {
			s = s.Add(wire.Pseudo(src, dst, proto, len(b)))
		}
		binary.BigEndian.PutUint16(b[sum:], s.Finish())
	}
	if src.Is4() {
		h := make([]byte, wire.IPv4Len+len(b))
		wire.PutIPv4(h, &wire.IPv4Fields{TotalLen: uint16(len(h)), TTL: 64, Protocol: proto, Src: src.As4(), Dst: dst.As4()})
		copy(h[wire.IPv4Len:], b)
		return h
	}
	h := make([]byte, wire.IPv6Len+len(b))
	wire.PutIPv6(h, &wire.IPv6Fields{PayloadLen: uint16(len(b)), NextHeader: proto, HopLimit: 64, Src: src.As16(), Dst: dst.As16()})
	copy(h[wire.IPv6Len:], b)
	return h
}

func udp(src, dst string, n int) []byte {
	s, d := ap(src), ap(dst)
	b := make([]byte, wire.UDPLen+n)
	wire.PutUDP(b, s.Port(), d.Port(), n)
	return ip(wire.ProtoUDP, s.Addr(), d.Addr(), b, 6)
}

func icmp(src, dst string, typ, code uint8, id uint16, body ...byte) []byte {
	s, d := netip.MustParseAddr(src), netip.MustParseAddr(dst)
	b := make([]byte, wire.ICMPLen, wire.ICMPLen+len(body))
	b[0], b[1] = typ, code
	binary.BigEndian.PutUint16(b[4:], id)
	proto := uint8(wire.ProtoICMP)
	if s.Is6() {
		proto = wire.ProtoICMPv6
	}
	return ip(proto, s, d, append(b, body...), 2)
}

// A seg is a TCP segment. Its zero window is one of 1000.
type seg struct {
	flags    uint16
	seq, ack uint32
	n        int
	win      int // -1: zero
	opts     wire.TCPOptions
}

func tcp(src, dst string, g seg) []byte {
	s, d := ap(src), ap(dst)
	o := make([]byte, g.opts.Len())
	g.opts.Put(o)
	b := make([]byte, wire.TCPLen+len(o)+g.n)
	w := g.win
	switch w {
	case 0:
		w = 1000
	case -1:
		w = 0
	}
	wire.PutTCP(b, &wire.TCPFields{SrcPort: s.Port(), DstPort: d.Port(), Seq: g.seq, Ack: g.ack, Flags: g.flags, Window: uint16(w)}, len(o))
	copy(b[wire.TCPLen:], o)
	return ip(wire.ProtoTCP, s.Addr(), d.Addr(), b, 16)
}

// flagChoices are flags that segments have, the usual ones more often.
var flagChoices = []uint16{
	tcpSYN, tcpSYN | tcpACK, tcpACK, tcpACK, tcpACK, tcpACK | 8, tcpFIN | tcpACK, tcpRST, tcpRST | tcpACK, tcpFIN, tcpSYN | tcpRST, 0, tcpSYN | tcpFIN, tcpACK | 32,
}
