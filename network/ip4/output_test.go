package ip4_test

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/knitnet/knit/core/hook"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/icmp4"
	"github.com/knitnet/knit/network/internal/hosttest"
	"github.com/knitnet/knit/network/ip4"
	"github.com/knitnet/knit/network/route"
	"github.com/knitnet/knit/wire"
)

// TestHeader lets another library read what was written.
func TestHeader(t *testing.T) {
	h, left, _ := host(t)
	h.Send(t, network.Send{Proto: wire.ProtoUDP, TTL: 9, TOS: 0x2e, Options: []byte{148, 4, 0, 0}}, "10.0.0.2", payload(100))
	p := gopacket.NewPacket(left.Take()[0], layers.LayerTypeIPv4, gopacket.Default)
	v, ok := p.NetworkLayer().(*layers.IPv4)
	if !ok {
		t.Fatal(p.ErrorLayer())
	}
	if v.TTL != 9 || v.TOS != 0x2e || v.Length != 124 || v.Flags != layers.IPv4DontFragment || v.Protocol != layers.IPProtocolUDP ||
		v.SrcIP.String() != "10.0.0.1" || v.DstIP.String() != "10.0.0.2" || len(v.Options) != 1 || v.Options[0].OptionType != 148 ||
		!bytes.Equal(v.Payload, payload(100)) {
		t.Errorf("written: %+v", v)
	}
}

// TestFragmentModes: what happens to packets that are larger than the path MTU.
func TestFragmentModes(t *testing.T) {
	const small, large, huge = 100, 1000, 1600 // the path MTU is 600, the device's 1500
	for _, c := range []struct {
		name string
		mode network.Fragment
		size int
		want int // packets
		df   bool
	}{
		{"want", network.FragmentWant, small, 1, true},
		{"want", network.FragmentWant, large, 2, false},
		{"dont", network.FragmentDont, small, 1, false},
		{"dont", network.FragmentDont, huge, 3, false},
		{"do", network.FragmentDo, small, 1, true},
		{"do", network.FragmentDo, large, 0, false},
		{"probe", network.FragmentProbe, large, 1, true},
		{"probe", network.FragmentProbe, huge, 0, false},
	} {
		h, left, _ := host(t)
		h.Send(t, network.Send{Proto: wire.ProtoUDP}, "10.0.0.2", payload(601-20))
		left.Take()
		h.Net.LearnMTU(netip.MustParseAddr("10.0.0.2"), 0, 600)
		h.Send(t, network.Send{Proto: wire.ProtoUDP, Fragment: c.mode}, "10.0.0.2", payload(c.size))
		sent := left.Take()
		if len(sent) != c.want {
			t.Errorf("%s, %d bytes: %d packets, want %d", c.name, c.size, len(sent), c.want)
			continue
		}
		if len(sent) == 0 {
			if h.Pool.Drops.Load(stat.PktTooBig) != 1 || h.Stat(t, "Ip", "FragFails") != 1 {
				t.Errorf("%s, %d bytes: drops %v", c.name, c.size, h.Pool.Drops.List())
			}
			continue
		}
		v, _ := wire.ParseIPv4(sent[0])
		if v.DF() != c.df {
			t.Errorf("%s, %d bytes: DF %v, want %v", c.name, c.size, v.DF(), c.df)
		}
		if c.want > 1 {
			if got := reassemble(t, h, sent, 600); len(got) < 20 || !bytes.Equal(got[20:], payload(c.size)) {
				t.Errorf("%s, %d bytes: fragments make %d bytes", c.name, c.size, len(got))
			}
		}
	}
}

// TestTooLong: no IPv4 packet is longer than 65535 bytes.
func TestTooLong(t *testing.T) {
	h, left, _ := host(t)
	h.Send(t, network.Send{Proto: wire.ProtoUDP}, "10.0.0.2", payload(65516))
	wantNothing(t, left)
	if h.Pool.Drops.Load(stat.PktTooBig) != 1 {
		t.Errorf("drops %v", h.Pool.Drops.List())
	}
	h.Send(t, network.Send{Proto: wire.ProtoUDP}, "10.0.0.2", payload(65515))
	if got := reassemble(t, h, left.Take(), 1500); len(got) != 65535 {
		t.Errorf("reassembled %d bytes", len(got))
	}
}

