//go:build !race

package knit_test

import (
	"net/netip"
	"testing"

	"github.com/knitnet/knit/lab"
	"github.com/knitnet/knit/transport"
)

// TestSYNAllocations: a SYN that is answered with a cookie, by one of several
// listeners, or with a reset costs nothing but the path to the stranger. The race
// detector lets pools lose what they hold.
func TestSYNAllocations(t *testing.T) {
	k := lab.Kernel(t, nil, "tcp")
	s := meet(t, k)
	for range 3 {
		ln, err := k.Sockets.ListenStream("tcp", "10.0.0.2:80", transport.StreamOptions{ReusePort: true})
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
	}
	if err := k.Sysctl.Set("net.ipv4.tcp_syncookies", "2"); err != nil {
		t.Fatal(err)
	}
	s.count = map[uint16]int{}
	for _, to := range []string{"10.0.0.2:80", "10.0.0.2:81"} {
		x := syn(7)
		x.to = netip.MustParseAddrPort(to)
		// One for the path, two of the test: the segment and the bytes of the answer.
		if n := testing.AllocsPerRun(1000, func() { s.send(x) }); n > 3 {
			t.Errorf("%v allocations for a SYN to %v, want 3", n, to)
		}
	}
}
