package nat64_test

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/internal/leak"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/route"
	"github.com/knitnet/knit/std"
	"github.com/knitnet/knit/wire"
)

// A rig is a translating kernel in virtual time between two wires, on which the test
// sees and puts single packets.
type rig struct {
	t               testing.TB
	clock           *clock.Clock
	k               *knit.Kernel
	inside, outside *port
}

// A port is the far end of a device of the kernel.
type port struct {
	dev   *link.Device
	sent  [][]byte
	quiet bool // nothing is kept
}

func (p *port) Open(*link.Device) error { return nil }
func (p *port) Close(*link.Device)      {}

// Transmit implements link.Driver.
func (p *port) Transmit(_ *link.Device, q *packet.Queue) {
	if p.quiet {
		q.Consume()
		return
	}
	for pkt := q.Pop(); pkt != nil; pkt = q.Pop() {
		link.CompleteChecksum(pkt)
		b := make([]byte, pkt.Len())
		pkt.CopyOut(0, b)
		p.sent = append(p.sent, b)
		pkt.Consume()
	}
}

// take returns what the kernel has sent since the last call.
func (p *port) take() [][]byte {
	sent := p.sent
	p.sent = nil
	return sent
}

// put gives the kernel a packet.
func (p *port) put(b []byte) { p.putIn(new(packet.Queue), b) }

// putIn is put with a queue that can be used again.
func (p *port) putIn(q *packet.Queue, b []byte) {
	pkt := p.dev.Layer().Pool.Get()
	pkt.Append(b)
	pkt.Proto = wire.EtherTypeIPv4
	if b[0]>>4 == 6 {
		pkt.Proto = wire.EtherTypeIPv6
	}
	q.Push(pkt)
	p.dev.Receive(q)
}

// Addresses of the rig. client and other are hosts inside, server and peer outside.
const (
	client, other = "2001:db8:6::2", "2001:db8:6::3"
	server, peer  = "8.8.8.8", "8.8.4.4"
	own4, own6    = "8.8.8.1", "2001:db8:6::1"
	pool          = "9.9.9.9"
)

func newRig(t testing.TB, params ...string) *rig {
	t.Helper()
	leak.Check(t)
	r := &rig{t: t, clock: clock.NewVirtual()}
	k, err := knit.New(knit.Config{Modules: std.Modules(), Clock: r.clock})
	if err != nil {
		t.Fatal(err)
	}
	r.k = k
	leak.Zero(t, "packets", k.Pool.Live)
	leak.Zero(t, "buffers", k.Pool.LiveBufs)
	leak.Zero(t, "oopses", k.Log.Oopses)
	t.Cleanup(func() { k.Close() })
	for _, m := range []string{"ip4", "ip6", "icmp4", "icmp6"} {
		r.try(k.Modprobe(ctx, m))
	}
	for name, value := range map[string]string{
		"net.ipv4.ip_forward": "1", "net.ipv6.conf.all.forwarding": "1", "net.ipv4.icmp_ratelimit": "0", "net.ipv6.icmp.ratelimit": "0",
	} {
		r.try(k.Sysctl.Set(name, value))
	}
	r.inside, r.outside = r.attach("in0", own6+"/64"), r.attach("out0", own4+"/24")
	r.try(k.Network.AddRoute(route.Route{
		Dst: netip.PrefixFrom(netip.IPv4Unspecified(), 0), NextHops: []route.NextHop{{Index: r.outside.dev.Index()}},
	}, route.Create))
	if params == nil {
		params = []string{"pool4=" + pool}
	}
	r.try(k.Modprobe(ctx, "nat64", params...))
	r.inside.take()
	r.outside.take()
	return r
}

func (r *rig) try(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) attach(name, addr string) *port {
	r.t.Helper()
	p := &port{}
	dev, err := r.k.Link.Attach(link.Info{Name: name, Type: link.None, Without: link.MulticastDev, Features: link.TxCsum}, p)
	r.try(err)
	p.dev = dev
	r.try(r.k.Network.AddAddr(dev, network.Addr{Prefix: netip.MustParsePrefix(addr), Flags: network.NoDAD}))
	r.try(dev.SetUp(true))
	r.t.Cleanup(dev.Detach)
	return p
}

// translated puts a packet in at one side and returns the one packet that comes out at
// the other.
func (r *rig) translated(from, to *port, b []byte) []byte {
	r.t.Helper()
	from.put(b)
	sent := to.take()
	if len(sent) != 1 {
		r.t.Fatalf("%d packets came out, want 1; at the same side %x; drops %v", len(sent), from.take(), r.k.Pool.Drops.List())
	}
	return sent[0]
}

func (r *rig) out(b []byte) []byte { r.t.Helper(); return r.translated(r.inside, r.outside, b) }
func (r *rig) in(b []byte) []byte  { r.t.Helper(); return r.translated(r.outside, r.inside, b) }