// TestFragmentsAndBack: to another host in fragments and put together there, the
// bytes are the same, whatever the MTU and the size.
func TestFragmentsAndBack(t *testing.T) {
	a, b := hosttest.New(t, ip4.Module, icmp4.Module), hosttest.New(t, ip4.Module, icmp4.Module)
	x, y := hosttest.Join(t, a, b, link.Info{}, "10.0.0.1/24", "10.0.0.2/24")
	sink := b.Sink(t, wire.ProtoUDP)
	for _, mtu := range []int{68, 69, 576, 1500, 9000, 65535} {
		for _, n := range []int{0, 1, 7, 8, 9, 555, 556, 557, 1479, 1480, 1481, 3000, 9999} {
			if mtu < 576 && n > 3000 {
				continue // more fragments than a datagram may have
			}
			x.SetMTU(mtu)
			y.SetMTU(mtu)
			sink.Packets = nil
			a.Send(t, network.Send{Proto: wire.ProtoUDP, TOS: 4}, "10.0.0.2", payload(n))
			if len(sink.Packets) != 1 || !bytes.Equal(sink.Packets[0][20:], payload(n)) {
				t.Fatalf("MTU %d, %d bytes: %d packets arrived", mtu, n, len(sink.Packets))
			}
			if m := sink.Metas[len(sink.Metas)-1]; m.L4-m.L3 != 20 {
				t.Errorf("MTU %d, %d bytes: L3 %d, L4 %d", mtu, n, m.L3, m.L4)
			}
		}
	}
}

// TestReassemblyTimeout: RFC 792: if the first fragment has arrived the source
// hears of it.
func TestReassemblyTimeout(t *testing.T) {
	h, left, _ := host(t)
	f := from("10.0.0.2", "10.0.0.1")
	f.MF, f.ID = true, 1
	first := hosttest.IPv4(f, payload(16))
	f.ID, f.FragOffset = 2, 16
	receive4(left, first, hosttest.IPv4(f, payload(16)))
	h.Advance(31 * time.Second)
	wantError(t, left, wire.ICMP4TimeExceeded, wire.ICMP4ReassemblyExceeded, first)
	if n := h.Stat(t, "Ip", "ReasmTimeout"); n != 2 {
		t.Errorf("ReasmTimeout is %d, want 2", n)
	}
}

func TestFragSettings(t *testing.T) {
	h, left, _ := host(t)
	for _, c := range []struct {
		name, value string
		ok          bool
	}{
		{"ipfrag_time", "5", true}, {"ipfrag_time", "0", false}, {"ipfrag_time", "x", false}, {"ipfrag_time", "5x", false},
		{"ipfrag_high_thresh", "100", false}, {"ipfrag_low_thresh", "5000000", false}, {"ipfrag_low_thresh", "100", true},
		{"ipfrag_high_thresh", "200000", true}, {"ipfrag_max_dist", "0", true}, {"ipfrag_max_dist", "-1", false},
		{"ip_default_ttl", "0", false}, {"ip_default_ttl", "256", false}, {"ip_default_ttl", "17", true},
	} {
		if err := h.Sysctl.Set("net.ipv4."+c.name, c.value); (err == nil) != c.ok {
			t.Errorf("%s=%s: %v", c.name, c.value, err)
		}
	}
	f := from("10.0.0.2", "10.0.0.1")
	f.MF = true
	receive4(left, hosttest.IPv4(f, payload(16)))
	h.Advance(6 * time.Second)
	if n := h.Stat(t, "Ip", "ReasmTimeout"); n != 1 {
		t.Errorf("ReasmTimeout is %d with ipfrag_time=5", n)
	}
	left.Take()
	h.Send(t, network.Send{Proto: wire.ProtoUDP}, "10.0.0.2", payload(1))
	if v, _ := wire.ParseIPv4(left.Take()[0]); v.TTL() != 17 {
		t.Errorf("TTL %d with ip_default_ttl=17", v.TTL())
	}
}

