package raw_test

import (
	"bytes"
	"net/netip"
	"syscall"
	"testing"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/internal/leak"
	"github.com/knitnet/knit/lab"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/transport"
	"github.com/knitnet/knit/wire"
)

// TestIPv6: RFC 3542 §3: no header is received, and the kernel answers for the
// checksum of ICMPv6 in both directions.
func TestIPv6(t *testing.T) {
	leak.Check(t)
	clk := clock.NewVirtual()
	a, z := lab.Kernel(t, clk, "icmp6", "raw"), lab.Kernel(t, clk, "icmp6", "raw")
	x, y, err := a.Join(z, link.PipeConfig{})
	if err != nil {
		t.Fatal(err)
	}
	here, there := netip.MustParsePrefix("fd00::1/64"), netip.MustParsePrefix("fd00::2/64")
	a.Network.AddAddr(x, network.Addr{Prefix: here, Flags: network.NoDAD})
	z.Network.AddAddr(y, network.Addr{Prefix: there, Flags: network.NoDAD})
	x.SetUp(true)
	y.SetUp(true)
	clk.Advance(10e9) // what new addresses say to the link has passed

	out := open(t, a, transport.DatagramOptions{Proto: wire.ProtoICMPv6, Version: network.V6}, "")
	in := open(t, z, transport.DatagramOptions{Proto: wire.ProtoICMPv6}, "fd00::2")
	msg := make([]byte, 300)
	wire.PutICMP6(msg, 200, 0, 0) // for private experimentation (RFC 4443 §2.1)
	msg[2], msg[3] = 0xde, 0xad   // not ours to fill in
	send(t, out, there.Addr(), msg)
	got, m := recv(t, in)
	h, ok := wire.ParseICMP6(got)
	if !ok || len(got) != len(msg) || h.Type() != 200 || !bytes.Equal(got[4:], msg[4:]) || !h.ChecksumOK(here.Addr().As16(), there.Addr().As16()) {
		t.Errorf("received % x", got[:8])
	}
	if m.Src.Addr() != here.Addr() || m.TTL != 64 {
		t.Errorf("message %+v", m)
	}
	if _, err := out.SendTo(msg[:3], &transport.Message{Dst: netip.AddrPortFrom(there.Addr(), 0)}); err != syscall.EINVAL {
		t.Errorf("no room for the checksum: %v, want EINVAL", err)
	}

	forge := open(t, a, transport.DatagramOptions{Proto: wire.ProtoRaw, Version: network.V6, HeaderIncluded: true}, "")
	whole := make([]byte, wire.IPv6Len+8)
	wire.PutIPv6(whole, &wire.IPv6Fields{PayloadLen: 8, NextHeader: wire.ProtoICMPv6, HopLimit: 3, Src: here.Addr().As16(), Dst: there.Addr().As16()})
	wire.PutICMP6(whole[wire.IPv6Len:], 200, 0, 1)
	send(t, forge, there.Addr(), whole) // the checksum is zero, which is wrong
	empty(t, in)
	wire.FinishICMP6(whole[wire.IPv6Len:], here.Addr().As16(), there.Addr().As16())
	send(t, forge, there.Addr(), whole)
	if got, m := recv(t, in); len(got) != 8 || m.TTL != 3 {
		t.Errorf("received % x, %+v", got, m)
	}
}
