package uplink_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/klog"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/transport"
)

type halfCloser interface {
	CloseWrite() error
	SetLinger(sec int) error
}

func echo(c net.Conn) {
	defer c.Close()
	io.Copy(c, struct{ io.Reader }{c})
}

// TestHalfClose: the end of the stream is passed on in both directions, each by
// itself.
func TestHalfClose(t *testing.T) {
	w := newWorld(t, nil)
	for _, address := range []string{"192.0.2.1:80", "[2001:db8::1]:80"} {
		w.listen(address, func(c net.Conn) {
			defer c.Close()
			b, err := io.ReadAll(c) // ends only if our FIN gets through
			fmt.Fprintf(c, "%s, %v", bytes.ToUpper(b), err)
		})
		c := w.call("tcp", address)
		io.WriteString(c, "hello")
		c.(halfCloser).CloseWrite()
		if b, err := io.ReadAll(c); err != nil || string(b) != "HELLO, <nil>" {
			t.Errorf("%s: got %q, %v", address, b, err)
		}
	}
	got := make(chan string)
	w.listen("192.0.2.1:81", func(c net.Conn) {
		defer c.Close()
		io.WriteString(c, "bye")
		c.(halfCloser).CloseWrite()
		b, _ := io.ReadAll(c)
		got <- string(b)
	})
	c := w.call("tcp", "192.0.2.1:81")
	if b, err := io.ReadAll(c); err != nil || string(b) != "bye" {
		t.Errorf("got %q, %v", b, err)
	}
	io.WriteString(c, "one more thing")
	c.Close()
	if s := <-got; s != "one more thing" {
		t.Errorf("after its FIN the outside got %q", s)
	}
}

// TestAcceptedWhenConnected: inside a connection is open only once the host's is.
func TestAcceptedWhenConnected(t *testing.T) {
	w := newWorld(t, nil)
	w.listen("192.0.2.1:80", echo)
	asked, allowed := make(chan netip.AddrPort), make(chan struct{})
	dial := w.dial
	w.dial = func(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error) {
		asked <- to
		<-allowed
		return dial(ctx, network, to)
	}
	opened := make(chan error)
	go func() {
		c, err := w.guest.Dial("tcp", "192.0.2.1:80")
		if err == nil {
			c.Close()
		}
		opened <- err
	}()
	if to := <-asked; to.String() != "192.0.2.1:80" {
		t.Errorf("the host was asked for %v", to)
	}
	if s := w.gate.Transport.Sockets(transport.TCP); len(s) != 0 {
		t.Errorf("before the host has connected: %+v", s)
	}
	select {
	case err := <-opened:
		t.Errorf("open too early: %v", err)
	default:
	}
	close(allowed)
	if err := <-opened; err != nil {
		t.Error(err)
	}
}

func TestRefused(t *testing.T) {
	w := newWorld(t, nil)
	for _, address := range []string{"192.0.2.1:9", "[2001:db8::1]:9"} {
		if c, err := w.guest.Dial("tcp", address); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%s: %v, %v; want connection refused", address, c, err)
		}
	}
}

// TestUnreachable: what the host cannot reach is answered by the ICMP error a
// router would send.
func TestUnreachable(t *testing.T) {
	w := newWorld(t, nil)
	for _, x := range []struct {
		errno  syscall.Errno
		v4, v6 byte // codes
	}{
		{syscall.ENETUNREACH, 0, 0}, {syscall.EADDRNOTAVAIL, 0, 0}, {syscall.EHOSTUNREACH, 1, 3},
		{syscall.ETIMEDOUT, 1, 3}, {syscall.EACCES, 13, 1},
	} {
		w.dial = func(context.Context, string, netip.AddrPort) (net.Conn, error) {
			return nil, os.NewSyscallError("connect", x.errno)
		}
		w.unreachable(x.errno, "ip4:icmp", "192.0.2.1:80", "10.0.2.2", 3, x.v4)
		w.unreachable(x.errno, "ip6:58", "[2001:db8::1]:80", "fd00::3", 1, x.v6) // the newest of equals
	}
}