// TestIdentification: RFC 6864 §4.2: identifications of fragmentable datagrams to
// one destination do not repeat soon, and cannot be told from those to another.
func TestIdentification(t *testing.T) {
	h, left, _ := host(t)
	ids := func(dst string, n int) (out []uint16) {
		for range n {
			h.Send(t, network.Send{Proto: wire.ProtoUDP, Fragment: network.FragmentDont}, dst, payload(8))
			v, _ := wire.ParseIPv4(left.Take()[0])
			out = append(out, v.ID())
		}
		return out
	}
	seen := map[uint16]bool{}
	for _, id := range ids("10.0.0.2", 60000) {
		if seen[id] {
			t.Fatalf("identification %d twice in 60000 datagrams", id)
		}
		seen[id] = true
	}
	same := 0
	for i := range 50 {
		x := ids(netip.AddrFrom4([4]byte{10, 0, 0, byte(10 + 2*i)}).String(), 1)[0]
		y := ids(netip.AddrFrom4([4]byte{10, 0, 0, byte(11 + 2*i)}).String(), 1)[0]
		if d := y - x; d < 2 {
			same++
		}
	}
	if same > 5 {
		t.Errorf("%d of 50 neighbours have the same or the next identification", same)
	}
}

// TestHeaderIncluded: raw(7): the kernel writes length and checksum always, source
// and identification when they are zero.
func TestHeaderIncluded(t *testing.T) {
	h, left, _ := host(t)
	s := network.Send{Proto: wire.ProtoRaw, HeaderIncluded: true}
	f := wire.IPv4Fields{Dst: hosttest.A4("10.0.0.2"), Protocol: 99, TTL: 3, DF: true}
	b := hosttest.IPv4(f, payload(40))
	b[2], b[3], b[10], b[11] = 0, 0, 1, 2 // length and checksum as the application left them
	h.Send(t, s, "10.0.0.2", b)
	v, ok := wire.ParseIPv4(left.Take()[0])
	if !ok || !v.ChecksumOK() || v.TotalLen() != 60 || v.Src4() != hosttest.A4("10.0.0.1") || v.ID() == 0 || v.TTL() != 3 || !v.DF() {
		t.Errorf("sent %+v", v.Fields())
	}
	f.Src, f.ID = hosttest.A4("192.0.2.9"), 77
	h.Send(t, s, "10.0.0.2", hosttest.IPv4(f, payload(40)))
	if v, _ := wire.ParseIPv4(left.Take()[0]); v.Src4() != f.Src || v.ID() != 77 {
		t.Errorf("source %v and identification %d were changed", v.Src(), v.ID())
	}
	for name, bad := range map[string][]byte{
		"short": payload(19), "no header length": append([]byte{0x44}, make([]byte, 30)...),
		"options beyond the end": append([]byte{0x4f}, make([]byte, 30)...), "too large": hosttest.IPv4(f, payload(1481)),
	} {
		h.Send(t, s, "10.0.0.2", bad)
		if sent := left.Take(); len(sent) != 0 {
			t.Errorf("%s: sent % x", name, sent)
		}
	}
	if n := h.Stat(t, "Ip", "OutDiscards"); n != 4 {
		t.Errorf("OutDiscards is %d", n)
	}
}

// TestMulticastOut: RFC 1112 §6.1: a TTL of 1 unless told otherwise, and a copy for
// the members on this host unless the sender does not want that.
func TestMulticastOut(t *testing.T) {
	h, left, _ := host(t)
	sink := h.Sink(t, wire.ProtoUDP)
	group := netip.MustParseAddr("239.1.1.1")
	send := func(noLoop bool) (copies int) {
		sink.Packets = nil
		path, err := h.Net.Resolve(network.Flow{Dst: group, Index: left.Dev.Index()})
		if err != nil {
			t.Fatal(err)
		}
		h.Send(t, network.Send{Path: path, Proto: wire.ProtoUDP, NoLoop: noLoop}, "", payload(20))
		sent := left.Take()
		if len(sent) != 1 {
			t.Fatalf("%d packets were sent", len(sent))
		}
		if v, _ := wire.ParseIPv4(sent[0]); v.TTL() != 1 {
			t.Errorf("TTL %d, want 1", v.TTL())
		}
		return len(sink.Packets)
	}
	if n := send(false); n != 0 {
		t.Errorf("%d copies without a member", n)
	}
	m, err := h.Net.Join(left.Dev, group, network.Filter{Exclude: true})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Leave()
	if n := send(false); n != 1 {
		t.Fatalf("%d copies for a member, want 1", n)
	}
	if k := sink.Metas[len(sink.Metas)-1]; k.Kind != packet.Multicast || k.In != left.Dev.Index() {
		t.Errorf("the copy came as kind %d by %d", k.Kind, k.In)
	}
	if n := send(true); n != 0 {
		t.Errorf("%d copies that the sender did not want", n)
	}
}

