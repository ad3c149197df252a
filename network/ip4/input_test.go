package ip4_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/knitnet/knit/core/hook"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/internal/hosttest"
	"github.com/knitnet/knit/wire"
)

// TestHeaderChecks holds the sentences of RFC 1122 §3.2.1.
func TestHeaderChecks(t *testing.T) {
	damage := func(at int, v byte) func([]byte) []byte {
		return func(b []byte) []byte { b[at] = v; return b }
	}
	for _, c := range []struct {
		name    string
		change  func([]byte) []byte
		counter string
		reason  stat.Reason
	}{
		{"A datagram whose version number is not 4 MUST be silently discarded", damage(0, 0x55), "InHdrErrors", stat.IPInHdr},
		{"header shorter than 20 bytes", damage(0, 0x44), "InHdrErrors", stat.IPInHdr},
		{"header longer than the packet", damage(0, 0x4f), "InHdrErrors", stat.IPInHdr},
		{"A host MUST verify the IP header checksum", damage(8, 3), "InHdrErrors", stat.IPCsum},
		{"cut short", func(b []byte) []byte { return b[:25] }, "", stat.PktTooSmall},
		{"shorter than a header", func(b []byte) []byte { return b[:19] }, "InHdrErrors", stat.PktTooSmall},
		{"total length below header length", func(b []byte) []byte {
			binary.BigEndian.PutUint16(b[2:], 10)
			return b
		}, "InHdrErrors", stat.IPInHdr},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, left, _ := host(t)
			sink := h.Sink(t, wire.ProtoUDP)
			receive4(left, c.change(hosttest.IPv4(from("10.0.0.2", "10.0.0.1"), payload(8))))
			if len(sink.Packets) != 0 || h.Pool.Drops.Load(c.reason) != 1 {
				t.Errorf("delivered %d, dropped %v", len(sink.Packets), h.Pool.Drops.List())
			}
			if c.counter != "" && h.Stat(t, "Ip", c.counter) != 1 {
				t.Errorf("%s is %d, want 1", c.counter, h.Stat(t, "Ip", c.counter))
			}
			wantNothing(t, left)
		})
	}
}

func TestPaddingIsCutOff(t *testing.T) {
	h, left, _ := host(t)
	sink := h.Sink(t, wire.ProtoUDP)
	b := hosttest.IPv4(from("10.0.0.2", "10.0.0.1"), payload(10))
	receive4(left, append(bytes.Clone(b), make([]byte, 18)...))
	if len(sink.Packets) != 1 || !bytes.Equal(sink.Packets[0], b) {
		t.Errorf("delivered % x, want % x", sink.Packets, b)
	}
}

// TestAddresses: which pairs of addresses may come in from a link.
func TestAddresses(t *testing.T) {
	h, left, _ := host(t)
	sink := h.Sink(t, wire.ProtoUDP)
	m, err := h.Net.Join(left.Dev, netip.MustParseAddr("239.1.1.1"), network.Filter{Exclude: true, Sources: []netip.Addr{netip.MustParseAddr("10.0.0.66")}})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Leave()
	for _, c := range []struct {
		src, dst string
		want     bool
	}{
		{"10.0.0.2", "10.0.0.1", true},
		{"10.0.0.2", "10.0.1.1", true}, // the weak host model of Linux
		{"10.0.0.2", "10.0.0.255", true},
		{"10.0.0.2", "10.0.1.255", true},
		{"10.0.0.2", "255.255.255.255", true},
		{"0.0.0.0", "255.255.255.255", true}, // DHCP
		{"0.0.0.0", "0.0.0.0", true},         // the old form of a broadcast
		{"0.0.0.0", "10.0.0.1", false},
		{"0.1.2.3", "255.255.255.255", false},
		{"10.0.0.2", "0.0.0.0", false},
		{"10.0.0.1", "10.0.0.1", false}, // our own address from outside
		{"10.0.1.1", "10.0.0.1", false},
		{"10.0.0.255", "10.0.0.1", false},
		{"255.255.255.255", "10.0.0.1", false},
		{"224.0.0.5", "10.0.0.1", false},
		{"127.0.0.1", "10.0.0.1", false}, // RFC 1122 §3.2.1.3 (g): never on a link
		{"10.0.0.2", "127.0.0.1", false},
		{"240.0.0.1", "10.0.0.1", true},
		{"10.0.0.2", "10.0.0.9", false},
		{"10.0.0.2", "224.0.0.1", true}, // all hosts, always
		{"10.0.0.2", "239.1.1.1", true},
		{"10.0.0.66", "239.1.1.1", false}, // excluded
		{"10.0.0.2", "239.1.1.2", false},
		{"0.0.0.0", "224.0.0.1", true},
		{"0.0.0.0", "239.1.1.1", false},
	} {
		sink.Packets = nil
		receive4(left, hosttest.IPv4(from(c.src, c.dst), payload(8)))
		if got := len(sink.Packets) == 1; got != c.want {
			t.Errorf("from %s to %s: delivered %v, want %v", c.src, c.dst, got, c.want)
		}
		wantNothing(t, left)
	}
	if got := h.Stat(t, "IpExt", "InMcastPkts"); got != 3 {
		t.Errorf("InMcastPkts is %d, want 3", got)
	}
}

