package knit_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/internal/leak"
	"github.com/knitnet/knit/lab"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/socket"
	"github.com/knitnet/knit/transport"
)

// open returns both ends of a connection from a to z.
func open(t *testing.T, a, z *knit.Kernel) (c, s *socket.Conn) {
	t.Helper()
	return openAt(t, a, z, "10.0.0.2:0")
}

// openAt is open for a server at an address of z.
func openAt(t *testing.T, a, z *knit.Kernel, address string) (c, s *socket.Conn) {
	t.Helper()
	ln, err := z.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	x, err := a.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	y, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Close(); y.Close() })
	return x.(*socket.Conn), y.(*socket.Conn)
}

// TestErrorsAreThoseOfNet: what a program of package net checks for holds here.
func TestErrorsAreThoseOfNet(t *testing.T) {
	leak.Check(t)
	a, z := pair(t, link.PipeConfig{}, "tcp")
	ln, err := z.Listen("tcp", "10.0.0.2:80")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for _, c := range []struct {
		name string
		call func() error
		want error
		text string
	}{
		{"dial a port where nobody listens", func() error { _, err := a.Dial("tcp", "10.0.0.2:81"); return err },
			syscall.ECONNREFUSED, "dial tcp 10.0.0.2:81: connect: connection refused"},
		{"dial without a route", func() error { _, err := a.Dial("tcp", "192.0.2.1:80"); return err },
			syscall.ENETUNREACH, "dial tcp 192.0.2.1:80: connect: network is unreachable"},
		{"listen where somebody listens", func() error { _, err := z.Listen("tcp", "10.0.0.2:80"); return err },
			syscall.EADDRINUSE, "listen tcp 10.0.0.2:80: bind: address already in use"},
		{"listen on all addresses of a port in use", func() error { _, err := z.Listen("tcp", ":80"); return err },
			syscall.EADDRINUSE, "listen tcp :80: bind: address already in use"},
		{"listen on somebody else's address", func() error { _, err := z.Listen("tcp", "10.0.0.3:80"); return err },
			syscall.EADDRNOTAVAIL, "listen tcp 10.0.0.3:80: bind: cannot assign requested address"},
		{"a network that does not exist", func() error { _, err := a.Dial("tpc", "10.0.0.2:80"); return err },
			net.UnknownNetworkError("tpc"), "dial tpc: unknown network tpc"},
	} {
		err := c.call()
		if !errors.Is(err, c.want) || err.Error() != c.text {
			t.Errorf("%s: %v\nwant %s", c.name, err, c.text)
		}
		var op *net.OpError
		if !errors.As(err, &op) {
			t.Errorf("%s: %T is no *net.OpError", c.name, err)
		}
	}
}

func TestHalfClose(t *testing.T) {
	leak.Check(t)
	a, z := pair(t, link.PipeConfig{}, "tcp")
	c, s := open(t, a, z)
	c.Write([]byte("question"))
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(s); err != nil || string(b) != "question" {
		t.Fatalf("read %q, %v", b, err)
	}
	if _, err := c.Write([]byte("more")); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("write after CloseWrite: %v, want EPIPE", err)
	}
	s.Write([]byte("answer"))
	s.Close()
	if b, err := io.ReadAll(c); err != nil || string(b) != "answer" {
		t.Errorf("read %q, %v after CloseWrite", b, err)
	}
}

// TestResets: RFC 9293 §3.5.3 and the rules of SO_LINGER.
func TestResets(t *testing.T) {
	leak.Check(t)
	a, z := pair(t, link.PipeConfig{}, "tcp")
	t.Run("linger 0", func(t *testing.T) {
		c, s := open(t, a, z)
		c.SetLinger(0)
		c.Close()
		if _, err := s.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("read: %v, want connection reset by peer", err)
		}
	})
	t.Run("close with unread data", func(t *testing.T) { // RFC 2525 §2.17
		c, s := open(t, a, z)
		s.Write([]byte("unread"))
		c.Close()
		if _, err := s.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("read: %v, want connection reset by peer", err)
		}
	})
	t.Run("data for a closed socket", func(t *testing.T) {
		c, s := open(t, a, z)
		c.Close()
		s.Write([]byte("x"))
		if _, err := s.Write([]byte("y")); !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("write: %v, want EPIPE or ECONNRESET", err)
		}
	})
}

func TestDeadlinesAndClose(t *testing.T) {
	leak.Check(t)
	a, z := pair(t, link.PipeConfig{}, "tcp")
	c, _ := open(t, a, z)
	c.SetReadDeadline(time.Now().Add(-time.Second))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read past the deadline: %v", err)
	}
	c.Close()
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read after Close: %v", err)
	}
	if err := c.SetDeadline(time.Now()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("SetDeadline after Close: %v", err)
	}
	if err := c.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("second Close: %v", err)
	}
}

