package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/knitnet/knit/bench/system"
	"github.com/knitnet/knit/bench/system/gvisor"
)

// networks calls f for every network that the plan measures, once each.
func networks(t *testing.T, f func(*testing.T, system.System, system.Options)) {
	seen := map[string]bool{}
	for _, c := range cells(plan()) {
		name := fmt.Sprintf("%T%+v %+v", c.contender.system, c.contender.system, c.contender.options)
		if seen[name] {
			continue
		}
		seen[name] = true
		t.Run(name, func(t *testing.T) {
			if g, ok := c.contender.system.(gvisor.System); ok && raceDetector && g.Driver == gvisor.Pipe {
				t.Skip("gVisor's pipe lets two stacks share a header, and a retransmission writes it: a data race of its own")
			}
			f(t, c.contender.system, c.contender.options)
		})
	}
}

// need fails the test, or skips it if the machine lacks what it needs.
func need(t *testing.T, err error) {
	t.Helper()
	if errors.Is(err, system.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestNetworksCarryBytes defends that what is measured is right: a fast stack that
// loses or mixes bytes would win every table.
func TestNetworksCarryBytes(t *testing.T) {
	networks(t, func(t *testing.T, s system.System, o system.Options) {
		n, err := s.Net(o)
		need(t, err)
		defer n.Close()
		l, err := n.Z.Listen(7000)
		need(t, err)
		defer l.Close()
		go func() {
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			io.CopyN(c, c, transfer)
		}()
		c, err := n.A.Dial("tcp", netip.AddrPortFrom(n.Z.Addr(), 7000))
		need(t, err)
		defer c.Close()
		checkEcho(t, c)
	})
}

const transfer = 4 << 20

// checkEcho sends bytes of which no two megabytes are alike, and wants them back
// and then the end.
func checkEcho(t *testing.T, c net.Conn) {
	c.SetDeadline(time.Now().Add(20 * time.Second)) // a lost byte fails the test; it does not hang it
	sent := make([]byte, transfer)
	rng := rand.NewChaCha8([32]byte{})
	rng.Read(sent)
	go c.Write(sent)
	got := make([]byte, transfer)
	if _, err := io.ReadFull(c, got); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, sent) {
		t.Fatal("the bytes that came back are not those that were sent")
	}
	if n, err := c.Read(got); err != io.EOF {
		t.Fatalf("read after the peer closed: %d bytes, %v; want the end of the stream", n, err)
	}
}

// TestNetworksCarryDatagrams defends that a datagram arrives whole, once and from
// where it was sent.
func TestNetworksCarryDatagrams(t *testing.T) {
	networks(t, func(t *testing.T, s system.System, o system.Options) {
		n, err := s.Net(o)
		need(t, err)
		defer n.Close()
		z, err := n.Z.ListenPacket(7000)
		need(t, err)
		defer z.Close()
		a, err := n.A.Dial("udp", netip.AddrPortFrom(n.Z.Addr(), 7000))
		need(t, err)
		defer a.Close()
		buf := make([]byte, 2000)
		for i := range 100 {
			want := fmt.Appendf(nil, "datagram %d", i)
			if _, err := a.Write(want); err != nil {
				t.Fatal(err)
			}
			z.SetReadDeadline(time.Now().Add(10 * time.Second))
			k, from, err := z.ReadFrom(buf)
			if err != nil {
				t.Fatal(err)
			}
			if string(buf[:k]) != string(want) || from.String() != a.LocalAddr().String() {
				t.Fatalf("got %q from %v, want %q from %v", buf[:k], from, want, a.LocalAddr())
			}
		}
	})
}

// TestRoutersDeliver defends that a router counts what it really forwarded.
func TestRoutersDeliver(t *testing.T) {
	networks(t, func(t *testing.T, s system.System, o system.Options) {
		f, ok := s.(system.Forwarder)
		if !ok || o != link {
			t.Skip("not measured as a router")
		}
		r, err := f.Router(o)
		need(t, err)
		defer r.Close()
		const batches, batch = 10, 64
		before := r.Delivered()
		for range batches {
			if err := r.Inject(batch); err != nil {
				t.Fatal(err)
			}
		}
		deadline := time.Now().Add(10 * time.Second)
		for r.Delivered()-before < batches*batch {
			if time.Now().After(deadline) {
				t.Fatalf("%d of %d packets came through", r.Delivered()-before, batches*batch)
			}
		}
	})
}
