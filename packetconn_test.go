package knit_test

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/internal/leak"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/socket"
	"github.com/knitnet/knit/transport"
)

func listenUDP(t *testing.T, k *knit.Kernel, network, address string) *socket.PacketConn {
	t.Helper()
	c, err := k.ListenPacket(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.(*socket.PacketConn)
}

// TestPacketConnContract: datagrams keep their borders, carry their sender, and
// deadlines and Close do what net.PacketConn says, over IP and Ethernet devices.
func TestPacketConnContract(t *testing.T) {
	leak.Check(t)
	for name, cfg := range map[string]link.PipeConfig{"pipe": {}, "checksums": {Features: link.GRO}, "ethernet": {Ethernet: true}} {
		t.Run(name, func(t *testing.T) {
			a, z := pair(t, cfg, "udp")
			out, in := listenUDP(t, a, "udp", "10.0.0.1:0"), listenUDP(t, z, "udp", ":5000")
			to := netip.MustParseAddrPort("10.0.0.2:5000")
			buf := make([]byte, 70000)
			for _, n := range []int{0, 1, 100, 1472, 1473, 9000, 65507} {
				if _, err := out.WriteToAddrPort(pattern(n), to); err != nil {
					t.Fatal(err)
				}
				in.SetReadDeadline(time.Now().Add(5 * time.Second))
				m, from, err := in.ReadFrom(buf)
				if err != nil || !bytes.Equal(buf[:m], pattern(n)) || from.String() != out.LocalAddr().String() {
					t.Errorf("%d bytes arrived as %d from %v, %v", n, m, from, err)
				}
			}
			if _, err := out.WriteToAddrPort(make([]byte, 65508), to); !errors.Is(err, syscall.EMSGSIZE) {
				t.Errorf("65508 bytes: %v, want EMSGSIZE", err)
			}
			out.WriteToAddrPort([]byte("longer than the buffer"), to)
			var m transport.Message
			if n, err := in.ReadMessage(buf[:6], &m); n != 6 || err != nil || !m.Truncated {
				t.Errorf("a short buffer got %d bytes, %v, truncated: %v", n, err, m.Truncated)
			}
			in.SetReadDeadline(time.Now().Add(-1))
			if _, _, err := in.ReadFrom(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("read past the deadline: %v", err)
			}
			in.SetReadDeadline(time.Time{})
			blocked := make(chan error)
			go func() { _, _, err := in.ReadFrom(buf); blocked <- err }()
			in.Close()
			if err := <-blocked; !errors.Is(err, net.ErrClosed) {
				t.Errorf("a read during Close: %v", err)
			}
			if err := in.Close(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("second Close: %v", err)
			}
		})
	}
}

func TestUDPAddresses(t *testing.T) {
	leak.Check(t)
	_, z := pair(t, link.PipeConfig{}, "udp")
	listenUDP(t, z, "udp", "10.0.0.2:53")
	if _, err := z.ListenPacket("udp", "10.0.0.2:53"); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a port in use: %v", err)
	}
	if _, err := z.ListenPacket("udp", "10.9.9.9:53"); !errors.Is(err, syscall.EADDRNOTAVAIL) {
		t.Errorf("somebody else's address: %v", err)
	}
	c, err := z.Dial("udp", "10.0.0.1:9")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := c.LocalAddr().(*net.UDPAddr).IP.String(); got != "10.0.0.2" {
		t.Errorf("a connected socket's address is %s, want 10.0.0.2", got)
	}
	if _, err := c.(*socket.PacketConn).WriteTo(nil, c.RemoteAddr()); !errors.Is(err, net.ErrWriteToConnected) {
		t.Errorf("WriteTo of a connected socket: %v, want net.ErrWriteToConnected", err)
	}
	u := listenUDP(t, z, "udp", "10.0.0.2:0")
	if _, err := u.WriteTo(nil, &net.UDPAddr{}); !errors.Is(err, syscall.EDESTADDRREQ) {
		t.Errorf("a datagram to no address: %v, want EDESTADDRREQ", err)
	}
	if _, err := u.Write(nil); !errors.Is(err, syscall.EDESTADDRREQ) {
		t.Errorf("Write without a peer: %v, want EDESTADDRREQ", err)
	}
	u.Close()
	if err := u.Join(netip.MustParseAddr("239.1.2.3"), z.Link.Devices()[1].Index()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Join after Close: %v, want net.ErrClosed", err)
	}
	for _, g := range z.Network.Groups() {
		if g.Group == netip.MustParseAddr("239.1.2.3") {
			t.Error("a socket that is closed is a member of a group")
		}
	}
}

