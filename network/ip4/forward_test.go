package ip4_test

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/knitnet/knit/core/hook"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/frag"
	"github.com/knitnet/knit/network/internal/hosttest"
	"github.com/knitnet/knit/network/route"
	"github.com/knitnet/knit/wire"
)

// TestHostDoesNotForward: "a host ... MUST NOT forward" unless it is told to be a
// router (RFC 1122 §3.3.1, §3.1), and says nothing about it.
func TestHostDoesNotForward(t *testing.T) {
	h, left, right := host(t)
	b := hosttest.IPv4(from("10.0.0.2", "10.0.1.2"), payload(8))
	receive4(left, b)
	wantNothing(t, left)
	wantNothing(t, right)
	if h.Stat(t, "Ip", "InAddrErrors") != 1 || h.Stat(t, "Ip", "Forwarding") != 2 {
		t.Error("InAddrErrors or Forwarding")
	}
	h.Set(t, "net.ipv4.conf.left.forwarding", "1")
	receive4(left, b)
	if len(right.Take()) != 1 {
		t.Error("not forwarded although the device does")
	}
	h.Set(t, "net.ipv4.ip_forward", "1")
	h.Set(t, "net.ipv4.conf.all.forwarding", "0")
	receive4(left, b)
	wantNothing(t, right)
	if v, _ := h.Sysctl.Get("net.ipv4.ip_forward"); v != "0" {
		t.Errorf("ip_forward is %s after all.forwarding=0", v)
	}
}

// TestForwardingKeepsBytes: a forwarded packet differs in TTL and header checksum
// only (RFC 1812 §5.3.1).
func TestForwardingKeepsBytes(t *testing.T) {
	h, left, right := router(t)
	for n := 0; n <= 1480; n += 37 {
		f := from("10.0.0.2", "10.0.1.2")
		f.TOS, f.TTL, f.ID, f.DF = uint8(n), uint8(2+n%250), uint16(n), n%2 == 0
		in := hosttest.IPv4(f, payload(n))
		receive4(left, in)
		sent := right.Take()
		if len(sent) != 1 {
			t.Fatalf("%d bytes: %d packets", n, len(sent))
		}
		f.TTL--
		if out := hosttest.IPv4(f, payload(n)); !bytes.Equal(sent[0], out) {
			t.Fatalf("%d bytes: sent\n% x, want\n% x", n, sent[0][:20], out[:20])
		}
	}
	if n := h.Stat(t, "Ip", "ForwDatagrams"); n != 41 {
		t.Errorf("ForwDatagrams is %d", n)
	}
}

// TestForwardErrors: what a router answers (RFC 1812 §4.3.3).
func TestForwardErrors(t *testing.T) {
	h, left, right := router(t)
	for _, r := range []route.Route{
		{Dst: netip.MustParsePrefix("10.1.0.0/16"), Type: route.Unreachable},
		{Dst: netip.MustParsePrefix("10.2.0.0/16"), Type: route.Prohibit},
		{Dst: netip.MustParsePrefix("10.3.0.0/16"), Type: route.Blackhole},
	} {
		if err := h.Net.AddRoute(r, route.Create); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name      string
		dst       string
		ttl       uint8
		typ, code uint8
		silent    bool
	}{
		{"TTL 1", "10.0.1.2", 1, wire.ICMP4TimeExceeded, wire.ICMP4TTLExceeded, false},
		{"no route", "192.0.2.1", 64, wire.ICMP4Unreachable, wire.ICMP4NetUnreachable, false},
		{"unreachable", "10.1.0.1", 64, wire.ICMP4Unreachable, wire.ICMP4HostUnreachable, false},
		{"prohibit", "10.2.0.1", 64, wire.ICMP4Unreachable, wire.ICMP4AdminProhibited, false},
		{"blackhole", "10.3.0.1", 64, 0, 0, true},
		{"subnet broadcast", "10.0.1.255", 64, 0, 0, true},
	} {
		f := from("10.0.0.2", c.dst)
		f.TTL = c.ttl
		b := hosttest.IPv4(f, payload(100))
		h.Advance(1e9)
		receive4(left, b)
		wantNothing(t, right)
		if c.silent {
			wantNothing(t, left)
			continue
		}
		t.Run(c.name, func(t *testing.T) { wantError(t, left, c.typ, c.code, b) })
	}
	if n := h.Stat(t, "IpExt", "InNoRoutes"); n != 4 {
		t.Errorf("InNoRoutes is %d, want 4", n)
	}
}

