package uplink_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/transport"
)

// listenUDP answers datagrams outside by what reply makes of them, nil for nothing.
func (w *world) listenUDP(address string, reply func(b []byte) []byte) {
	w.t.Helper()
	p, err := w.outside.ListenPacket("udp", address)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { p.Close() })
	go func() {
		b := make([]byte, 65535)
		for {
			n, from, err := p.ReadFrom(b)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if r := reply(b[:n]); err == nil && r != nil {
				p.WriteTo(r, from)
			}
		}
	}()
}

func same(b []byte) []byte { return b }

// flows returns the UDP sockets that the gate has for exchanges with the outside.
func (w *world) flows() int { return len(w.gate.Transport.Sockets(transport.UDP)) }

// drops returns how many packets the gate dropped: the guest's packets count in the
// pool they are from.
func (w *world) drops(why stat.Reason) uint64 {
	return w.gate.Pool.Drops.Load(why) + w.guest.Pool.Drops.Load(why)
}

// until waits for something that other goroutines are about to do.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// TestDatagrams: whole datagrams of any size travel there and back, and the answer
// comes from the address that was asked.
func TestDatagrams(t *testing.T) {
	w := newWorld(t, nil)
	for _, address := range []string{"192.0.2.1:7", "[2001:db8::1]:7"} {
		w.listenUDP(address, same)
		c := w.call("udp", address) // connected: nobody else's answers are heard
		c.SetDeadline(time.Now().Add(10 * time.Second))
		for _, n := range []int{0, 1, 1400, 9000, 60000} {
			b, got := bytes.Repeat([]byte{byte(n)}, n), make([]byte, 65535)
			if _, err := c.Write(b); err != nil {
				t.Fatalf("%s: %d bytes: %v", address, n, err)
			}
			if m, err := c.Read(got); err != nil || !bytes.Equal(got[:m], b) {
				t.Fatalf("%s: %d bytes came back as %d, %v", address, n, m, err)
			}
		}
	}
}

// TestDatagramRefused: "port unreachable" is passed back to the socket that asked.
func TestDatagramRefused(t *testing.T) {
	w := newWorld(t, nil)
	for _, address := range []string{"192.0.2.1:9", "[2001:db8::1]:9"} {
		c := w.call("udp", address)
		c.SetDeadline(time.Now().Add(10 * time.Second))
		c.Write([]byte("x"))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%s: %v, want connection refused", address, err)
		}
	}
	w.dial = func(context.Context, string, netip.AddrPort) (net.Conn, error) { return nil, syscall.ECONNREFUSED }
	c := w.call("udp", "192.0.2.1:10")
	c.SetDeadline(time.Now().Add(10 * time.Second))
	c.Write([]byte("x"))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("refused at once: %v, want connection refused", err)
	}
}

// TestFlowTimeouts: a flow without an answer is kept for 30 s, one with for 180 s,
// after the last datagram.
func TestFlowTimeouts(t *testing.T) {
	c := clock.NewVirtual()
	w := newWorld(t, c)
	heard := make(chan string, 1)
	w.listenUDP("192.0.2.1:7", func(b []byte) []byte { heard <- string(b); return nil })
	mute := w.call("udp", "192.0.2.1:7")
	say := func(text string) {
		mute.Write([]byte(text))
		if got := <-heard; got != text {
			t.Fatalf("heard %q, want %q", got, text)
		}
	}
	before := w.flows()
	say("one")
	c.Advance(29 * time.Second)
	say("two")
	c.Advance(29 * time.Second)
	if n := w.flows() - before; n != 1 {
		t.Errorf("%d flows 29 s after the second datagram, want 1", n)
	}
	c.Advance(2 * time.Second)
	if n := w.flows() - before; n != 0 {
		t.Errorf("%d flows 31 s after it, want 0", n)
	}

	w.listenUDP("192.0.2.1:8", same)
	talking := w.call("udp", "192.0.2.1:8")
	talking.Write([]byte("x"))
	if _, err := talking.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	c.Advance(179 * time.Second)
	if n := w.flows() - before; n != 1 {
		t.Errorf("%d flows 179 s after an answer, want 1", n)
	}
	c.Advance(2 * time.Second)
	if n := w.flows() - before; n != 0 {
		t.Errorf("%d flows 181 s after it, want 0", n)
	}
	say("three") // a new flow
}