// TestConnectedUDPHearsOnlyItsPeer: RFC 1122 leaves it open, every system does so.
func TestConnectedUDPHearsOnlyItsPeer(t *testing.T) {
	leak.Check(t)
	a, z := pair(t, link.PipeConfig{}, "udp")
	peer, other := listenUDP(t, a, "udp", "10.0.0.1:1"), listenUDP(t, a, "udp", "10.0.0.1:2")
	c, err := z.Dial("udp", "10.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	other.WriteTo([]byte("stranger"), c.LocalAddr())
	peer.WriteTo([]byte("peer"), c.LocalAddr())
	buf := make([]byte, 20)
	if n, err := c.Read(buf); err != nil || string(buf[:n]) != "peer" {
		t.Errorf("read %q, %v; want what the peer sent", buf[:n], err)
	}
}

// TestMulticastAndBroadcast: every member gets a copy, others none; broadcasts
// reach every socket of the port.
func TestMulticastAndBroadcast(t *testing.T) {
	leak.Check(t)
	a, z := pair(t, link.PipeConfig{Ethernet: true}, "udp")
	group := netip.MustParseAddrPort("239.1.2.3:7000")
	open := func() *socket.PacketConn {
		c, err := z.Sockets.ListenDatagram("udp4", ":7000", transport.DatagramOptions{ReuseAddr: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	first, second := open(), open()
	index := z.Link.Devices()[len(z.Link.Devices())-1].Index()
	for _, c := range []*socket.PacketConn{first, second} {
		if err := c.Join(group.Addr(), index); err != nil {
			t.Fatal(err)
		}
	}
	out, err := a.Sockets.ListenDatagram("udp4", "10.0.0.1:0", transport.DatagramOptions{Index: a.Link.Devices()[len(a.Link.Devices())-1].Index()})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	expect := func(c *socket.PacketConn, want string) {
		t.Helper()
		buf := make([]byte, 100)
		c.SetReadDeadline(time.Now().Add(5 * time.Second))
		if n, _, err := c.ReadFromAddrPort(buf); err != nil || string(buf[:n]) != want {
			t.Errorf("read %q, %v; want %q", buf[:n], err, want)
		}
	}
	if _, err := out.WriteToAddrPort([]byte("to the group"), group); err != nil {
		t.Fatal(err)
	}
	expect(first, "to the group")
	expect(second, "to the group")
	if err := second.Leave(group.Addr(), index); err != nil {
		t.Fatal(err)
	}
	if err := second.Leave(group.Addr(), index); !errors.Is(err, syscall.EADDRNOTAVAIL) {
		t.Errorf("leaving twice: %v, want EADDRNOTAVAIL", err)
	}
	for _, to := range []string{"10.0.0.255:7000", "255.255.255.255:7000"} {
		if _, err := out.WriteToAddrPort([]byte(to), netip.MustParseAddrPort(to)); err != nil {
			t.Fatalf("send to %s: %v", to, err)
		}
		expect(first, to)
		expect(second, to)
	}
}

// TestManySendersOneReceiver: concurrent use loses nothing that fits.
func TestManySendersOneReceiver(t *testing.T) {
	leak.Check(t)
	a, z := pair(t, link.PipeConfig{}, "udp")
	in := listenUDP(t, z, "udp", ":9")
	in.SetReadBuffer(4 << 20)
	const senders, each = 8, 200
	var wg sync.WaitGroup
	for range senders {
		wg.Go(func() {
			c, err := a.Dial("udp", "10.0.0.2:9")
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			for range each {
				if _, err := c.Write([]byte("x")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	in.SetReadDeadline(time.Now().Add(time.Second))
	n := 0
	for buf := make([]byte, 10); n < senders*each; n++ {
		if _, _, err := in.ReadFrom(buf); err != nil {
			break
		}
	}
	if n != senders*each {
		t.Errorf("%d datagrams of %d arrived", n, senders*each)
	}
}

// TestDontFragment: a socket that must not fragment (IP_PMTUDISC_DO) is told so
// instead of losing its datagrams, and segments must fit the path (UDP_SEGMENT).
func TestDontFragment(t *testing.T) {
	leak.Check(t)
	a, z := pair(t, link.PipeConfig{}, "udp")
	in := listenUDP(t, z, "udp", ":9")
	out := listenUDP(t, a, "udp", "10.0.0.1:0")
	to := netip.MustParseAddrPort("10.0.0.2:9")
	if err := out.SetOption(transport.MTUDiscover, int64(network.FragmentDo)); err != nil {
		t.Fatal(err)
	}
	if _, err := out.WriteToAddrPort(make([]byte, 1472), to); err != nil {
		t.Errorf("1472 bytes: %v", err)
	}
	if _, err := out.WriteToAddrPort(make([]byte, 1473), to); !errors.Is(err, syscall.EMSGSIZE) {
		t.Errorf("1473 bytes: %v, want EMSGSIZE", err)
	}
	if _, err := out.WriteMessage(make([]byte, 3000), &transport.Message{Dst: to, Segment: 1473}); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("segments of 1473 bytes: %v, want EINVAL", err)
	}
	if _, err := out.WriteMessage(pattern(3000), &transport.Message{Dst: to, Segment: 1400}); err != nil {
		t.Fatal(err)
	}
	var sizes []int
	buf := make([]byte, 2000)
	for range 4 {
		in.SetReadDeadline(time.Now().Add(5 * time.Second))
		n, _, err := in.ReadFromAddrPort(buf)
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, n)
	}
	if !slices.Equal(sizes, []int{1472, 1400, 1400, 200}) {
		t.Errorf("datagrams of %v bytes arrived, want 1472, 1400, 1400 and 200", sizes)
	}
}