// unreachable calls an address and wants an ICMP error of a type and code.
func (w *world) unreachable(errno error, icmp, address, by string, typ, code byte) {
	w.t.Helper()
	p, err := w.guest.ListenPacket(icmp, "")
	if err != nil {
		w.t.Fatal(err)
	}
	defer p.Close()
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if c, err := w.guest.DialContext(ctx, "tcp", address); err == nil {
			w.t.Error("connected")
			c.Close()
		}
	}()
	b := make([]byte, 1500)
	for { // neighbour discovery is heard too
		n, from, err := p.ReadFrom(b)
		if err != nil {
			w.t.Fatal(err)
		}
		if icmp == "ip4:icmp" {
			n = copy(b, b[min(n, 20):n]) // the IP header is read too
		}
		if n >= 8 && b[0] >= 128 {
			continue
		}
		if n < 8 || b[0] != typ || b[1] != code || from.String() != by {
			w.t.Errorf("%v: got type %d, code %d from %v; want %d, %d", errno, b[0], b[1], from, typ, code)
		}
		break
	}
	cancel()
	<-done
}

// TestShortage: when the host has no descriptor to spare, the SYN is left without an
// answer, and the next one finds it again.
func TestShortage(t *testing.T) {
	c := clock.NewVirtual()
	w := newWorld(t, c)
	w.listen("192.0.2.1:80", echo)
	tried := make(chan struct{}, 1)
	dial := w.dial
	var calls atomic.Int32
	w.dial = func(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error) {
		if calls.Add(1) == 1 {
			tried <- struct{}{}
			return nil, os.NewSyscallError("socket", syscall.EMFILE)
		}
		return dial(ctx, network, to)
	}
	opened := make(chan error)
	go func() {
		c, err := w.guest.Dial("tcp", "192.0.2.1:80")
		if err == nil {
			c.Close()
		}
		opened <- err
	}()
	<-tried
	until(t, "the warning", func() bool {
		return slices.ContainsFunc(w.gate.Log.Entries(), func(e klog.Entry) bool {
			return strings.Contains(e.Text, "too many open files")
		})
	})
	until(t, "the timer", func() bool {
		s := w.guest.Transport.Sockets(transport.TCP)
		return len(s) == 1 && s[0].Timer == "on"
	})
	// RFC 6298 §2.1, §5.5: the SYN is sent again. It may still meet the request of the
	// first one.
	for wait := time.Second; calls.Load() < 2; wait *= 2 {
		repeated := w.drops(stat.TCPOldData)
		c.Advance(wait)
		until(t, "the SYN", func() bool { return calls.Load() == 2 || w.drops(stat.TCPOldData) > repeated })
	}
	if err := <-opened; err != nil {
		t.Error(err)
	}
}

// TestReset: a reset on one side is a reset on the other.
func TestReset(t *testing.T) {
	w := newWorld(t, nil)
	seen := make(chan error)
	w.listen("192.0.2.1:80", func(c net.Conn) {
		defer c.Close()
		c.Read(make([]byte, 1))
		_, err := c.Read(make([]byte, 1))
		seen <- err
	})
	c := w.call("tcp", "192.0.2.1:80")
	io.WriteString(c, "x")
	c.(halfCloser).SetLinger(0)
	c.Close()
	if err := <-seen; !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("outside: %v, want connection reset", err)
	}
	w.listen("192.0.2.1:81", func(c net.Conn) {
		c.Read(make([]byte, 1))
		c.(halfCloser).SetLinger(0)
		c.Close()
	})
	c = w.call("tcp", "192.0.2.1:81")
	io.WriteString(c, "x")
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("inside: %v, want connection reset", err)
	}
}

// sendQueue returns how much of what was written to c the peer has not got.
func sendQueue(c net.Conn) int64 {
	n, err := c.(interface {
		Option(transport.Option) (int64, error)
	}).Option(transport.SendQueue)
	if err != nil {
		return 0
	}
	return n
}