// TestDialTimesOut: over a link that loses everything the context ends Dial, and
// without one the SYN's retries do, after as long as Linux takes.
func TestDialTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, z := lab.Kernel(t, nil, "tcp"), lab.Kernel(t, nil, "tcp")
		lab.Connect(t, a, z, lab.Wire{Loss: 1}, netip.MustParsePrefix("10.0.0.0/24"))
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		begin := time.Now()
		_, err := a.DialContext(ctx, "tcp", "10.0.0.2:80")
		if d := time.Since(begin); d != 3*time.Second || !os.IsTimeout(err) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after %v: %v, want a timeout after 3s", d, err)
		}
		begin = time.Now()
		_, err = a.Dial("tcp", "10.0.0.2:80")
		if d := time.Since(begin); d < 120*time.Second || d > 140*time.Second || !errors.Is(err, syscall.ETIMEDOUT) {
			t.Errorf("after %v: %v, want ETIMEDOUT after 127s (six retries)", d, err)
		}
	})
}

// TestSYNCookies: when every handshake is answered with a cookie, connections
// still open and carry data, with and without options.
func TestSYNCookies(t *testing.T) {
	leak.Check(t)
	for _, timestamps := range []string{"1", "0"} {
		a, z := pair(t, link.PipeConfig{}, "tcp")
		for _, s := range [][2]string{{"net.ipv4.tcp_syncookies", "2"}, {"net.ipv4.tcp_timestamps", timestamps}} {
			if err := z.Sysctl.Set(s[0], s[1]); err != nil {
				t.Fatal(err)
			}
		}
		c, s := open(t, a, z)
		go func() { s.Write(make([]byte, 1<<20)); s.Close() }()
		if n, err := io.Copy(io.Discard, c); n != 1<<20 || err != nil {
			t.Errorf("received %d bytes, %v", n, err)
		}
		g, _ := z.Stats.Lookup("TcpExt")
		for _, f := range g.Fields {
			if f.Name == "SyncookiesRecv" && f.Load() != 1 {
				t.Errorf("SyncookiesRecv = %d, want 1", f.Load())
			}
		}
	}
}

// TestBacklogIsBounded: connections that nobody accepts are bounded by the
// backlog, and those that wait are accepted later.
func TestBacklogIsBounded(t *testing.T) {
	leak.Check(t)
	a, z := pair(t, link.PipeConfig{}, "tcp")
	ln, err := z.Sockets.ListenStream("tcp", "10.0.0.2:80", transport.StreamOptions{Backlog: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	var open []net.Conn
	for range 5 {
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		c, err := a.DialContext(ctx, "tcp", "10.0.0.2:80")
		cancel()
		if err == nil {
			open = append(open, c)
		}
	}
	if len(open) != 2 {
		t.Errorf("%d connections opened with a backlog of 2", len(open))
	}
	for _, c := range open {
		s, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
		c.Close()
	}
}

// TestTimeWait: who closes first keeps the connection for a minute (RFC 9293
// §3.6.1), then nothing is left.
func TestTimeWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, z := lab.Kernel(t, nil, "tcp"), lab.Kernel(t, nil, "tcp")
		lab.Connect(t, a, z, lab.Wire{Delay: time.Millisecond}, netip.MustParsePrefix("10.0.0.0/24"))
		c, s := open(t, a, z)
		c.Close()
		if _, err := s.Read(make([]byte, 1)); err != io.EOF {
			t.Fatalf("read: %v", err)
		}
		s.Close()
		time.Sleep(10 * time.Millisecond)
		if got := states(a); got != "TIME-WAIT" {
			t.Errorf("who closed first is in %q, want TIME-WAIT", got)
		}
		if got := states(z); got != "" {
			t.Errorf("who closed last is in %q, want to be gone", got)
		}
		time.Sleep(59 * time.Second)
		if got := states(a); got != "TIME-WAIT" {
			t.Errorf("after 59 s: %q, want TIME-WAIT", got)
		}
		time.Sleep(2 * time.Second)
		if got := states(a); got != "" {
			t.Errorf("after 61 s: %q, want to be gone", got)
		}
	})
}

// states lists the states of a kernel's connections.
func states(k *knit.Kernel) string {
	var out []string
	for _, s := range k.Transport.Sockets(transport.TCP) {
		out = append(out, s.State)
	}
	return strings.Join(out, " ")
}

// TestCongestionControlByName: a program chooses one, its module is loaded, and
// unloading moves the connection to the default.
func TestCongestionControlByName(t *testing.T) {
	leak.Check(t)
	a, z := pair(t, link.PipeConfig{}, "tcp")
	c, _ := open(t, a, z)
	name := func() string {
		for _, s := range a.Transport.Sockets(transport.TCP) {
			return s.TCP.Congestion
		}
		return ""
	}
	if got := name(); got != "cubic" {
		t.Errorf("a new connection uses %q, want cubic", got)
	}
	if err := c.SetCongestionControl("reno"); err != nil || name() != "reno" {
		t.Fatalf("set to reno: %v, uses %q", err, name())
	}
	if err := a.Rmmod(context.Background(), "tcp_reno"); err != nil {
		t.Fatal(err)
	}
	if got := name(); got != "cubic" {
		t.Errorf("after the module went it uses %q, want cubic", got)
	}
	if err := c.SetCongestionControl("nosuch"); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("set to one that does not exist: %v, want ENOENT", err)
	}
}