// TestTTLZero: "a datagram with a TTL of zero ... is not sent on any link"; only a
// raw socket can make one.
func TestTTLZero(t *testing.T) {
	h, left, _ := host(t)
	path, err := h.Net.Resolve(network.Flow{Dst: netip.MustParseAddr("224.0.0.1"), Index: left.Dev.Index()})
	if err != nil {
		t.Fatal(err)
	}
	sink := h.Sink(t, wire.ProtoUDP)
	b := hosttest.IPv4(from("10.0.0.1", "224.0.0.1"), payload(8))
	b[8] = 0
	h.Send(t, network.Send{Path: path, HeaderIncluded: true}, "", b)
	wantNothing(t, left)
	if len(sink.Packets) != 1 {
		t.Errorf("%d copies inside", len(sink.Packets))
	}
}

// TestBroadcastOut: the host hears its own broadcasts.
func TestBroadcastOut(t *testing.T) {
	h, left, _ := host(t)
	sink := h.Sink(t, wire.ProtoUDP)
	h.Send(t, network.Send{Proto: wire.ProtoUDP}, "10.0.0.255", payload(20))
	if n := len(left.Take()); n != 1 || len(sink.Packets) != 1 {
		t.Errorf("%d sent, %d heard", n, len(sink.Packets))
	}
	path, err := h.Net.Resolve(network.Flow{Dst: netip.MustParseAddr("255.255.255.255"), Index: left.Dev.Index()})
	if err != nil {
		t.Fatal(err)
	}
	h.Send(t, network.Send{Path: path, Proto: wire.ProtoUDP}, "", payload(20))
	if n := len(left.Take()); n != 1 || len(sink.Packets) != 2 {
		t.Errorf("limited broadcast: %d sent, %d heard", n, len(sink.Packets))
	}
	if h.Stat(t, "IpExt", "OutBcastPkts") != 2 {
		t.Error("OutBcastPkts")
	}
}

// TestLocalDelivery: to itself by any of its addresses.
func TestLocalDelivery(t *testing.T) {
	h, left, right := host(t)
	sink := h.Sink(t, wire.ProtoUDP)
	for _, dst := range []string{"127.0.0.1", "127.1.2.3", "10.0.0.1", "10.0.1.1"} {
		sink.Packets = nil
		h.Send(t, network.Send{Proto: wire.ProtoUDP}, dst, payload(60000))
		if len(sink.Packets) != 1 || !bytes.Equal(sink.Packets[0][20:], payload(60000)) {
			t.Errorf("%s: %d delivered", dst, len(sink.Packets))
		}
	}
	wantNothing(t, left)
	wantNothing(t, right)
}

// TestOutputReroutes: a hook that changes the destination and asks for it changes the way.
func TestOutputReroutes(t *testing.T) {
	h, left, right := host(t)
	hooks := &h.Net.Hooks[network.V4]
	var out []int32
	defer hooks.Postrouting.Add(hook.Entry{Func: func(pkt *packet.Packet) hook.Verdict {
		out = append(out, pkt.Out)
		return hook.Accept
	}})()
	undo := hooks.Output.Add(hook.Entry{Func: func(pkt *packet.Packet) hook.Verdict {
		v, _ := wire.ParseIPv4(pkt.Head())
		if v.Payload()[0] == 1 {
			v.SetDst4(hosttest.A4("10.0.1.2"))
			pkt.Reroute = true
		}
		return hook.Accept
	}})
	h.Send(t, network.Send{Proto: wire.ProtoUDP}, "10.0.0.2", []byte{0, 0, 0, 0})
	h.Send(t, network.Send{Proto: wire.ProtoUDP}, "10.0.0.2", []byte{1, 0, 0, 0})
	if l, r := left.Take(), right.Take(); len(l) != 1 || len(r) != 1 {
		t.Errorf("%d by left, %d by right", len(l), len(r))
	}
	if len(out) != 2 || out[0] != left.Dev.Index() || out[1] != right.Dev.Index() {
		t.Errorf("Postrouting saw devices %v", out)
	}
	undo()
	undo = hooks.Output.Add(hook.Entry{Func: func(pkt *packet.Packet) hook.Verdict {
		v, _ := wire.ParseIPv4(pkt.Head())
		v.SetDst4(hosttest.A4("192.0.2.1"))
		pkt.Reroute = true
		return hook.Accept
	}})
	defer undo()
	h.Send(t, network.Send{Proto: wire.ProtoUDP}, "10.0.0.2", []byte{0, 0, 0, 0})
	if h.Stat(t, "Ip", "OutNoRoutes") != 1 || h.Pool.Drops.Load(stat.IPOutNoRoutes) != 1 {
		t.Errorf("no route after the hook: drops %v", h.Pool.Drops.List())
	}
}