// TestResetAfterData: what the host had received when the outside reset the
// connection can be read inside before the reset, as it could on the host; also when
// it is a writer inside who meets the reset, as the client does whom a server tells
// that it will not take more.
func TestResetAfterData(t *testing.T) {
	for _, writing := range []bool{false, true} {
		w := newWorld(t, nil)
		text := bytes.Repeat([]byte("0123456789abcdef"), 200<<10/16)
		over := make(chan struct{})
		w.listen("192.0.2.1:80", func(c net.Conn) {
			defer close(over)
			c.Read(make([]byte, 1))
			c.Write(text)
			until(t, "the host", func() bool { return sendQueue(c) == 0 })
			c.(halfCloser).SetLinger(0)
			c.Close()
		})
		c := w.call("tcp", "192.0.2.1:80")
		c.Write([]byte("x"))
		for writing {
			_, err := c.Write(make([]byte, 64<<10))
			select {
			case <-over:
				writing = false
			default:
				writing = err == nil
			}
		}
		<-over
		got, err := io.ReadAll(c)
		if !bytes.Equal(got, text) || !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%d of %d bytes, then %v; want connection reset", len(got), len(text), err)
		}
	}
}

// TestResetOfNoReader: who does nothing about what came before a reset meets it ten
// seconds later, and nothing is left of the connection.
func TestResetOfNoReader(t *testing.T) {
	clk := clock.NewVirtual()
	w := newWorld(t, clk)
	over := make(chan struct{})
	w.listen("192.0.2.1:80", func(c net.Conn) {
		defer close(over)
		c.Write(make([]byte, 200<<10))
		until(t, "the host", func() bool { clk.Advance(time.Millisecond); return sendQueue(c) == 0 })
		c.(halfCloser).SetLinger(0)
		c.Close()
	})
	c := w.call("tcp", "192.0.2.1:80")
	<-over
	open := func() int { return len(w.gate.Transport.Sockets(transport.TCP)) }
	clk.Advance(9 * time.Second)
	if n := open(); n != 1 {
		t.Errorf("%d connections after nine seconds, want 1", n)
	}
	until(t, "the end", func() bool { clk.Advance(time.Second); return open() == 0 })
	if _, err := io.Copy(io.Discard, struct{ io.Reader }{c}); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%v, want connection reset", err)
	}
}

// TestBackPressure: who writes is held up when nobody reads at the other end, and
// nothing is lost.
func TestBackPressure(t *testing.T) {
	const much = 256 << 20
	w := newWorld(t, nil)
	hold := func(c net.Conn, sum *[]byte) int64 {
		c.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
		h, b, sent := sha256.New(), make([]byte, 1<<20), int64(0)
		for sent < much {
			for i := range b {
				b[i] = byte(sent>>20) + byte(i)
			}
			n, err := c.Write(b)
			h.Write(b[:n])
			sent += int64(n)
			if err != nil {
				break
			}
		}
		c.(halfCloser).CloseWrite()
		*sum = h.Sum(nil)
		return sent
	}
	read := func(c net.Conn) (int64, []byte) {
		h := sha256.New()
		n, err := io.Copy(h, struct{ io.Reader }{c})
		if err != nil {
			t.Error(err)
		}
		return n, h.Sum(nil)
	}
	var theirs net.Conn
	accepted := make(chan struct{})
	w.listen("192.0.2.1:80", func(c net.Conn) { theirs = c; close(accepted) })
	ours := w.call("tcp", "192.0.2.1:80")
	<-accepted
	defer theirs.Close()
	for name, c := range map[string][2]net.Conn{"up": {ours, theirs}, "down": {theirs, ours}} {
		var sum []byte
		sent := hold(c[0], &sum)
		if sent == much {
			t.Errorf("%s: %d bytes went where nobody reads", name, sent)
		}
		if n, got := read(c[1]); n != sent || !bytes.Equal(got, sum) {
			t.Errorf("%s: %d bytes arrived of %d, or others", name, n, sent)
		}
	}
}

