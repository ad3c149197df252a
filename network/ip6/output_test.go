package ip6_test

import (
	"context"
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/internal/ip6test"
	"github.com/knitnet/knit/wire"
)

// A sink keeps what a protocol is given.
type sink struct {
	packets [][]byte
	kinds   []packet.Kind
	errors  []network.Error
}

func (s *sink) Input(q *packet.Queue) {
	for pkt := q.Pop(); pkt != nil; pkt = q.Pop() {
		b := make([]byte, pkt.Len())
		pkt.CopyOut(0, b)
		s.packets, s.kinds = append(s.packets, b), append(s.kinds, pkt.Kind)
		pkt.Consume()
	}
}

func (s *sink) Error(e *network.Error) { s.errors = append(s.errors, *e) }

const testProto = 253 // RFC 3692

func newSink(t *testing.T, k *ip6test.Kernel) *sink {
	t.Helper()
	s := new(sink)
	undo, err := k.Net.Handle(network.V6, testProto, s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(undo)
	return s
}

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 7)
	}
	return b
}

// TestFragmentation: what is larger than the path MTU arrives whole if it may be cut,
// and is not sent if it may not.
func TestFragmentation(t *testing.T) {
	w := ip6test.NewNet(t, 2)
	a, b := w.Hosts[0], w.Hosts[1]
	got := newSink(t, b.Kernel)
	flow := network.Flow{Dst: ip6test.IP(2)}
	for _, n := range []int{0, 1, 1460, 1461, 3000, 65535} {
		got.packets = nil
		want := pattern(n)
		a.Send(flow, network.Send{Proto: testProto}, want)
		if len(got.packets) != 1 || string(got.packets[0]) != string(want) {
			t.Errorf("%d bytes: %d packets arrive", n, len(got.packets))
		}
		for _, f := range w.Ether.Frames() {
			if len(f) > 1514 {
				t.Errorf("a frame of %d bytes", len(f))
			}
		}
	}
	if a.Stat("Ip6", "FragOKs") != 3 {
		t.Errorf("FragOKs %d, want 3", a.Stat("Ip6", "FragOKs"))
	}
	got.packets = nil
	a.Send(flow, network.Send{Proto: testProto, Fragment: network.FragmentDo}, pattern(1461))
	if len(got.packets) != 0 || a.Stat("Ip6", "FragFails") != 1 {
		t.Error("FragmentDo was cut")
	}
	// FragmentProbe ignores the path MTU, but not the device's.
	a.Net.LearnMTU(ip6test.IP(2), 0, 1280)
	a.Send(flow, network.Send{Proto: testProto, Fragment: network.FragmentProbe}, pattern(1460))
	a.Send(flow, network.Send{Proto: testProto, Fragment: network.FragmentProbe}, pattern(1461))
	if len(got.packets) != 1 {
		t.Errorf("%d probes arrive, want that of 1460 bytes", len(got.packets))
	}
	a.Send(flow, network.Send{Proto: testProto}, pattern(1460))
	for _, f := range w.Ether.Frames()[1:] {
		if len(f) > 1280+14 {
			t.Errorf("a frame of %d bytes after the path MTU became 1280", len(f))
		}
	}
}

// TestFragmentIDs differ within a destination (RFC 7739).
func TestFragmentIDs(t *testing.T) {
	w := ip6test.NewNet(t, 1)
	seen := map[uint32]bool{}
	for range 20 {
		w.Hosts[0].Send(network.Flow{Dst: ip6test.Stranger}, network.Send{Proto: testProto}, pattern(2000))
		f := w.Ether.Frames()
		if len(f) != 2 {
			t.Fatalf("%d frames", len(f))
		}
		id := binary.BigEndian.Uint32(f[0][14+40+4:])
		if seen[id] {
			t.Fatalf("identification %d twice", id)
		}
		seen[id] = true
	}
}

