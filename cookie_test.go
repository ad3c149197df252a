package knit_test

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/knitnet/knit/lab"
	"github.com/knitnet/knit/transport"
)

// TestCookieTimestamps: the timestamp of a SYN-ACK that carries a cookie is not in
// the future, else the peer discards what the server sends first (RFC 7323 §5.3).
func TestCookieTimestamps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, z := lab.Kernel(t, nil, "tcp"), lab.Kernel(t, nil, "tcp")
		lab.Connect(t, a, z, lab.Wire{Delay: time.Millisecond}, netip.MustParsePrefix("10.0.0.0/24"))
		if err := z.Sysctl.Set("net.ipv4.tcp_syncookies", "2"); err != nil {
			t.Fatal(err)
		}
		for range 40 {
			c, s := open(t, a, z)
			begin := time.Now()
			s.Write([]byte("x"))
			if _, err := c.Read(make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			if d := time.Since(begin); d > 10*time.Millisecond {
				t.Fatalf("the first byte took %v over a wire of 1ms", d)
			}
			c.Close()
			s.Close()
		}
	})
}

// TestBacklogOfManyAtOnce: handshakes that were under way together do not get past
// the backlog, whether they were remembered or answered with cookies.
func TestBacklogOfManyAtOnce(t *testing.T) {
	for _, cookies := range []string{"0", "1", "2"} {
		t.Run("syncookies "+cookies, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { manyAtOnce(t, cookies) })
		})
	}
}

func manyAtOnce(t *testing.T, cookies string) {
	const backlog, dials = 4, 50
	a, z := lab.Kernel(t, nil, "tcp"), lab.Kernel(t, nil, "tcp")
	lab.Connect(t, a, z, lab.Wire{Delay: time.Millisecond}, netip.MustParsePrefix("10.0.0.0/24"))
	if err := z.Sysctl.Set("net.ipv4.tcp_syncookies", cookies); err != nil {
		t.Fatal(err)
	}
	ln, err := z.Sockets.ListenStream("tcp", "10.0.0.2:80", transport.StreamOptions{Backlog: backlog})
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	opened := make(chan net.Conn, dials)
	for range dials {
		go func() {
			c, _ := a.DialContext(ctx, "tcp", "10.0.0.2:80")
			opened <- c
		}()
	}
	for range dials {
		if c := <-opened; c != nil {
			defer c.Close()
		}
	}
	time.Sleep(5 * time.Millisecond) // the last acknowledgements are on their way
	waiting := 0
	for _, s := range z.Transport.Sockets(transport.TCP) {
		if s.State == "LISTEN" {
			waiting = s.RecvQ
		}
	}
	if waiting == 0 || waiting > 2*backlog {
		t.Errorf("%d connections wait with a backlog of %d", waiting, backlog)
	}
}
