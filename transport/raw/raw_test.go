package raw_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
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

var (
	addrA = netip.MustParseAddr("10.0.0.1")
	addrZ = netip.MustParseAddr("10.0.0.2")
)

type silent struct{}

func (silent) Wake(transport.Ready) {}

// two returns two kernels, 10.0.0.1 and 10.0.0.2, joined by a pipe, so that packets
// have arrived before a send returns.
func two(t *testing.T) (a, z *knit.Kernel) {
	leak.Check(t)
	clk := clock.NewVirtual()
	modules := []string{"ip4", "icmp4", "raw", "udp"}
	a, z = lab.Kernel(t, clk, modules...), lab.Kernel(t, clk, modules...)
	x, y, err := a.Join(z, link.PipeConfig{})
	if err != nil {
		t.Fatal(err)
	}
	for dev, k := range map[*link.Device]*knit.Kernel{x: a, y: z} {
		addr := addrA
		if k == z {
			addr = addrZ
		}
		if err := k.AddAddr(dev.Name(), netip.PrefixFrom(addr, 24)); err != nil {
			t.Fatal(err)
		}
	}
	return a, z
}

func open(t *testing.T, k *knit.Kernel, o transport.DatagramOptions, local string) transport.Datagram {
	t.Helper()
	p, err := k.Transport.Datagram(transport.Raw)
	if err != nil {
		t.Fatal(err)
	}
	var at netip.AddrPort
	if local != "" {
		at = netip.AddrPortFrom(netip.MustParseAddr(local), 0)
	}
	s, err := p.Open(o, at, silent{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func recv(t *testing.T, s transport.Datagram) ([]byte, transport.Message) {
	t.Helper()
	b := make([]byte, 65536)
	var m transport.Message
	n, err := s.RecvFrom(b, &m)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n], m
}

func empty(t *testing.T, s transport.Datagram) {
	t.Helper()
	var m transport.Message
	if n, err := s.RecvFrom(make([]byte, 100), &m); err != transport.ErrWouldBlock {
		t.Errorf("received %d bytes, %v; want nothing", n, err)
	}
}

func send(t *testing.T, s transport.Datagram, to netip.Addr, b []byte) {
	t.Helper()
	if n, err := s.SendTo(b, &transport.Message{Dst: netip.AddrPortFrom(to, 0)}); err != nil || n != len(b) {
		t.Fatalf("sent %d, %v", n, err)
	}
}

// TestEveryMatchingSocketGetsACopy: by protocol, bound address and peer; with the
// IP header (raw(7): "For receiving, the IP header is always included in the
// packet").
func TestEveryMatchingSocketGetsACopy(t *testing.T) {
	a, z := two(t)
	const proto = 99
	from := open(t, a, transport.DatagramOptions{Proto: proto}, "")
	all := open(t, z, transport.DatagramOptions{Proto: proto}, "")
	bound := open(t, z, transport.DatagramOptions{Proto: proto}, "10.0.0.2")
	connected := open(t, z, transport.DatagramOptions{Proto: proto}, "")
	if err := connected.Connect(netip.AddrPortFrom(addrA, 0)); err != nil {
		t.Fatal(err)
	}
	otherPeer := open(t, z, transport.DatagramOptions{Proto: proto}, "")
	if err := otherPeer.Connect(netip.MustParseAddrPort("10.0.0.9:0")); err != nil {
		t.Fatal(err)
	}
	otherProto := open(t, z, transport.DatagramOptions{Proto: proto + 1}, "")
	otherDevice := open(t, z, transport.DatagramOptions{Proto: proto, Index: 1000}, "")
	for _, size := range []int{0, 5, 1400, 5000} { // the last one comes in fragments
		payload := bytes.Repeat([]byte{7}, size)
		send(t, from, addrZ, payload)
		for _, s := range []transport.Datagram{all, bound, connected} {
			b, m := recv(t, s)
			h, ok := wire.ParseIPv4(b)
			if !ok || !h.ChecksumOK() || !bytes.Equal(h.Payload(), payload) || h.Protocol() != proto {
				t.Fatalf("%d bytes: received % x", size, b[:min(len(b), 40)])
			}
			if m.Src.Addr() != addrA || m.Dst.Addr() != addrZ || m.TTL != 64 {
				t.Errorf("message %+v", m)
			}
		}
	}
	for _, s := range []transport.Datagram{otherPeer, otherProto, otherDevice, from} {
		empty(t, s)
	}
}

// TestBesideTheProtocol: UDP still gets what raw sockets see, with a checksum that
// is complete however the packet travelled.
func TestBesideTheProtocol(t *testing.T) {
	a, z := two(t)
	sniffer := open(t, z, transport.DatagramOptions{Proto: wire.ProtoUDP}, "")
	in, err := z.ListenPacket("udp", "10.0.0.2:7")
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := a.Dial("udp", "10.0.0.2:7")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	for _, size := range []int{3, 1000} {
		out.Write(make([]byte, size))
		if n, _, err := in.ReadFrom(make([]byte, 2000)); err != nil || n != size {
			t.Errorf("udp received %d, %v", n, err)
		}
		b, _ := recv(t, sniffer)
		h, _ := wire.ParseIPv4(b)
		if !wire.Sum(h.Payload(), h.PseudoSum(len(h.Payload()))).Valid() {
			t.Error("the copy's UDP checksum is wrong")
		}
	}
}

// TestHeaderIncluded: raw(7): the kernel fills in length and checksum always,
// source and identification when they are zero.
func TestHeaderIncluded(t *testing.T) {
	a, z := two(t)
	const proto = 99
	in := open(t, z, transport.DatagramOptions{Proto: proto}, "")
	for _, o := range []transport.DatagramOptions{{Proto: proto, HeaderIncluded: true}, {Proto: wire.ProtoRaw}} {
		out := open(t, a, o, "")
		b := make([]byte, 24)
		wire.PutIPv4(b, &wire.IPv4Fields{TTL: 9, Protocol: proto, Dst: addrZ.As4(), TotalLen: 24})
		copy(b[20:], "hdr!")
		send(t, out, addrZ, b)
		got, _ := recv(t, in)
		h, ok := wire.ParseIPv4(got)
		if !ok || !h.ChecksumOK() || h.TTL() != 9 || h.Src() != addrA || h.TotalLen() != 24 || string(h.Payload()) != "hdr!" {
			t.Errorf("received % x", got)
		}
		if _, err := out.SendTo(b[:19], &transport.Message{Dst: netip.AddrPortFrom(addrZ, 0)}); err != syscall.EINVAL {
			t.Errorf("half a header: %v, want EINVAL", err)
		}
		if _, err := out.SendTo(make([]byte, 1501), &transport.Message{Dst: netip.AddrPortFrom(addrZ, 0)}); err != syscall.EMSGSIZE {
			t.Errorf("more than the MTU: %v, want EMSGSIZE", err)
		}
		empty(t, out)
	}
}

// TestErrors: a connected socket learns that the peer does not know its protocol
// (RFC 1122 §3.2.2.1); an unconnected one does not.
func TestErrors(t *testing.T) {
	a, _ := two(t)
	s := open(t, a, transport.DatagramOptions{Proto: 99}, "")
	other := open(t, a, transport.DatagramOptions{Proto: 99}, "")
	if err := s.Connect(netip.AddrPortFrom(addrZ, 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.SendTo([]byte("12345678"), &transport.Message{}); err != nil {
		t.Fatal(err)
	}
	var m transport.Message
	if _, err := s.RecvFrom(nil, &m); err != syscall.ENOPROTOOPT {
		t.Errorf("connected: %v, want ENOPROTOOPT", err)
	}
	empty(t, other)
}

func TestRefusals(t *testing.T) {
	a, _ := two(t)
	p, _ := a.Transport.Datagram(transport.Raw)
	for _, c := range []struct {
		name  string
		o     transport.DatagramOptions
		local string
		want  error
	}{
		{"no protocol", transport.DatagramOptions{}, "", syscall.EPROTONOSUPPORT},
		{"foreign address", transport.DatagramOptions{Proto: 1}, "192.0.2.1", syscall.EADDRNOTAVAIL},
	} {
		var at netip.AddrPort
		if c.local != "" {
			at = netip.AddrPortFrom(netip.MustParseAddr(c.local), 0)
		}
		if _, err := p.Open(c.o, at, silent{}); err != c.want {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	s := open(t, a, transport.DatagramOptions{Proto: 99}, "")
	for _, c := range []struct {
		name string
		n    int
		to   string
		want error
	}{
		{"nowhere", 1, "", syscall.EDESTADDRREQ},
		{"no route", 1, "192.0.2.1", syscall.ENETUNREACH},
		{"other version", 1, "2001:db8::1", syscall.EAFNOSUPPORT},
		{"broadcast", 1, "10.0.0.255", syscall.EACCES},
		{"too long", 65516, "10.0.0.2", syscall.EMSGSIZE},
	} {
		var m transport.Message
		if c.to != "" {
			m.Dst = netip.AddrPortFrom(netip.MustParseAddr(c.to), 0)
		}
		if _, err := s.SendTo(make([]byte, c.n), &m); err != c.want {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

// TestMTUDiscover: a socket that must not fragment is told the limit, one that need
// not sends without DF.
func TestMTUDiscover(t *testing.T) {
	a, z := two(t)
	out := open(t, a, transport.DatagramOptions{Proto: 99}, "")
	in := open(t, z, transport.DatagramOptions{Proto: 99}, "")
	for _, c := range []struct {
		mode network.Fragment
		n    int
		want error
		df   bool
	}{
		{network.FragmentDo, 1481, syscall.EMSGSIZE, false},
		{network.FragmentProbe, 1481, syscall.EMSGSIZE, false},
		{network.FragmentDo, 1480, nil, true},
		{network.FragmentWant, 1480, nil, true},
		{network.FragmentDont, 1480, nil, false},
		{network.FragmentDont, 1481, nil, false},
	} {
		if err := out.SetOption(transport.MTUDiscover, int64(c.mode)); err != nil {
			t.Fatal(err)
		}
		_, err := out.SendTo(make([]byte, c.n), &transport.Message{Dst: netip.AddrPortFrom(addrZ, 0)})
		if err != c.want {
			t.Errorf("mode %d, %d bytes: %v, want %v", c.mode, c.n, err, c.want)
		}
		if err != nil {
			continue
		}
		b, _ := recv(t, in)
		if h, _ := wire.ParseIPv4(b); h.DF() != c.df {
			t.Errorf("mode %d, %d bytes: DF %v", c.mode, c.n, h.DF())
		}
	}
	if err := out.SetOption(transport.MTUDiscover, 9); err != syscall.EINVAL {
		t.Errorf("mode 9: %v", err)
	}
}

// TestNames: the networks of package net lead here, and the module cannot go while
// a socket is open.
func TestNames(t *testing.T) {
	a, z := two(t)
	pc, err := z.ListenPacket("ip4:99", "")
	if err != nil {
		t.Fatal(err)
	}
	if got := pc.LocalAddr().String(); got != "0.0.0.0" {
		t.Errorf("local address %s", got)
	}
	c, err := a.Dial("ip4:99", "10.0.0.2")
	if err != nil {
		t.Fatal(err)
	}
	c.Write([]byte("hello"))
	b := make([]byte, 100)
	n, from, err := pc.ReadFrom(b)
	if err != nil || string(b[20:n]) != "hello" || from.String() != "10.0.0.1" {
		t.Errorf("%q from %v, %v", b[:n], from, err)
	}
	if err := z.Rmmod(context.Background(), "raw"); err == nil {
		t.Error("rmmod raw with an open socket succeeded")
	}
	infos := z.Transport.Sockets(transport.Raw)
	if len(infos) != 1 || infos[0].Local.Port() != 99 || infos[0].State != "UNCONN" {
		t.Errorf("sockets %+v", infos)
	}
	pc.Close()
	c.Close()
	if err := z.Rmmod(context.Background(), "raw"); err != nil {
		t.Error(err)
	}
	if _, err := a.Dial("ip4:nosuch", "10.0.0.2"); err == nil {
		t.Error("unknown protocol accepted")
	}
}

// TestEchoByHand: a raw ICMP socket can ping, and a deadline works in virtual time.
func TestEchoByHand(t *testing.T) {
	a, _ := two(t)
	c, err := a.Dial("ip4:icmp", "10.0.0.2")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	msg := make([]byte, 16)
	wire.PutICMP4(msg, wire.ICMP4Echo, 0, wire.ICMPEchoRest(7, 1))
	wire.FinishICMP4(msg)
	c.Write(msg)
	b := make([]byte, 100)
	n, err := c.Read(b)
	if err != nil || n != 36 || b[20] != wire.ICMP4EchoReply || binary.BigEndian.Uint16(b[24:]) != 7 {
		t.Errorf("% x, %v", b[:n], err)
	}
	c.SetReadDeadline(a.Clock.Wall().Add(time.Second))
	done := make(chan error)
	go func() { _, err := c.Read(b); done <- err }()
	a.Clock.Advance(2 * time.Second)
	var timeout net.Error
	if err := <-done; !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("read: %v, want a timeout", err)
	}
}

// TestDoesNotAllocate: a packet sent, received and read, with its copy.
func TestDoesNotAllocate(t *testing.T) {
	a, z := two(t)
	out := open(t, a, transport.DatagramOptions{Proto: 99}, "")
	in := open(t, z, transport.DatagramOptions{Proto: 99}, "")
	b := make([]byte, 100)
	m := &transport.Message{Dst: netip.AddrPortFrom(addrZ, 0)}
	var got transport.Message
	if n := testing.AllocsPerRun(500, func() {
		out.SendTo(b[:64], m)
		in.RecvFrom(b, &got)
	}); n >= 1 && !raceEnabled { // then sync.Pool forgets at random
		t.Errorf("%v allocations per packet, want 0", n)
	}
}
