package ping_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/internal/leak"
	"github.com/knitnet/knit/lab"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/transport"
	"github.com/knitnet/knit/wire"
)

type silent struct{}

func (silent) Wake(transport.Ready) {}

// A family is what differs between the two IP versions.
type family struct {
	name           string
	modules        []string
	prefix         string
	peer           netip.Addr
	request, reply byte
}

var families = [...]family{
	{"v4", []string{"icmp4"}, "10.0.0.0/24", netip.MustParseAddr("10.0.0.2"), wire.ICMP4Echo, wire.ICMP4EchoReply},
	{"v6", []string{"icmp6"}, "fd00::/64", netip.MustParseAddr("fd00::2"), wire.ICMP6Echo, wire.ICMP6EchoReply},
}

func each(t *testing.T, delay time.Duration, f func(t *testing.T, a, z *knit.Kernel, v family)) {
	for _, v := range families {
		t.Run(v.name, func(t *testing.T) {
			leak.Check(t)
			clk := clock.NewVirtual()
			modules := append([]string{"ping"}, v.modules...)
			a, z := lab.Kernel(t, clk, modules...), lab.Kernel(t, clk, modules...)
			connect(t, a, z, delay, netip.MustParsePrefix(v.prefix))
			f(t, a, z, v)
		})
	}
}

// connect joins two kernels: without delay by a pipe, so that packets have arrived
// before a send returns.
func connect(t *testing.T, a, z *knit.Kernel, delay time.Duration, p netip.Prefix) {
	t.Helper()
	if delay > 0 {
		lab.Connect(t, a, z, lab.Wire{Delay: delay}, p)
		return
	}
	x, y, err := a.Join(z, link.PipeConfig{})
	if err != nil {
		t.Fatal(err)
	}
	addr := p.Addr()
	for i, dev := range []*link.Device{x, y} {
		k := []*knit.Kernel{a, z}[i]
		addr = addr.Next()
		if err := k.Network.AddAddr(dev, network.Addr{Prefix: netip.PrefixFrom(addr, p.Bits()), Flags: network.NoDAD}); err != nil {
			t.Fatal(err)
		}
		if err := dev.SetUp(true); err != nil {
			t.Fatal(err)
		}
	}
}