// TestForwardTooBig: RFC 1191 §4: with DF the sender hears the next hop's MTU,
// without it the packet is fragmented, and the fragments are the packet.
func TestForwardTooBig(t *testing.T) {
	h, left, right := router(t)
	if err := right.Dev.SetMTU(600); err != nil {
		t.Fatal(err)
	}
	f := from("10.0.0.2", "10.0.1.2")
	f.DF = true
	b := hosttest.IPv4(f, payload(1000))
	receive4(left, b)
	if m := wantError(t, left, wire.ICMP4Unreachable, wire.ICMP4FragNeeded, b); m.MTU() != 600 {
		t.Errorf("MTU %d, want 600", m.MTU())
	}
	wantNothing(t, right)

	f.DF, f.ID = false, 4711
	receive4(left, hosttest.IPv4(f, payload(1000)))
	f.TTL = 63
	if got := reassemble(t, h, right.Take(), 600); !bytes.Equal(got, hosttest.IPv4(f, payload(1000))) {
		t.Errorf("fragments make\n% x", got)
	}
	if h.Stat(t, "Ip", "FragOKs") != 1 || h.Stat(t, "Ip", "FragCreates") != 2 || h.Stat(t, "Ip", "FragFails") != 1 {
		t.Error("FragOKs, FragCreates or FragFails")
	}
}

// reassemble puts fragments together, which must fit into mtu.
func reassemble(t *testing.T, h *hosttest.Host, fragments [][]byte, mtu int) (whole []byte) {
	t.Helper()
	table := frag.New(frag.Config{Clock: h.Clock})
	defer table.Close()
	for i, b := range fragments {
		if len(b) > mtu {
			t.Errorf("fragment %d has %d bytes, the MTU is %d", i, len(b), mtu)
		}
		if v, ok := wire.ParseIPv4(b); !ok || !v.ChecksumOK() {
			t.Errorf("fragment %d has a bad header", i)
		}
		if whole != nil {
			t.Error("more fragments than the packet needs")
		}
		pkt := h.Pool.Get()
		pkt.Append(b)
		pkt.Ensure(wire.IPv4Len)
		if pkt = table.Input4(pkt); pkt != nil {
			whole = hosttest.Bytes(pkt)
			pkt.Consume()
		}
	}
	return whole
}

// TestForwardGSO: a merged packet is sent on whole when its segments fit.
func TestForwardGSO(t *testing.T) {
	h, left, _ := router(t)
	wide := h.Port(t, link.Info{Name: "wide", Features: link.AllTx}, "10.0.2.1/24")
	in := func(gsoSize uint16, df bool) {
		f := from("10.0.0.2", "10.0.2.2")
		f.Protocol, f.DF = wire.ProtoTCP, df
		b := hosttest.IPv4(f, make([]byte, wire.TCPLen+3000))
		b[20+12] = 5 << 4
		pkt := h.Pool.Get()
		copy(pkt.Extend(40), b)
		pkt.Append(b[40:])
		pkt.Proto, pkt.GSO, pkt.GSOSize, pkt.GSOSegs = wire.EtherTypeIPv4, packet.GSOTCP4, gsoSize, 3
		pkt.Csum, pkt.CsumStart, pkt.CsumOffset = packet.CsumPartial, uint16(pkt.Offset()+20), 16
		var q packet.Queue
		q.Push(pkt)
		left.Dev.Receive(&q)
	}
	in(1460, true)
	if sent := wide.Take(); len(sent) != 1 || len(sent[0]) != 3040 {
		t.Errorf("%d packets, want the merged one", len(sent))
	}
	wide.Dev.SetMTU(1000)
	in(1460, true)
	wantNothing(t, wide)
	if _, m := icmpOf(t, left); m.Code() != wire.ICMP4FragNeeded || m.MTU() != 1000 {
		t.Errorf("ICMP code %d, MTU %d", m.Code(), m.MTU())
	}
	in(1460, false)
	if sent := wide.Take(); len(sent) < 4 {
		t.Errorf("%d packets, want fragments of each segment", len(sent))
	}
}

