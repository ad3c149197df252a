package udp_test

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/lab"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/transport"
	"github.com/knitnet/knit/wire"
)

// A host is a kernel with UDP and one device, on which a test sends and receives
// single packets.
type host struct {
	k   *knit.Kernel
	dev *link.Device
	out [][]byte // what the kernel sent, from the IP header on
}

// A family is what differs between the two IP versions.
type family struct {
	name     string
	me, peer netip.Addr
	group    netip.Addr
	header   int
	stats    string
}

var families = [...]family{
	{"v4", netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.9"), netip.MustParseAddr("239.1.2.3"), wire.IPv4Len, "Udp"},
	{"v6", netip.MustParseAddr("fd00::1"), netip.MustParseAddr("fd00::9"), netip.MustParseAddr("ff05::1:3"), wire.IPv6Len, "Udp6"},
}

func each(t *testing.T, f func(t *testing.T, h *host, v family)) {
	for _, v := range families {
		t.Run(v.name, func(t *testing.T) { f(t, newHost(t), v) })
	}
}

func newHost(tb testing.TB) *host {
	h := &host{k: lab.Kernel(tb, clock.NewVirtual(), "udp", "icmp4", "icmp6")}
	var err error
	if h.dev, err = h.k.Link.Attach(link.Info{Name: "test0", Type: link.None, Flags: link.MulticastDev}, h); err != nil {
		tb.Fatal(err)
	}
	for _, v := range families {
		p := network.Addr{Prefix: netip.PrefixFrom(v.me, 24), Flags: network.NoDAD}
		if err := h.k.Network.AddAddr(h.dev, p); err != nil {
			tb.Fatal(err)
		}
	}
	if err := h.dev.SetUp(true); err != nil {
		tb.Fatal(err)
	}
	h.out = nil
	return h
}

// Transmit implements link.Driver.
func (h *host) Transmit(_ *link.Device, q *packet.Queue) {
	for pkt := q.Pop(); pkt != nil; pkt = q.Pop() {
		b := make([]byte, pkt.Len())
		pkt.CopyOut(0, b)
		h.out = append(h.out, b)
		pkt.Consume()
	}
}

// Open implements link.Driver.
func (*host) Open(*link.Device) error { return nil }

// Close implements link.Driver.
func (*host) Close(*link.Device) {}

// receive gives the kernel an IP packet.
func (h *host) receive(b []byte) { h.receiveMarked(b, false) }

// receiveMarked is receive, with a checksum that somebody else has verified or not.
func (h *host) receiveMarked(b []byte, trusted bool) {
	pkt := h.k.Pool.Get()
	pkt.Append(b)
	pkt.Ensure(min(len(b), 128))
	pkt.Proto = wire.EtherTypeIPv4
	if b[0]>>4 == 6 {
		pkt.Proto = wire.EtherTypeIPv6
	}
	if trusted {
		pkt.Csum = packet.CsumUnnecessary
	}
	var q packet.Queue
	q.Push(pkt)
	h.dev.Receive(&q)
}

// ip puts an IP header in front of a payload.
func ip(src, dst netip.Addr, proto uint8, payload []byte) []byte {
	if src.Is4() {
		b := make([]byte, wire.IPv4Len+len(payload))
		copy(b[wire.IPv4Len:], payload)
		wire.PutIPv4(b, &wire.IPv4Fields{TotalLen: uint16(len(b)), TTL: 64, Protocol: proto, Src: src.As4(), Dst: dst.As4()})
		return b
	}
	b := make([]byte, wire.IPv6Len+len(payload))
	copy(b[wire.IPv6Len:], payload)
	wire.PutIPv6(b, &wire.IPv6Fields{PayloadLen: uint16(len(payload)), HopLimit: 64, NextHeader: proto, Src: src.As16(), Dst: dst.As16()})
	return b
}

// datagram returns a whole packet.
func datagram(src, dst netip.AddrPort, payload string) []byte {
	u := make([]byte, wire.UDPLen+len(payload))
	wire.PutUDP(u, src.Port(), dst.Port(), len(payload))
	copy(u[wire.UDPLen:], payload)
	sum := wire.Sum(u, wire.Pseudo(src.Addr(), dst.Addr(), wire.ProtoUDP, len(u)))
	binary.BigEndian.PutUint16(u[6:], sum.FinishUDP())
	return ip(src.Addr(), dst.Addr(), wire.ProtoUDP, u)
}

// complain returns an ICMP error from the peer's router that quotes a packet. rest is
// the message's second word.
func complain(v family, typ, code uint8, rest uint32, quoted []byte) []byte {
	b := make([]byte, wire.ICMPLen+len(quoted))
	copy(b[wire.ICMPLen:], quoted)
	router, proto := v.peer.Next(), uint8(wire.ProtoICMP)
	pseudo := wire.PartialSum(0)
	if v.me.Is6() {
		proto = wire.ProtoICMPv6
		pseudo = wire.Pseudo(router, v.me, proto, len(b))
	}
	b[0], b[1] = typ, code
	binary.BigEndian.PutUint32(b[4:], rest)
	binary.BigEndian.PutUint16(b[2:], wire.Sum(b, pseudo).Finish())
	return ip(router, v.me, proto, b)
}

// counts returns the counters of a version.
func (h *host) counts(v family) map[string]uint64 {
	g, _ := h.k.Stats.Lookup(v.stats)
	m := map[string]uint64{}
	for _, f := range g.Fields {
		m[f.Name] = f.Load()
	}
	return m
}

type silent struct{}

func (silent) Wake(transport.Ready) {}

// open opens a socket.
func (h *host) open(t testing.TB, o transport.DatagramOptions, local netip.AddrPort) transport.Datagram {
	t.Helper()
	p, err := h.k.Transport.Datagram(transport.UDP)
	if err != nil {
		t.Fatal(err)
	}
	s, err := p.Open(o, local, silent{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// at is an address with a port.
func at(a netip.Addr, port uint16) netip.AddrPort { return netip.AddrPortFrom(a, port) }

// read returns the next datagram of a socket, or its error as text.
func read(s transport.Datagram) string {
	b := make([]byte, 70000)
	n, err := s.RecvFrom(b, new(transport.Message))
	if err != nil {
		return err.Error()
	}
	return string(b[:n])
}

// nothing is what read returns when there is nothing.
var nothing = transport.ErrWouldBlock.Error()