// TestSettingsOfAddresses: each may be switched on for one device or for all, and
// counts from the next packet on.
func TestSettingsOfAddresses(t *testing.T) {
	for _, c := range []struct{ name, src, dst string }{
		{"accept_local", "10.0.1.1", "10.0.0.1"},
		{"route_localnet", "10.0.0.2", "127.0.0.1"},
	} {
		h, left, _ := host(t)
		sink := h.Sink(t, wire.ProtoUDP)
		for _, step := range []struct {
			where, value string
			want         int
		}{{"left", "0", 0}, {"left", "1", 1}, {"left", "0", 0}, {"all", "1", 1}, {"all", "0", 0}, {"right", "1", 0}} {
			h.Set(t, "net.ipv4.conf."+step.where+"."+c.name, step.value)
			sink.Packets = nil
			receive4(left, hosttest.IPv4(from(c.src, c.dst), payload(8)))
			if len(sink.Packets) != step.want {
				t.Errorf("%s.%s=%s: %d delivered, want %d", step.where, c.name, step.value, len(sink.Packets), step.want)
			}
		}
	}
}

// TestFrameForMany: "A host SHOULD silently discard a datagram that is received
// via a link-layer broadcast but does not specify an IP multicast or broadcast
// destination address" (RFC 1122 §3.3.6), if Linux's switch for that is on; it is
// never forwarded (RFC 1812 §5.3.4) nor answered.
func TestFrameForMany(t *testing.T) {
	h, _, right := router(t)
	eth := h.Port(t, link.Info{Name: "eth", Type: link.Ether}, "10.0.2.1/24")
	sink := h.Sink(t, wire.ProtoUDP)
	frame := func(dst string) []byte {
		b := make([]byte, wire.EthernetLen)
		wire.PutEthernet(b, wire.BroadcastMAC(), wire.MAC{2, 0, 0, 0, 0, 9}, wire.EtherTypeIPv4)
		return append(b, hosttest.IPv4(from("10.0.2.2", dst), payload(8))...)
	}
	eth.Receive(0, frame("10.0.1.7"))
	wantNothing(t, right)
	eth.Receive(0, frame("10.0.2.1"))
	if len(sink.Packets) != 1 {
		t.Errorf("a packet for us in a broadcast frame was not delivered")
	}
	h.Set(t, "net.ipv4.conf.eth.drop_unicast_in_l2_multicast", "1")
	eth.Receive(0, frame("10.0.2.1"), frame("10.0.2.255"))
	if len(sink.Packets) != 2 || h.Pool.Drops.Load(stat.UnicastInL2Multicast) != 2 {
		t.Errorf("%d delivered, want the broadcast only; drops %v", len(sink.Packets), h.Pool.Drops.List())
	}
	wantNothing(t, eth)
}

// TestUnknownProtocol: RFC 1122 §3.2.2.1: code 2 "when the designated transport
// protocol is not supported"; a raw socket that takes the packet supports it.
func TestUnknownProtocol(t *testing.T) {
	h, left, _ := host(t)
	f := from("10.0.0.2", "10.0.0.1")
	f.Protocol = 99
	b := hosttest.IPv4(f, payload(40))
	receive4(left, b)
	wantError(t, left, wire.ICMP4Unreachable, wire.ICMP4ProtoUnreachable, b)
	raw := &rawSocket{want: true}
	undo := h.Net.SetRaw(network.V4, 99, raw)
	receive4(left, b)
	wantNothing(t, left)
	if raw.n != 1 || raw.length != 40 {
		t.Errorf("the raw socket saw %d packets of %d bytes", raw.n, raw.length)
	}
	raw.want = false
	receive4(left, b)
	wantError(t, left, wire.ICMP4Unreachable, wire.ICMP4ProtoUnreachable, b)
	undo()
	if h.Net.HasRaw(network.V4, 99) {
		t.Error("the raw handler is still there")
	}
	if n := h.Stat(t, "Ip", "InUnknownProtos"); n != 2 {
		t.Errorf("InUnknownProtos is %d, want 2", n)
	}
}

