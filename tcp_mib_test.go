package knit_test

import (
	"io"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/lab"
)

// TestCurrEstab: RFC 4022 §4: tcpCurrEstab is the number of connections "for which
// the current state is either ESTABLISHED or CLOSE-WAIT", tcpEstabResets how many
// went from there to CLOSED at once.
func TestCurrEstab(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, z := lab.Kernel(t, nil, "tcp"), lab.Kernel(t, nil, "tcp")
		lab.Connect(t, a, z, lab.Wire{Delay: time.Millisecond}, netip.MustParsePrefix("10.0.0.0/24"))
		c, s := open(t, a, z)
		time.Sleep(10 * time.Millisecond)
		expect := func(when string, k *knit.Kernel, established, resets uint64) {
			t.Helper()
			if n, r := tcpCounter(t, k, "CurrEstab"), tcpCounter(t, k, "EstabResets"); n != established || r != resets {
				t.Errorf("%s: CurrEstab %d, EstabResets %d; want %d and %d", when, n, r, established, resets)
			}
		}
		expect("open", a, 1, 0)
		c.Close()
		io.Copy(io.Discard, s)
		expect("closed by us", a, 0, 0)
		expect("closed by the peer", z, 1, 0)
		s.Close()
		time.Sleep(10 * time.Millisecond)
		expect("in TIME-WAIT", a, 0, 0)
		expect("closed by both", z, 0, 0)
		c, s = open(t, a, z)
		c.SetLinger(0)
		c.Close()
		s.Read(make([]byte, 1))
		expect("reset by us", a, 0, 1)
		expect("reset by the peer", z, 0, 1)
	})
}

// tcpCounter returns a counter of the Tcp group.
func tcpCounter(t *testing.T, k *knit.Kernel, name string) uint64 {
	t.Helper()
	g, _ := k.Stats.Lookup("Tcp")
	for _, f := range g.Fields {
		if f.Name == name {
			return f.Load()
		}
	}
	t.Fatalf("no counter %s", name)
	return 0
}
