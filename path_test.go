package knit_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/lab"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/route"
	"github.com/knitnet/knit/transport"
)

// chain returns a client and a server with a forwarding kernel between them, whose
// second device has a smaller MTU. The server does not know of it.
func chain(t *testing.T, mtu int) (a, r, z *knit.Kernel) {
	t.Helper()
	a, r, z = lab.Kernel(t, nil, "tcp", "udp"), lab.Kernel(t, nil, "ip4", "ip6"), lab.Kernel(t, nil, "tcp", "udp")
	prefixes := func(n int) []netip.Prefix {
		return []netip.Prefix{
			netip.MustParsePrefix(fmt.Sprintf("10.0.%d.0/24", n)), netip.MustParsePrefix(fmt.Sprintf("fd00:%d::/64", n)),
		}
	}
	lab.Connect(t, a, r, lab.Wire{Delay: time.Millisecond}, prefixes(1)...)
	lab.Connect(t, r, z, lab.Wire{Delay: time.Millisecond, MTU: mtu}, prefixes(2)...)
	last := z.Link.Devices()
	if err := last[len(last)-1].SetMTU(1500); err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"} {
		if err := r.Sysctl.Set(s, "1"); err != nil {
			t.Fatal(err)
		}
	}
	// a is .1 on the first link and r .2; r is .1 on the second and z .2.
	for _, x := range []struct {
		k       *knit.Kernel
		dst, gw string
	}{
		{a, "0.0.0.0/0", "10.0.1.2"}, {a, "::/0", "fd00:1::2"}, {z, "0.0.0.0/0", "10.0.2.1"}, {z, "::/0", "fd00:2::1"},
	} {
		err := x.k.Network.AddRoute(route.Route{
			Dst: netip.MustParsePrefix(x.dst), NextHops: []route.NextHop{{Gateway: netip.MustParseAddr(x.gw)}},
		}, route.Create)
		if err != nil {
			t.Fatal(err)
		}
	}
	return a, r, z
}

// TestPathMTUDiscovery: a transfer over a path whose MTU is smaller than that of
// its first link learns it (RFC 1191, RFC 8201) and loses no byte.
func TestPathMTUDiscovery(t *testing.T) {
	for _, addr := range []string{"10.0.2.2:80", "[fd00:2::2]:80"} {
		t.Run(addr, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, _, z := chain(t, 1300)
				ln, err := z.Listen("tcp", ":80")
				if err != nil {
					t.Fatal(err)
				}
				defer ln.Close()
				go func() {
					s, err := ln.Accept()
					if err != nil {
						return
					}
					io.Copy(s, s)
					s.Close()
				}()
				c, err := a.Dial("tcp", addr)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				go c.Write(pattern(300 << 10))
				b := make([]byte, 300<<10)
				if n, err := io.ReadFull(c, b); err != nil || string(b) != string(pattern(300<<10)) {
					t.Errorf("%d bytes came back, %v", n, err)
				}
				if s := a.Transport.Sockets(transport.TCP); len(s) != 1 || s[0].TCP.PMTU != 1300 {
					t.Errorf("%+v, want one connection with a path MTU of 1300", s)
				}
				c.(interface{ CloseWrite() error }).CloseWrite()
				if n, err := c.Read(b); n != 0 || err != io.EOF {
					t.Errorf("read %d bytes more, %v", n, err)
				}
			})
		})
	}
}

func pattern(n int) []byte {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "%08x", i)
	}
	return []byte(b.String()[:n])
}

// TestRefusedDatagram: an ICMP port unreachable becomes ECONNREFUSED on a
// connected socket (RFC 1122 §4.1.3.3), over a router too.
func TestRefusedDatagram(t *testing.T) {
	for _, addr := range []string{"10.0.2.2:9", "[fd00:2::2]:9"} {
		synctest.Test(t, func(t *testing.T) {
			a, _, _ := chain(t, 1500)
			c, err := a.Dial("udp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if _, err := c.Write([]byte("anybody there?")); err != nil {
				t.Fatal(err)
			}
			c.SetReadDeadline(time.Now().Add(time.Second))
			if _, err := c.Read(make([]byte, 10)); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("%s: read: %v, want ECONNREFUSED", addr, err)
			}
		})
	}
}

// TestLargeDatagram: a datagram of the largest size is fragmented and put together
// again, over a link with a smaller MTU on the way.
func TestLargeDatagram(t *testing.T) {
	for _, addr := range []string{"10.0.2.2:53", "[fd00:2::2]:53"} {
		synctest.Test(t, func(t *testing.T) {
			a, _, z := chain(t, 1400)
			in, err := z.ListenPacket("udp", ":53")
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			c, err := a.Dial("udp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			want := pattern(65507)
			buf := make([]byte, 70000)
			// The first may be lost to learn the path MTU (IPv6, or DF).
			for range 3 {
				if _, err := c.Write(want); err != nil {
					t.Fatal(err)
				}
				in.SetReadDeadline(time.Now().Add(time.Second))
				n, _, err := in.ReadFrom(buf)
				if err == nil {
					if string(buf[:n]) != string(want) {
						t.Errorf("%s: %d bytes arrived, not those that were sent", addr, n)
					}
					return
				}
			}
			t.Errorf("%s: no datagram of 65507 bytes arrived", addr)
		})
	}
}

// TestLoopbackAddresses: a kernel talks to itself by 127.0.0.1 and ::1 without any
// configuration.
func TestLoopbackAddresses(t *testing.T) {
	k := lab.Kernel(t, nil, "tcp")
	for _, host := range []string{"127.0.0.1", "127.9.9.9", "[::1]", "localhost"} {
		ln, err := k.Listen("tcp", ":0")
		if err != nil {
			t.Fatal(err)
		}
		c, err := k.Dial("tcp", fmt.Sprintf("%s:%d", host, ln.Addr().(*net.TCPAddr).Port))
		if err != nil {
			t.Errorf("%s: %v", host, err)
		} else {
			c.Close()
		}
		ln.Close()
	}
}

// TestForgedPathMTU: an error that quotes a segment which is not in flight lowers
// nothing (RFC 5927 §7.2).
func TestForgedPathMTU(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _, z := chain(t, 1500)
		c, _ := openAt(t, a, z, "10.0.2.2:0")
		quoted := make([]byte, 8)
		local, remote := c.LocalAddr().(*net.TCPAddr).AddrPort(), c.RemoteAddr().(*net.TCPAddr).AddrPort()
		binary.BigEndian.PutUint16(quoted, local.Port())
		binary.BigEndian.PutUint16(quoted[2:], remote.Port())
		a.Network.Deliver(&network.Error{
			Kind: network.PacketTooBig, Src: local.Addr(), Dst: remote.Addr(), Proto: 6, MTU: 600, Payload: quoted,
		})
		a.Network.PathMTUs(func(dst netip.Addr, mtu int, _ time.Duration) {
			t.Errorf("believed a path MTU of %d to %v", mtu, dst)
		})
	})
}