// TestFlowLabels: packets of a flow have the same label, which is not zero, and two
// flows mostly differ (RFC 6437 §3).
func TestFlowLabels(t *testing.T) {
	w := ip6test.NewNet(t, 1)
	label := func(sport uint16, fixed uint32) uint32 {
		b := make([]byte, wire.UDPLen)
		wire.PutUDP(b, sport, 53, len(b))
		w.Hosts[0].Send(network.Flow{Dst: ip6test.Stranger}, network.Send{Proto: wire.ProtoUDP, FlowLabel: fixed}, b)
		ip, _ := wire.ParseIPv6(w.Ether.Frames()[0][14:])
		return ip.FlowLabel()
	}
	labels := map[uint32]bool{}
	for port := range uint16(50) {
		l := label(port, 0)
		if l == 0 || l != label(port, 0) {
			t.Fatalf("label %#x of port %d is zero or changes", l, port)
		}
		labels[l] = true
	}
	if len(labels) < 48 {
		t.Errorf("50 flows have %d labels", len(labels))
	}
	if l := label(1, 0xabcde); l != 0xabcde {
		t.Errorf("label %#x, want the one asked for", l)
	}
}

// TestHopLimits: the default, that of groups, and that a router advertises.
func TestHopLimits(t *testing.T) {
	w := ip6test.NewNet(t, 1)
	a := w.Hosts[0]
	hops := func(dst netip.Addr, ttl uint8) uint8 {
		a.Send(network.Flow{Dst: dst, Index: a.Dev.Index()}, network.Send{Proto: testProto, TTL: ttl}, nil)
		ip, _ := wire.ParseIPv6(w.Ether.Frames()[0][14:])
		return ip.HopLimit()
	}
	group := netip.MustParseAddr("ff02::77")
	if u, m, x := hops(ip6test.Stranger, 0), hops(group, 0), hops(group, 9); u != 64 || m != 1 || x != 9 {
		t.Errorf("hop limits %d, %d, %d, want 64, 1, 9", u, m, x)
	}
	a.Set("net.ipv6.conf.eth0.hop_limit", "77")
	if n := hops(ip6test.Stranger, 0); n != 77 {
		t.Errorf("hop limit %d, want 77", n)
	}
}