// TestManyFlows: a thousand at once, each with its own bytes, and nothing of them
// is left.
func TestManyFlows(t *testing.T) {
	w := newWorld(t, nil, "max_pending=2000")
	w.listen("192.0.2.1:80", echo)
	var all sync.WaitGroup
	ready := make(chan struct{})
	for i := range 1000 {
		all.Go(func() {
			c, err := w.guest.Dial("tcp", "192.0.2.1:80")
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			<-ready // all of them are open now
			text := strings.Repeat(fmt.Sprint(i, " "), 500)
			go func() { io.WriteString(c, text); c.(halfCloser).CloseWrite() }()
			if b, err := io.ReadAll(c); err != nil || string(b) != text {
				t.Errorf("flow %d: %d bytes, %v", i, len(b), err)
			}
		})
	}
	close(ready)
	all.Wait()
}

// TestLimits: a connection too many waits until there is room; the peer's next SYN
// finds it.
func TestLimits(t *testing.T) {
	w := newWorld(t, nil, "max_flows=1")
	w.listen("192.0.2.1:80", echo)
	first := w.call("tcp", "192.0.2.1:80")
	second := make(chan error)
	go func() {
		c, err := w.guest.Dial("tcp", "192.0.2.1:80")
		if err == nil {
			c.Close()
		}
		second <- err
	}()
	first.Close()
	if err := <-second; err != nil {
		t.Error(err)
	}
}

// TestPending: a SYN that comes again while the host connects asks for nothing new,
// and past the limit of pending connections SYNs are dropped until there is room.
func TestPending(t *testing.T) {
	c := clock.NewVirtual()
	w := newWorld(t, c, "max_pending=1")
	w.listen("192.0.2.1:80", echo)
	var asked atomic.Int32
	allowed := make(chan struct{})
	dial := w.dial
	w.dial = func(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error) {
		asked.Add(1)
		<-allowed
		return dial(ctx, network, to)
	}
	opened := make(chan error)
	for range 2 {
		go func() {
			c, err := w.guest.Dial("tcp", "192.0.2.1:80")
			if err == nil {
				c.Close()
			}
			opened <- err
		}()
	}
	until(t, "both SYNs", func() bool {
		return asked.Load() == 1 && w.drops(stat.SocketBacklog) == 1
	})
	repeated := w.drops(stat.TCPOldData)
	c.Advance(time.Second) // RFC 6298 §2.1: the SYNs are sent again
	if asked.Load() != 1 || w.drops(stat.TCPOldData) != repeated+1 || w.drops(stat.SocketBacklog) != 2 {
		t.Errorf("after a second: asked %d times, %d repeated, %d too many; want 1, 1, 2",
			asked.Load(), w.drops(stat.TCPOldData)-repeated, w.drops(stat.SocketBacklog))
	}
	close(allowed)
	if err := <-opened; err != nil {
		t.Error(err)
	}
	c.Advance(2 * time.Second) // and again
	if err := <-opened; err != nil || asked.Load() != 2 {
		t.Errorf("the second one: %v, asked %d times", err, asked.Load())
	}
}

// TestUnload: flows are reset, the default route is gone, and the next call finds
// no way out.
func TestUnload(t *testing.T) {
	w := newWorld(t, nil)
	w.listen("192.0.2.1:80", echo)
	before := len(w.gate.Network.Main.All())
	c := w.call("tcp", "192.0.2.1:80")
	io.WriteString(c, "x")
	c.Read(make([]byte, 1))
	if err := w.gate.Rmmod(ctx, "uplink"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("after the unload: %v, want connection reset", err)
	}
	if n := len(w.gate.Network.Main.All()); n != before-2 {
		t.Errorf("%d routes before, %d after", before, n)
	}
	w.modprobe(w.gate, "uplink")
	c = w.call("tcp", "192.0.2.1:80")
	io.WriteString(c, "y")
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Error(err)
	}
}