func open(t *testing.T, k *knit.Kernel, local netip.AddrPort) transport.Datagram {
	t.Helper()
	p, err := k.Transport.Datagram(transport.Ping)
	if err != nil {
		t.Fatal(err)
	}
	s, err := p.Open(transport.DatagramOptions{}, local, silent{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func (v family) any(ident uint16) netip.AddrPort {
	a := netip.IPv4Unspecified()
	if v.peer.Is6() {
		a = netip.IPv6Unspecified()
	}
	return netip.AddrPortFrom(a, ident)
}

func (v family) echo(seq uint16, size int) []byte {
	b := make([]byte, wire.ICMPLen+size)
	wire.PutICMP4(b, v.request, 0, wire.ICMPEchoRest(0xdead, seq))
	for i := range size {
		b[wire.ICMPLen+i] = byte(i)
	}
	return b
}

func (v family) to() *transport.Message {
	return &transport.Message{Dst: netip.AddrPortFrom(v.peer, 0)}
}

// TestRepliesFindTheirSocket: by the identifier, which the kernel chose and set.
func TestRepliesFindTheirSocket(t *testing.T) {
	each(t, 0, func(t *testing.T, a, _ *knit.Kernel, v family) {
		one, two := open(t, a, v.any(0)), open(t, a, v.any(0))
		if one.LocalAddr().Port() == two.LocalAddr().Port() || one.LocalAddr().Port() == 0 {
			t.Fatalf("identifiers %d and %d", one.LocalAddr().Port(), two.LocalAddr().Port())
		}
		for i, size := range []int{0, 56, 1400, 8000} {
			for _, s := range []transport.Datagram{one, two} {
				if _, err := s.SendTo(v.echo(uint16(i), size), v.to()); err != nil {
					t.Fatal(err)
				}
			}
			for _, s := range []transport.Datagram{one, two} {
				b := make([]byte, 10000)
				var m transport.Message
				n, err := s.RecvFrom(b, &m)
				if err != nil || n != wire.ICMPLen+size {
					t.Fatalf("size %d: %d bytes, %v", size, n, err)
				}
				want := v.echo(uint16(i), size)
				if b[0] != v.reply || binary.BigEndian.Uint16(b[4:]) != s.LocalAddr().Port() || !bytes.Equal(b[6:n], want[6:]) {
					t.Errorf("reply % x", b[:8])
				}
				if m.Src.Addr() != v.peer || m.TTL != 64 {
					t.Errorf("message %+v", m)
				}
				if _, err := s.RecvFrom(b, &m); err != transport.ErrWouldBlock {
					t.Errorf("a second reply: %v", err)
				}
			}
		}
	})
}

// TestOnlyEchoRequests: nothing else can be sent from such a socket.
func TestOnlyEchoRequests(t *testing.T) {
	each(t, 0, func(t *testing.T, a, _ *knit.Kernel, v family) {
		s := open(t, a, v.any(0))
		reply, code := v.echo(1, 8), v.echo(1, 8)
		reply[0], code[1] = v.reply, 1
		for name, b := range map[string][]byte{"reply": reply, "code": code, "short": v.echo(1, 0)[:7], "empty": nil} {
			if _, err := s.SendTo(b, v.to()); err != syscall.EINVAL {
				t.Errorf("%s: %v, want EINVAL", name, err)
			}
		}
		if _, err := s.SendTo(make([]byte, 65536), v.to()); err != syscall.EMSGSIZE {
			t.Errorf("too long: %v, want EMSGSIZE", err)
		}
	})
}

func TestIdentifiers(t *testing.T) {
	each(t, 0, func(t *testing.T, a, _ *knit.Kernel, v family) {
		s := open(t, a, v.any(77))
		p, _ := a.Transport.Datagram(transport.Ping)
		if _, err := p.Open(transport.DatagramOptions{}, v.any(77), silent{}); err != syscall.EADDRINUSE {
			t.Errorf("taken identifier: %v, want EADDRINUSE", err)
		}
		if _, err := p.Open(transport.DatagramOptions{}, netip.AddrPortFrom(v.peer, 0), silent{}); err != syscall.EADDRNOTAVAIL {
			t.Errorf("foreign address: %v, want EADDRNOTAVAIL", err)
		}
		if err := a.Rmmod(context.Background(), "ping"); err == nil {
			t.Error("rmmod ping with an open socket succeeded")
		}
		if i := a.Transport.Sockets(transport.Ping); len(i) != 1 || i[0].Proto != "icmp" || i[0].Local.Port() != 77 {
			t.Errorf("sockets %+v", i)
		}
		s.Close()
		open(t, a, v.any(77))
	})
}

// TestBlockingInVirtualTime: the socket layer's network names, a round trip that
// takes as long as the wire says, and a deadline.
func TestBlockingInVirtualTime(t *testing.T) {
	each(t, 100*time.Millisecond, func(t *testing.T, a, _ *knit.Kernel, v family) {
		c, err := a.Dial("ping"+v.name[1:], v.peer.String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		start := a.Clock.Now()
		if _, err := c.Write(v.echo(1, 56)); err != nil {
			t.Fatal(err)
		}
		got := make(chan int, 1)
		go func() {
			n, _ := c.Read(make([]byte, 100))
			got <- n
		}()
		a.Clock.AdvanceTo(start.Add(199 * time.Millisecond))
		select {
		case <-got:
			t.Error("the reply came too early")
		default:
		}
		a.Clock.Advance(time.Millisecond)
		if n := <-got; n != 64 {
			t.Errorf("read %d bytes", n)
		}
	})
}

// TestErrors: a connected socket learns that its request was prohibited (RFC 1122
// §4.1.3.3), one that is not connected does not.
func TestErrors(t *testing.T) {
	v := families[0]
	leak.Check(t)
	clk := clock.NewVirtual()
	a, z := lab.Kernel(t, clk, "ping", "icmp4"), lab.Kernel(t, clk, "icmp4", "raw")
	connect(t, a, z, 0, netip.MustParsePrefix(v.prefix))
	out, err := z.Dial("ip4:icmp", "10.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	for _, connected := range []bool{true, false} {
		s := open(t, a, v.any(0))
		if connected {
			if err := s.Connect(v.to().Dst); err != nil {
				t.Fatal(err)
			}
		}
		quoted := make([]byte, 28)
		wire.PutIPv4(quoted, &wire.IPv4Fields{TTL: 1, Protocol: wire.ProtoICMP, TotalLen: 28, Src: [4]byte{10, 0, 0, 1}, Dst: v.peer.As4()})
		wire.PutICMP4(quoted[20:], v.request, 0, wire.ICMPEchoRest(s.LocalAddr().Port(), 1))
		msg := make([]byte, wire.ICMPLen, 100)
		wire.PutICMP4(msg, wire.ICMP4Unreachable, wire.ICMP4AdminProhibited, 0)
		msg = append(msg, quoted...)
		wire.FinishICMP4(msg)
		out.Write(msg)
		want := error(transport.ErrWouldBlock)
		if connected {
			want = syscall.EACCES
		}
		var m transport.Message
		if _, err := s.RecvFrom(nil, &m); err != want {
			t.Errorf("connected %v: %v, want %v", connected, err, want)
		}
	}
}

func TestDoesNotAllocate(t *testing.T) {
	each(t, 0, func(t *testing.T, a, _ *knit.Kernel, v family) {
		s := open(t, a, v.any(0))
		b, in, to := v.echo(1, 56), make([]byte, 100), v.to()
		var m transport.Message
		if n := testing.AllocsPerRun(500, func() {
			s.SendTo(b, to)
			s.RecvFrom(in, &m)
		}); n >= 1 && !raceEnabled { // then sync.Pool forgets at random
			t.Errorf("%v allocations per round trip, want 0", n)
		}
	})
}
