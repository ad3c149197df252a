package nat64_test

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
	"time"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/internal/leak"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network/route"
	"github.com/knitnet/knit/std"
)

var ctx = context.Background()

// A world is a client that has IPv6 alone, a router that translates, and a server
// that has IPv4 alone.
//
//	client 2001:db8:6::2 --- ::1 router 8.8.8.1 --- 8.8.8.8 server
//	       2001:db8:6::3                9.9.9.0/30
type world struct {
	t                      *testing.T
	clock                  *clock.Clock
	client, router, server *knit.Kernel
	inside, outside        *link.Device // of the router
}

// Parameters of the module for the two kinds of pools.
var pools = map[string]string{"own": "pool4=masquerade", "routed": "pool4=9.9.9.0/30"}

func newWorld(t *testing.T, params ...string) *world { return newWorldAt(t, nil, params...) }

func newWorldAt(t *testing.T, c *clock.Clock, params ...string) *world {
	t.Helper()
	leak.Check(t)
	w := &world{t: t, clock: c}
	w.client, w.router, w.server = w.kernel("-ip4"), w.kernel(""), w.kernel("-ip6")
	_, w.inside = w.join(w.client, "2001:db8:6::2/64 2001:db8:6::3/64", "2001:db8:6::1/64")
	_, w.outside = w.join(w.server, "8.8.8.8/24", "8.8.8.1/24")
	for _, name := range []string{"net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"} {
		w.set(name, "1")
	}
	if err := w.router.Modprobe(ctx, "nat64", params...); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) set(name, value string) {
	w.t.Helper()
	if err := w.router.Sysctl.Set(name, value); err != nil {
		w.t.Fatal(err)
	}
}

// kernel returns a kernel without the module without.
func (w *world) kernel(without string) *knit.Kernel {
	w.t.Helper()
	k, err := knit.New(knit.Config{Modules: std.Modules(), Clock: w.clock})
	if err != nil {
		w.t.Fatal(err)
	}
	leak.Zero(w.t, "packets", k.Pool.Live)
	leak.Zero(w.t, "buffers", k.Pool.LiveBufs)
	leak.Zero(w.t, "oopses", k.Log.Oopses)
	w.t.Cleanup(func() { k.Close() })
	for _, m := range []string{"tcp", "udp", "ping", "ip4", "ip6"} {
		if "-"+m == without {
			continue
		}
		if err := k.Modprobe(ctx, m); err != nil {
			w.t.Fatal(err)
		}
	}
	return k
}

// join joins a host to the router, which is its way to everywhere.
func (w *world) join(host *knit.Kernel, addrs, gateway string) (atHost, atRouter *link.Device) {
	w.t.Helper()
	x, y, err := host.Join(w.router, link.PipeConfig{})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, a := range strings.Fields(addrs) {
		w.try(host.AddAddr(x.Name(), netip.MustParsePrefix(a)))
	}
	gw := netip.MustParsePrefix(gateway)
	w.try(w.router.AddAddr(y.Name(), gw))
	all := netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	if gw.Addr().Is4() {
		all = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	w.try(host.Network.AddRoute(route.Route{
		Dst: all, NextHops: []route.NextHop{{Gateway: gw.Addr(), Index: x.Index()}},
	}, route.Create))
	return x, y
}

func (w *world) try(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// bothPools runs a test with a pool of the router's own address and with one that is
// routed to it.
func bothPools(t *testing.T, f func(t *testing.T, w *world)) {
	for name, pool := range pools {
		t.Run(name, func(t *testing.T) { f(t, newWorld(t, pool)) })
	}
}

// serve echoes what TCP clients send, and tells their addresses.
func (w *world) serve(at string) (from <-chan netip.AddrPort) {
	w.t.Helper()
	ln, err := w.server.Listen("tcp", at)
	w.try(err)
	w.t.Cleanup(func() { ln.Close() })
	seen := make(chan netip.AddrPort, 16)
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			seen <- conn.RemoteAddr().(interface{ AddrPort() netip.AddrPort }).AddrPort()
			go func() {
				defer conn.Close()
				io.Copy(conn, conn)
			}()
		}
	}()
	return seen
}

// TestTCP: a client that has IPv6 alone speaks TCP with a server that has IPv4
// alone, and sends more than a window's worth.
func TestTCP(t *testing.T) {
	bothPools(t, func(t *testing.T, w *world) {
		from := w.serve("8.8.8.8:80")
		conn, err := w.client.Dial("tcp", "[64:ff9b::8.8.8.8]:80")
		w.try(err)
		defer conn.Close()
		said := strings.Repeat("hello over there ", 1<<16)
		go func() {
			io.WriteString(conn, said)
			conn.(interface{ CloseWrite() error }).CloseWrite()
		}()
		if b, err := io.ReadAll(conn); err != nil || string(b) != said {
			t.Errorf("%d bytes of %d came back, %v", len(b), len(said), err)
		}
		if a := <-from; a.Addr() != netip.MustParseAddr("8.8.8.1") && !netip.MustParsePrefix("9.9.9.0/30").Contains(a.Addr()) {
			t.Errorf("the server saw %v", a)
		}
	})
}

// TestUDP: datagrams pass both ways, those in fragments too, and the router's ICMP
// errors about them.
func TestUDP(t *testing.T) {
	bothPools(t, func(t *testing.T, w *world) {
		pc, err := w.server.ListenPacket("udp", "8.8.8.8:53")
		w.try(err)
		defer pc.Close()
		go func() {
			b := make([]byte, 65535)
			for {
				n, from, err := pc.ReadFrom(b)
				if err != nil {
					return
				}
				pc.WriteTo(b[:n], from)
			}
		}()
		conn, err := w.client.Dial("udp", "[64:ff9b::808:808]:53")
		w.try(err)
		defer conn.Close()
		for _, n := range []int{1, 1200, 1452, 1453, 4000, 20000, 65000} {
			if got := ask(t, conn, n); got != n {
				t.Errorf("%d bytes: %d came back", n, got)
			}
		}
		refused, err := w.client.Dial("udp", "[64:ff9b::808:808]:9")
		w.try(err)
		defer refused.Close()
		io.WriteString(refused, "is anybody there")
		refused.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := refused.Read(make([]byte, 9)); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("a port that is closed: %v, want connection refused", err)
		}
	})
}

// ask sends a datagram of n bytes until one comes back, and returns its length. One
// that is too big for the way back is lost, and tells the server so.
func ask(t *testing.T, conn net.Conn, n int) int {
	t.Helper()
	said, b := strings.Repeat("x", n), make([]byte, 65535)
	for range 100 {
		conn.SetDeadline(time.Now().Add(200 * time.Millisecond))
		if _, err := io.WriteString(conn, said); err != nil {
			t.Fatal(err)
		}
		got, err := conn.Read(b)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			continue
		}
		if err != nil || string(b[:got]) != said {
			t.Fatalf("%d bytes: %d came back, %v", n, got, err)
		}
		return got
	}
	return 0
}

// TestUnloads: the module goes with sessions alive, and leaves nothing behind.
func TestUnloads(t *testing.T) {
	bothPools(t, func(t *testing.T, w *world) {
		w.serve("8.8.8.8:80")
		conn, err := w.client.Dial("tcp", "[64:ff9b::8.8.8.8]:80")
		w.try(err)
		defer conn.Close()
		w.try(w.router.Rmmod(ctx, "nat64"))
		if _, err := w.router.Link.Lookup("nat64"); err == nil {
			t.Error("the device is still there")
		}
		w.try(w.router.Modprobe(ctx, "nat64"))
	})
}