// TestHostLoopback: the kernel's own address leads to the host's loopback where no
// service listens, if that was allowed.
func TestHostLoopback(t *testing.T) {
	for _, on := range []bool{true, false} {
		w := newWorld(t, nil, fmt.Sprint("host_loopback=", on))
		w.modprobe(w.gate, "hello")
		w.listen("127.0.0.1:80", echo)
		w.listen("[::1]:80", echo)
		for _, address := range []string{"10.0.2.2:80", "[fd00::2]:80"} {
			c, err := w.guest.Dial("tcp", address)
			if on != (err == nil) || err != nil && !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("host_loopback=%v: %s: %v", on, address, err)
			}
			if c != nil {
				c.Close()
			}
		}
		c := w.call("tcp", "10.0.2.2:8000")
		io.WriteString(c, "hello")
		if b, err := io.ReadAll(c); err != nil || !strings.Contains(string(b), "Thank you") {
			t.Errorf("the kernel's own service: %q, %v", b, err)
		}
		// The kernel itself does not reach the host by calling itself.
		if c, err := w.gate.Dial("tcp", "10.0.2.2:80"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("from the kernel: %v, %v", c, err)
		}
	}
}

// TestForeignPorts: a service of the kernel that listens on all addresses does not
// answer for hosts elsewhere.
func TestForeignPorts(t *testing.T) {
	w := newWorld(t, nil)
	w.modprobe(w.gate, "hello")
	if c, err := w.guest.Dial("tcp", "192.0.2.1:8000"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("%v, %v; want connection refused", c, err)
	}
}

// TestKernelGoesOut: the kernel's own connections have the way out too.
func TestKernelGoesOut(t *testing.T) {
	w := newWorld(t, nil)
	for _, address := range []string{"192.0.2.1:80", "[2001:db8::1]:80"} {
		w.listen(address, echo)
		c, err := w.gate.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, "ping")
		if b := make([]byte, 4); true {
			if _, err := io.ReadFull(c, b); err != nil || string(b) != "ping" {
				t.Errorf("%s: %q, %v", address, b, err)
			}
		}
	}
}

// TestLoopbackOnly: a kernel that has no address but the loopback's has the way out
// too, over TCP and UDP: as Linux does it for local routes, what goes to such a place
// says that it comes from there.
func TestLoopbackOnly(t *testing.T) {
	w := newWorld(t, nil)
	alone := w.kernel(nil)
	w.modprobe(alone, "uplink")
	for _, address := range []string{"192.0.2.1:80", "[2001:db8::1]:80"} {
		w.listen(address, echo)
		c, err := alone.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, "ping")
		b := make([]byte, 4)
		if _, err := io.ReadFull(c, b); err != nil || string(b) != "ping" {
			t.Errorf("%s: %q, %v", address, b, err)
		}
	}
	p, err := w.outside.ListenPacket("udp", "192.0.2.1:53")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	go func() {
		b := make([]byte, 9)
		for {
			n, from, err := p.ReadFrom(b)
			if err != nil {
				return
			}
			p.WriteTo(b[:n], from)
		}
	}()
	c, err := alone.Dial("udp", "192.0.2.1:53")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "question")
	b := make([]byte, 9)
	if n, err := c.Read(b); err != nil || string(b[:n]) != "question" {
		t.Errorf("UDP: %q, %v", b[:n], err)
	}
	free, err := alone.ListenPacket("udp", "")
	if err != nil {
		t.Fatal(err)
	}
	defer free.Close()
	free.WriteTo([]byte("second"), p.LocalAddr())
	if n, from, err := free.ReadFrom(b); err != nil || string(b[:n]) != "second" || from.String() != "192.0.2.1:53" {
		t.Errorf("UDP, not connected: %q from %v, %v", b[:n], from, err)
	}
}