type rawSocket struct {
	want   bool
	n      int
	length int
	errors int
}

func (r *rawSocket) RawInput(_ network.Version, pkt *packet.Packet) bool {
	r.n++
	r.length = pkt.Len()
	return r.want
}
func (r *rawSocket) RawError(*network.Error) { r.errors++ }

// TestBatchKeepsOrder: packets of mixed protocols reach their handlers in order.
func TestBatchKeepsOrder(t *testing.T) {
	h, left, _ := host(t)
	udp, tcp := h.Sink(t, wire.ProtoUDP), h.Sink(t, wire.ProtoTCP)
	var in [][]byte
	for i := range 20 {
		f := from("10.0.0.2", "10.0.0.1")
		f.Protocol = []uint8{wire.ProtoUDP, wire.ProtoTCP}[i/3%2]
		in = append(in, hosttest.IPv4(f, []byte{byte(i), 0, 0, 0, 0, 0, 0, 0}))
	}
	receive4(left, in...)
	if len(udp.Packets)+len(tcp.Packets) != 20 {
		t.Fatalf("%d and %d delivered", len(udp.Packets), len(tcp.Packets))
	}
	for _, s := range []*hosttest.Sink{udp, tcp} {
		for i := 1; i < len(s.Packets); i++ {
			if s.Packets[i][20] <= s.Packets[i-1][20] {
				t.Errorf("packet %d after %d", s.Packets[i][20], s.Packets[i-1][20])
			}
		}
	}
	if n := h.Stat(t, "Ip", "InDelivers"); n != 20 {
		t.Errorf("InDelivers is %d", n)
	}
}

// TestHooksSeeAndChange: Prerouting may change the destination, Input sees what is
// for us, and what a hook leaves damaged is dropped.
func TestHooksSeeAndChange(t *testing.T) {
	h, left, _ := host(t)
	sink := h.Sink(t, wire.ProtoUDP)
	input := 0
	hooks := &h.Net.Hooks[network.V4]
	defer hooks.Input.Add(hook.Entry{Func: func(*packet.Packet) hook.Verdict { input++; return hook.Accept }})()
	undo := hooks.Prerouting.Add(hook.Entry{Func: func(pkt *packet.Packet) hook.Verdict {
		v, _ := wire.ParseIPv4(pkt.Head())
		v.SetDst4(hosttest.A4("10.0.1.1"))
		return hook.Accept
	}})
	receive4(left, hosttest.IPv4(from("10.0.0.2", "192.0.2.1"), payload(8)))
	undo()
	if len(sink.Packets) != 1 || input != 1 {
		t.Errorf("%d delivered, Input saw %d", len(sink.Packets), input)
	}
	defer hooks.Prerouting.Add(hook.Entry{Func: func(pkt *packet.Packet) hook.Verdict {
		pkt.Head()[0] = 0x4f
		return hook.Accept
	}})()
	receive4(left, hosttest.IPv4(from("10.0.0.2", "10.0.0.1"), payload(8)))
	if len(sink.Packets) != 1 || h.Pool.Drops.Load(stat.IPInHdr) != 1 {
		t.Errorf("a damaged packet was not dropped: %v", h.Pool.Drops.List())
	}
}

// TestUnload: nothing of the module stays behind.
func TestUnload(t *testing.T) {
	h, left, _ := host(t)
	f := from("10.0.0.2", "10.0.0.1")
	f.MF, f.ID = true, 7
	receive4(left, hosttest.IPv4(f, payload(8))) // waits for the rest
	for _, m := range []string{"icmp4", "ip4"} {
		if err := h.Modules.Unload(context.Background(), m); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(h.Sysctl.List("")); n != 0 {
		t.Errorf("%d sysctls are left: %v", n, h.Sysctl.List(""))
	}
	if g := h.Net.Stats.Groups(); len(g) != 0 {
		t.Errorf("statistics are left: %v", g)
	}
	if h.Pool.Live() != 0 {
		t.Errorf("%d packets are left", h.Pool.Live())
	}
	for _, m := range []string{"ip4", "icmp4"} {
		if err := h.Modules.Load(context.Background(), m); err != nil {
			t.Errorf("load again: %v", err)
		}
	}
}
