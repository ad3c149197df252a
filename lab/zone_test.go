package lab_test

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/lab"
)

// TestDialZone: RFC 4007 §6: a link-local address means something only with its
// zone, which Dial takes from the address and RemoteAddr tells.
func TestDialZone(t *testing.T) {
	a, z := lab.Kernel(t, nil, "ip6", "tcp"), lab.Kernel(t, nil, "ip6", "tcp")
	for _, p := range []string{"fe80::/64", "fe80::/64"} { // the same addresses on two links
		lab.Connect(t, a, z, lab.Wire{}, netip.MustParsePrefix(p))
	}
	ln, err := z.Listen("tcp", "[::]:80")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for _, zone := range []string{"lab0", "lab1"} {
		c, err := a.Dial("tcp", "[fe80::2%"+zone+"]:80")
		if err != nil {
			t.Errorf("dial in zone %s: %v", zone, err)
			continue
		}
		s, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if got, want := c.RemoteAddr().String(), "[fe80::2%"+zone+"]:80"; got != want {
			t.Errorf("connected to %s, want %s", got, want)
		}
		if got := s.RemoteAddr().(interface{ AddrPort() netip.AddrPort }).AddrPort().Addr().Zone(); got != zone {
			t.Errorf("accepted from zone %q, want %q", got, zone)
		}
		c.Close()
		s.Close()
	}
	if _, err := a.Dial("tcp", "[fe80::2%nosuch]:80"); err == nil {
		t.Error("dial in a zone that does not exist succeeded")
	}
}

// TestListenZone: who listens on a link-local address listens on one link, which its
// zone names, and tells so; what this host sends to itself comes by that link.
func TestListenZone(t *testing.T) {
	a, z := lab.Kernel(t, nil, "ip6", "tcp", "udp"), lab.Kernel(t, nil, "ip6", "tcp", "udp")
	for range 2 {
		lab.Connect(t, a, z, lab.Wire{}, netip.MustParsePrefix("fe80::/64"))
	}
	const local = "[fe80::2%lab1]:80"
	ln, err := z.Listen("tcp", local)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	pc, err := z.ListenPacket("udp", local)
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	if got := ln.Addr().String(); got != local {
		t.Errorf("the listener is on %s, want %s", got, local)
	}
	if got := pc.LocalAddr().String(); got != local {
		t.Errorf("the socket is on %s, want %s", got, local)
	}
	for _, x := range []struct {
		from  *knit.Kernel
		to    string
		heard bool
	}{{a, "[fe80::2%lab0]:80", false}, {a, local, true}, {z, local, true}} {
		c, err := x.from.Dial("tcp", x.to)
		if (err == nil) != x.heard {
			t.Errorf("tcp to %s: %v; want heard: %v", x.to, err, x.heard)
		}
		if err == nil {
			c.Close()
		}
		u, err := x.from.Dial("udp", x.to)
		if err != nil {
			t.Fatal(err)
		}
		if got := u.RemoteAddr().String(); got != x.to {
			t.Errorf("connected to %s, want %s", got, x.to)
		}
		exchange(t, u, pc, x.heard)
		u.Close()
	}
	for address, want := range map[string]error{
		"[fe80::2%nosuch]:81": syscall.ENODEV, "[fe80::99%lab1]:81": syscall.EADDRNOTAVAIL, "[fe80::1%lab0]:81": syscall.EADDRNOTAVAIL,
	} {
		if _, err := z.Listen("tcp", address); !errors.Is(err, want) {
			t.Errorf("tcp on %s: %v, want %v", address, err, want)
		}
		if _, err := z.ListenPacket("udp", address); !errors.Is(err, want) {
			t.Errorf("udp on %s: %v, want %v", address, err, want)
		}
	}
}

// exchange sends a datagram and, if it was heard, an answer.
func exchange(t *testing.T, u net.Conn, pc net.PacketConn, heard bool) {
	t.Helper()
	if _, err := u.Write([]byte("ask")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 10)
	if !heard {
		if _, err := u.Read(buf); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("a datagram by another link: %v, want ECONNREFUSED", err)
		}
		return
	}
	n, from, err := pc.ReadFrom(buf)
	if err != nil || string(buf[:n]) != "ask" || from.(*net.UDPAddr).Zone != "lab1" {
		t.Fatalf("heard %q from %v, %v; want it from zone lab1", buf[:n], from, err)
	}
	if _, err := pc.WriteTo([]byte("answer"), from); err != nil {
		t.Fatal(err)
	}
	if n, err := u.Read(buf); err != nil || string(buf[:n]) != "answer" {
		t.Errorf("the answer: %q, %v", buf[:n], err)
	}
}