// TestMulticastLoop: members on this host get a copy unless the sender does not want
// it, and what has interface-local scope does not leave.
func TestMulticastLoop(t *testing.T) {
	w := ip6test.NewNet(t, 2)
	a, b := w.Hosts[0], w.Hosts[1]
	own, other := newSink(t, a.Kernel), newSink(t, b.Kernel)
	for _, h := range w.Hosts {
		for _, g := range []string{"ff0e::7", "ff01::7"} {
			if _, err := h.Net.Join(h.Dev, netip.MustParseAddr(g), network.Filter{Exclude: true}); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.Settle()
	for _, tt := range []struct {
		group      string
		noLoop     bool
		noHops     bool
		own, other int
	}{{"ff0e::7", false, false, 1, 1}, {"ff0e::7", true, false, 0, 1}, {"ff01::7", false, false, 1, 0}, {"ff0e::8", false, false, 0, 0}, {"ff0e::7", false, true, 1, 0}} {
		own.packets, other.packets = nil, nil
		a.Send(network.Flow{Dst: netip.MustParseAddr(tt.group), Index: a.Dev.Index()},
			network.Send{Proto: testProto, NoLoop: tt.noLoop, NoHops: tt.noHops}, pattern(2000))
		if len(own.packets) != tt.own || len(other.packets) != tt.other {
			t.Errorf("%s, no loop %v, no hops %v: %d here, %d there, want %d, %d", tt.group, tt.noLoop, tt.noHops, len(own.packets), len(other.packets), tt.own, tt.other)
		}
	}
}

// TestLoopback: what a host sends to itself, by ::1 or by an address of a device,
// arrives over lo.
func TestLoopback(t *testing.T) {
	w := ip6test.NewNet(t, 1)
	a := w.Hosts[0]
	got := newSink(t, a.Kernel)
	for _, dst := range []netip.Addr{netip.IPv6Loopback(), ip6test.IP(1), a.LinkLocal(a.Dev)} {
		got.packets = nil
		a.Send(network.Flow{Dst: dst, Index: 0}, network.Send{Proto: testProto}, pattern(60000))
		if len(got.packets) != 1 || len(got.packets[0]) != 60000 {
			t.Errorf("to %v: %d packets", dst, len(got.packets))
		}
	}
	if n := len(w.Ether.Frames()); n != 0 {
		t.Errorf("%d frames on the wire", n)
	}
}

// TestNoAllocation on the way of an echo request in and its answer out, of a packet
// forwarded, and of one sent.
func TestNoAllocation(t *testing.T) {
	if ip6test.Race {
		t.Skip("the race detector makes sync.Pool forget")
	}
	w := ip6test.NewNet(t, 1)
	a := w.Hosts[0]
	a.Set("net.ipv6.conf.all.forwarding", "1")
	w.Settle()
	var q packet.Queue
	in := func(ip []byte) func() {
		return func() {
			pkt := a.Pool.Get()
			copy(pkt.Extend(len(ip)), ip)
			pkt.Proto, pkt.In, pkt.L3 = wire.EtherTypeIPv6, a.Dev.Index(), uint16(pkt.Offset())
			q.Push(pkt)
			a.Net.Family(network.V6).(link.Handler).Input(a.Dev, &q)
		}
	}
	path, err := a.Net.Resolve(network.Flow{Dst: ip6test.Stranger})
	if err != nil {
		t.Fatal(err)
	}
	s := network.Send{Path: path, Proto: testProto}
	group := netip.MustParseAddr("ff02::123")
	member, err := a.Net.Join(a.Dev, group, network.Filter{Exclude: true})
	if err != nil {
		t.Fatal(err)
	}
	defer member.Leave()
	toGroup, err := a.Net.Resolve(network.Flow{Dst: group, Index: a.Dev.Index()})
	if err != nil {
		t.Fatal(err)
	}
	g := network.Send{Path: toGroup, Proto: testProto}
	w.Ether.Discard = true
	for name, f := range map[string]func(){
		"echo":    in(ip6test.ICMP(ip6test.Stranger, ip6test.IP(1), 64, ip6test.Echo(10))),
		"forward": in(ip6test.ICMP(ip6test.IP(8), ip6test.Stranger, 64, ip6test.Echo(10))),
		"options": in(ip6test.Packet(ip6test.Stranger, ip6test.IP(1), hop, 64, options(wire.ProtoNoNext, 5, 2, 0, 0))),
		"output":  func() { q.Push(a.Pool.Get()); a.Net.Send(&s, &q) },
		"group":   func() { q.Push(a.Pool.Get()); a.Net.Send(&g, &q) },
	} {
		if n := testing.AllocsPerRun(500, f); n != 0 {
			t.Errorf("%s: %v allocations per packet, want 0", name, n)
		}
	}
}

// TestUnload: the modules go while their addresses and routes are in use, and come
// again.
func TestUnload(t *testing.T) {
	w := ip6test.NewNet(t, 2)
	a := w.Hosts[0]
	ctx := context.Background()
	for _, name := range []string{"mld", "ndp", "icmp6", "ip6"} {
		if err := a.Modules.Unload(ctx, name); err != nil {
			t.Fatal(err)
		}
	}
	for _, x := range a.Net.Addrs(a.Dev.Index()) {
		t.Errorf("address %v is left", x.Prefix)
	}
	for _, name := range []string{"ip6", "icmp6", "ndp", "mld"} {
		if err := a.Modules.Load(ctx, name); err != nil {
			t.Fatal(err)
		}
	}
	a.Addr(a.Dev, ip6test.Prefix(1))
	w.Settle()
	got := newSink(t, w.Hosts[1].Kernel)
	a.Send(network.Flow{Dst: ip6test.IP(2)}, network.Send{Proto: testProto}, pattern(10))
	if len(got.packets) != 1 {
		t.Error("nothing arrives after the modules came again")
	}
}