// dropped puts a packet in and wants nothing to come out at the other side. It returns
// the answer, if there is one.
func (r *rig) dropped(from *port, b []byte) []byte {
	r.t.Helper()
	to := r.outside
	if from == r.outside {
		to = r.inside
	}
	from.put(b)
	if sent := to.take(); len(sent) > 0 {
		r.t.Errorf("this came out: %x", sent)
	}
	answers := from.take()
	if len(answers) == 0 {
		return nil
	}
	return answers[0]
}

// icmpOf returns type and code of an answer, or -1.
func icmpOf(b []byte) (typ, code int) {
	switch {
	case len(b) > 48 && b[0]>>4 == 6 && b[6] == wire.ProtoICMPv6:
		return int(b[40]), int(b[41])
	case len(b) > 28 && b[0]>>4 == 4 && b[9] == wire.ProtoICMP:
		return int(b[20]), int(b[21])
	}
	return -1, -1
}

// reason returns how many packets were dropped for a reason.
func (r *rig) reason(name string) (n uint64) {
	for _, d := range r.k.Pool.Drops.List() {
		if d.Reason == "SKB_DROP_REASON_"+name {
			n = d.Count
		}
	}
	return n
}

func (r *rig) advance(d time.Duration) { r.clock.Advance(d) }

// embed is the address of an IPv4 host for those inside.
func embed(a string) string {
	b := netip.MustParseAddr("64:ff9b::").As16()
	v4 := netip.MustParseAddr(a).As4()
	copy(b[12:], v4[:])
	return netip.AddrFrom16(b).String()
}

// ip returns an IP packet of either version around a transport header and payload,
// whose checksum is put at offset at.
func ip(src, dst string, proto uint8, at int, t []byte) []byte {
	s, d := netip.MustParseAddr(src), netip.MustParseAddr(dst)
	t = slices.Clone(t)
	sum := wire.Sum(t, wire.Pseudo(s, d, proto, len(t)))
	if proto == wire.ProtoICMP {
		sum = wire.Sum(t, 0)
	}
	binary.BigEndian.PutUint16(t[at:], sum.FinishAt(at))
	if s.Is4() {
		b := make([]byte, wire.IPv4Len)
		wire.PutIPv4(b, &wire.IPv4Fields{TTL: 64, Protocol: proto, DF: true, TotalLen: uint16(wire.IPv4Len + len(t)), Src: s.As4(), Dst: d.As4()})
		return append(b, t...)
	}
	b := make([]byte, wire.IPv6Len)
	wire.PutIPv6(b, &wire.IPv6Fields{HopLimit: 64, NextHeader: proto, PayloadLen: uint16(len(t)), Src: s.As16(), Dst: d.As16()})
	return append(b, t...)
}

func udp(src string, sp uint16, dst string, dp uint16, payload string) []byte {
	t := make([]byte, wire.UDPLen)
	wire.PutUDP(t, sp, dp, len(payload))
	return ip(src, dst, wire.ProtoUDP, wire.UDPChecksumOffset, append(t, payload...))
}

func tcp(src string, sp uint16, dst string, dp uint16, flags uint16) []byte {
	t := make([]byte, wire.TCPLen)
	wire.PutTCP(t, &wire.TCPFields{SrcPort: sp, DstPort: dp, Flags: flags, Window: 100}, 0)
	return ip(src, dst, wire.ProtoTCP, wire.TCPChecksumOffset, t)
}

// echo returns an echo request, or reply, of the version of its addresses.
func echo(src, dst string, id uint16, reply bool) []byte {
	t := make([]byte, wire.ICMPLen)
	if netip.MustParseAddr(src).Is4() {
		typ := uint8(wire.ICMP4Echo)
		if reply {
			typ = wire.ICMP4EchoReply
		}
		wire.PutICMP4(t, typ, 0, wire.ICMPEchoRest(id, 1))
		return ip(src, dst, wire.ProtoICMP, 2, t)
	}
	typ := uint8(wire.ICMP6Echo)
	if reply {
		typ = wire.ICMP6EchoReply
	}
	wire.PutICMP6(t, typ, 0, wire.ICMPEchoRest(id, 1))
	return ip(src, dst, wire.ProtoICMPv6, 2, t)
}

// ends returns the addresses and ports of a packet.
func ends(b []byte) (src, dst netip.AddrPort) {
	if b[0]>>4 == 4 {
		h, _ := wire.ParseIPv4(b)
		t := b[h.HeaderLen():]
		return netip.AddrPortFrom(h.Src(), binary.BigEndian.Uint16(t)), netip.AddrPortFrom(h.Dst(), binary.BigEndian.Uint16(t[2:]))
	}
	h, _ := wire.ParseIPv6(b)
	_, off, _, _ := h.Upper()
	t := b[off:]
	return netip.AddrPortFrom(h.Src(), binary.BigEndian.Uint16(t)), netip.AddrPortFrom(h.Dst(), binary.BigEndian.Uint16(t[2:]))
}