// TestManyDatagramFlows: each of many flows gets its own answers; past the limit
// there are none.
func TestManyDatagramFlows(t *testing.T) {
	const n = 200
	w := newWorld(t, nil, fmt.Sprint("max_flows=", n))
	w.listenUDP("192.0.2.1:7", same)
	for i := range n {
		c := w.call("udp", "192.0.2.1:7")
		c.SetDeadline(time.Now().Add(10 * time.Second))
		b := make([]byte, 16)
		fmt.Fprint(c, i)
		if m, err := c.Read(b); err != nil || string(b[:m]) != fmt.Sprint(i) {
			t.Fatalf("flow %d: %q, %v", i, b[:m], err)
		}
	}
	before := w.drops(stat.NoSocket)
	c := w.call("udp", "192.0.2.1:7")
	c.Write([]byte("one too many"))
	until(t, "the drop", func() bool { return w.drops(stat.NoSocket) == before+1 })
}

// TestGuestGone: when the socket inside is closed, its ICMP error ends the flow.
func TestGuestGone(t *testing.T) {
	w := newWorld(t, nil)
	var from net.Addr
	p, err := w.outside.ListenPacket("udp", "192.0.2.1:7")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	before := w.flows()
	c := w.call("udp", "192.0.2.1:7")
	c.Write([]byte("x"))
	if _, from, err = p.ReadFrom(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	c.Close()
	until(t, "the end of the flow", func() bool {
		p.WriteTo([]byte("late"), from)
		return w.flows() == before
	})
}

// TestNoEchoForOthers: the kernel does not answer a ping in the name of a host
// elsewhere, but does in its own.
func TestNoEchoForOthers(t *testing.T) {
	w := newWorld(t, nil)
	ping := func(network, address string, b []byte) {
		t.Helper()
		c := w.call(network, address)
		if _, err := c.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	echo4 := []byte{8, 0, 0xf7, 0xff, 0, 0, 0, 0}
	ping("ip4:icmp", "192.0.2.1", echo4)
	until(t, "the drop", func() bool { return w.drops(stat.NetfilterDrop) == 1 })
	c := w.call("ip4:icmp", "10.0.2.2")
	c.SetDeadline(time.Now().Add(10 * time.Second))
	c.Write(echo4)
	if n, err := c.Read(make([]byte, 100)); err != nil || n < 8 {
		t.Errorf("the kernel's own answer: %d bytes, %v", n, err)
	}
	if n := w.drops(stat.NetfilterDrop); n != 1 {
		t.Errorf("%d packets dropped, want 1", n)
	}
	// An extension header hides nothing: eight bytes of destination options.
	behind := []byte{58, 0, 1, 4, 0, 0, 0, 0, 128, 0, 0, 0, 0, 0, 0, 0}
	ping("ip6:60", "2001:db8::1", behind)
	until(t, "the second drop", func() bool { return w.drops(stat.NetfilterDrop) == 2 })
}

// TestNames: Go's resolver, inside, asks the kernel, which asks the host's
// nameserver, over UDP and over TCP.
func TestNames(t *testing.T) {
	for _, network := range []string{"udp", "tcp"} {
		conf := write(t, "resolv.conf", "nameserver 192.0.2.1:5300\n")
		w := newWorld(t, nil, "dns=10.0.2.3,fd00::3", "resolv_conf="+conf, "hosts="+write(t, "hosts", "192.0.2.77 box.example\n"))
		w.listenUDP("192.0.2.1:5300", answer)
		w.listen("192.0.2.1:5300", func(c net.Conn) {
			defer c.Close()
			b := make([]byte, 1500)
			n, _ := c.Read(b)
			if n > 2 {
				a := answer(b[2:n])
				c.Write(append([]byte{byte(len(a) >> 8), byte(len(a))}, a...))
			}
		})
		for _, server := range []string{"10.0.2.3:53", "[fd00::3]:53"} {
			r := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return w.guest.DialContext(ctx, network, server)
			}}
			for name, want := range map[string]string{"www.example.": "192.0.2.42", "box.example.": "192.0.2.77"} {
				if got, err := r.LookupNetIP(ctx, "ip4", name); err != nil || len(got) != 1 || got[0].String() != want {
					t.Errorf("%s by %s over %s: %v, %v; want %s", name, server, network, got, err, want)
				}
			}
		}
	}
}

// answer is a nameserver that says 192.0.2.42 to everything.
func answer(q []byte) []byte {
	if len(q) < 17 {
		return nil
	}
	end := bytes.IndexByte(q[12:], 0) + 12 + 5
	b := append([]byte(nil), q[:end]...)
	b[2] |= 0x80
	b[3] = 0x80
	copy(b[6:12], []byte{0, 1, 0, 0, 0, 0})
	return append(b, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 42)
}