// TestOutputReroutesBound: a packet that is bound to a device leaves by it after a
// hook has changed its destination or its mark, too.
func TestOutputReroutesBound(t *testing.T) {
	h, left, right := host(t)
	defer h.Net.Hooks[network.V4].Output.Add(hook.Entry{Func: func(pkt *packet.Packet) hook.Verdict {
		v, _ := wire.ParseIPv4(pkt.Head())
		if v.Payload()[0] == 1 {
			v.SetDst4(hosttest.A4("192.0.2.1"))
		} else {
			pkt.Mark = 7
		}
		pkt.Reroute = true
		return hook.Accept
	}})()
	for _, p := range []*hosttest.Port{left, right} {
		r := route.Route{
			Dst: netip.MustParsePrefix("192.0.2.0/24"), Metric: uint32(p.Dev.Index()),
			NextHops: []route.NextHop{{Index: p.Dev.Index()}},
		}
		if err := h.Net.AddRoute(r, route.Create); err != nil {
			t.Fatal(err)
		}
	}
	path, err := h.Net.Resolve(network.Flow{Dst: netip.MustParseAddr("192.0.2.9"), Index: right.Dev.Index()})
	if err != nil {
		t.Fatal(err)
	}
	for what, b := range map[string]byte{"destination": 1, "mark": 0} {
		h.Send(t, network.Send{Proto: wire.ProtoUDP, Path: path}, "", []byte{b, 0, 0, 0})
		if l, r := left.Take(), right.Take(); len(l) != 0 || len(r) != 1 {
			t.Errorf("changed %s: %d by left, %d by right, want it by right", what, len(l), len(r))
		}
	}
}

// TestNoHops: a TTL of 0 keeps what is sent to a group in this host.
func TestNoHops(t *testing.T) {
	h, left, _ := host(t)
	sink := h.Sink(t, wire.ProtoUDP)
	m, err := h.Net.Join(left.Dev, netip.MustParseAddr("239.1.2.3"), network.Filter{Exclude: true})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Leave()
	path, err := h.Net.Resolve(network.Flow{Dst: m.Group(), Index: left.Dev.Index()})
	if err != nil {
		t.Fatal(err)
	}
	h.Send(t, network.Send{Proto: wire.ProtoUDP, Path: path, NoHops: true}, "", payload(8))
	wantNothing(t, left)
	if len(sink.Packets) != 1 || sink.Packets[0][8] != 0 {
		t.Fatalf("% x were delivered, want one packet with a TTL of 0", sink.Packets)
	}
	h.Send(t, network.Send{Proto: wire.ProtoUDP, Path: path}, "", payload(8))
	if sent := left.Take(); len(sent) != 1 || sent[0][8] != 1 {
		t.Errorf("sent % x, want one packet with a TTL of 1", sent)
	}
}

// TestMultipath: flows spread over next hops, each flow stays on one.
func TestMultipath(t *testing.T) {
	h, left, right := router(t)
	in := h.Port(t, link.Info{Name: "in"}, "10.0.2.1/24")
	if err := h.Net.AddRoute(route.Route{Dst: netip.MustParsePrefix("192.0.2.0/24"), NextHops: []route.NextHop{
		{Gateway: netip.MustParseAddr("10.0.0.2")}, {Gateway: netip.MustParseAddr("10.0.1.2")},
	}}, route.Create); err != nil {
		t.Fatal(err)
	}
	var l, r int
	for i := range 200 {
		f := from(netip.AddrFrom4([4]byte{10, 0, 2, byte(i/2 + 2)}).String(), "192.0.2.1")
		receive4(in, hosttest.IPv4(f, payload(8)), hosttest.IPv4(f, payload(8)))
		a, b := len(left.Take()), len(right.Take())
		if a+b != 2 || a == 1 {
			t.Fatalf("flow %d: %d by left, %d by right", i, a, b)
		}
		l, r = l+a, r+b
	}
	if l < 100 || r < 100 {
		t.Errorf("%d by left, %d by right: not spread", l, r)
	}
}
