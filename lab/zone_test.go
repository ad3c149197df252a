package lab_test

import (
	"net/netip"
	"testing"

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