// TestForwardHooks: Forward, then Postrouting, with both devices known.
func TestForwardHooks(t *testing.T) {
	h, left, right := router(t)
	var order []string
	add := func(p *hook.Point, name string) {
		t.Cleanup(p.Add(hook.Entry{Func: func(pkt *packet.Packet) hook.Verdict {
			order = append(order, name)
			if pkt.In != left.Dev.Index() || name != "prerouting" && pkt.Out != right.Dev.Index() {
				t.Errorf("%s: in %d, out %d", name, pkt.In, pkt.Out)
			}
			return hook.Accept
		}}))
	}
	hooks := &h.Net.Hooks[network.V4]
	add(&hooks.Prerouting, "prerouting")
	add(&hooks.Input, "input")
	add(&hooks.Forward, "forward")
	add(&hooks.Output, "output")
	add(&hooks.Postrouting, "postrouting")
	receive4(left, hosttest.IPv4(from("10.0.0.2", "10.0.1.2"), payload(8)))
	if len(order) != 3 || order[1] != "forward" || order[2] != "postrouting" {
		t.Errorf("hooks ran as %v", order)
	}
	drop := hooks.Forward.Add(hook.Entry{Func: func(*packet.Packet) hook.Verdict { return hook.Drop }})
	receive4(left, hosttest.IPv4(from("10.0.0.2", "10.0.1.2"), payload(8)))
	drop()
	if len(right.Take()) != 1 || h.Pool.Drops.Load(stat.NetfilterDrop) != 1 {
		t.Error("the dropped packet was sent")
	}
}

// TestForwardBatch: a batch to several destinations keeps its order per flow, and
// one bad packet costs only itself.
func TestForwardBatch(t *testing.T) {
	h, left, right := router(t)
	var in [][]byte
	for i := range 60 {
		f := from("10.0.0.2", []string{"10.0.1.2", "10.0.1.3", "192.0.2.1"}[i/4%3])
		f.ID = uint16(i)
		if i == 5 {
			f.TTL = 1
		}
		in = append(in, hosttest.IPv4(f, payload(20)))
	}
	receive4(left, in...)
	var ids []uint16
	for _, b := range right.Take() {
		v, _ := wire.ParseIPv4(b)
		ids = append(ids, v.ID())
	}
	if len(ids) != 39 {
		t.Fatalf("%d forwarded, want 39", len(ids))
	}
	for i := 1; i < len(ids); i++ {
		if ids[i] <= ids[i-1] {
			t.Errorf("%d after %d", ids[i], ids[i-1])
		}
	}
	_ = h
}

// TestRedirect: RFC 1812 §5.2.7.2: out by the device it came in by, and the next
// hop is the sender's neighbour.
func TestRedirect(t *testing.T) {
	h, left, right := router(t)
	if err := h.Net.AddRoute(route.Route{
		Dst: netip.MustParsePrefix("192.0.2.0/24"), NextHops: []route.NextHop{{Gateway: netip.MustParseAddr("10.0.0.254")}},
	}, route.Create); err != nil {
		t.Fatal(err)
	}
	send := func(src string) (redirects, forwarded int) {
		b := hosttest.IPv4(from(src, "192.0.2.9"), payload(20))
		receive4(left, b)
		for _, s := range left.Take() {
			if v, _ := wire.ParseIPv4(s); v.Protocol() == wire.ProtoICMP {
				m, _ := wire.ParseICMP4(v.Payload())
				if m.Type() != wire.ICMP4Redirect || m.Code() != wire.ICMP4RedirectHost || m.Gateway() != netip.MustParseAddr("10.0.0.254") ||
					!bytes.Equal(m.Payload(), b) {
					t.Errorf("sent % x", s)
				}
				redirects++
				continue
			}
			forwarded++
		}
		return redirects, forwarded
	}
	if r, f := send("10.0.0.2"); r != 1 || f != 1 {
		t.Errorf("%d redirects, %d forwarded", r, f)
	}
	for range 20 {
		send("10.0.0.2")
	}
	if r, f := send("10.0.0.2"); r != 0 || f != 1 {
		t.Errorf("after many: %d redirects, %d forwarded", r, f)
	}
	if r, f := send("172.16.0.1"); r != 0 || f != 1 {
		t.Errorf("to one who is no neighbour: %d redirects, %d forwarded", r, f)
	}
	h.Set(t, "net.ipv4.conf.all.send_redirects", "0")
	h.Set(t, "net.ipv4.conf.left.send_redirects", "0")
	if r, f := send("10.0.0.3"); r != 0 || f != 1 {
		t.Errorf("switched off: %d redirects, %d forwarded", r, f)
	}
	wantNothing(t, right)
}
