package knit_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"runtime"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/lab"
	"github.com/knitnet/knit/socket"
)

// TestTimeWaitIsSmall: what is left of a connection in TIME-WAIT has no buffer and
// no packet, and takes a fraction of what a connection takes.
func TestTimeWaitIsSmall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, z := lab.Kernel(t, nil, "tcp"), lab.Kernel(t, nil, "tcp")
		lab.Connect(t, a, z, lab.Wire{Delay: time.Millisecond}, netip.MustParsePrefix("10.0.0.0/24"))
		ln, err := z.Listen("tcp", "10.0.0.2:80")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		const n = 500
		before := heap()
		for range n {
			useOnce(t, a, ln)
		}
		time.Sleep(10 * time.Millisecond)
		if live, bufs := a.Pool.Live(), a.Pool.LiveBufs(); live != 0 || bufs != 0 {
			t.Errorf("%d packets and %d buffers are held in TIME-WAIT", live, bufs)
		}
		if got := (heap() - before) / n; got > 600 {
			t.Errorf("%d bytes for each connection in TIME-WAIT, its places in tables included", got)
		}
		time.Sleep(time.Minute)
		if got := states(a); got != "" {
			t.Errorf("after a minute: %q", got)
		}
	})
}

// useOnce sends some data over a connection of its own, which a ends first.
func useOnce(t *testing.T, a *knit.Kernel, ln net.Listener) {
	t.Helper()
	c, err := a.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c.Write(make([]byte, 20000))
	c.(*socket.Conn).CloseWrite()
	io.Copy(io.Discard, s)
	s.Close()
	io.Copy(io.Discard, c)
	c.Close()
}

// heap returns the bytes in use.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestTimeWaitReuse: RFC 6191: a tuple in TIME-WAIT is used again by whoever is there
// first: the peer, whose SYN is later, at once, the host that waits after a second.
func TestTimeWaitReuse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, z := lab.Kernel(t, nil, "tcp"), lab.Kernel(t, nil, "tcp")
		lab.Connect(t, a, z, lab.Wire{Delay: time.Millisecond}, netip.MustParsePrefix("10.0.0.0/24"))
		ln, err := z.Listen("tcp", "10.0.0.2:80")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		dial := func() (*socket.Conn, error) {
			d := socket.Dialer{Sockets: a.Sockets, Local: netip.MustParseAddrPort("10.0.0.1:5000")}
			d.Options.ReuseAddr = true
			c, err := d.DialContext(context.Background(), "tcp", "10.0.0.2:80")
			if err != nil {
				return nil, err
			}
			return c.(*socket.Conn), nil
		}
		for _, first := range []string{"the server", "the client"} {
			for range 3 {
				c, err := dial()
				if err != nil {
					t.Fatalf("%s closed first: %v", first, err)
				}
				s, err := ln.Accept()
				if err != nil {
					t.Fatal(err)
				}
				// So much that the numbers are ahead of the clock of RFC 6528.
				go c.Write(make([]byte, 1<<20))
				if _, err := io.CopyN(io.Discard, s, 1<<20); err != nil {
					t.Fatal(err)
				}
				if first == "the server" {
					s.Close()
					io.Copy(io.Discard, c)
					c.Close()
					time.Sleep(5 * time.Millisecond)
					continue
				}
				c.Close()
				io.Copy(io.Discard, s)
				s.Close()
				time.Sleep(5 * time.Millisecond)
				if _, err := dial(); !errors.Is(err, syscall.EADDRNOTAVAIL) {
					t.Errorf("dial at once where we are in TIME-WAIT: %v, want %v", err, syscall.EADDRNOTAVAIL)
				}
				time.Sleep(time.Second)
			}
		}
	})
}
