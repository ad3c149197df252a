package nat_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"testing"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/core/hook"
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/internal/leak"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/netfilter/conntrack"
	"github.com/knitnet/knit/netfilter/nat"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/route"
	"github.com/knitnet/knit/std"
)

var ctx = context.Background()

// A world is a client behind a router that translates, and a server outside.
//
//	client 10.0.0.2 --- 10.0.0.1 router 192.0.2.1 --- 192.0.2.2 server
//	     fd00::2      fd00::1        2001:db8::1    2001:db8::2
type world struct {
	t                      *testing.T
	client, router, server *knit.Kernel
	track                  netfilter.Tracker
	nat                    netfilter.Translator
}

func newWorld(t *testing.T) *world {
	t.Helper()
	leak.Check(t)
	w := &world{t: t, client: kernel(t), router: kernel(t), server: kernel(t)}
	w.join(w.client, w.router, "10.0.0.2/24 fd00::2/64", "10.0.0.1/24 fd00::1/64", true)
	w.join(w.server, w.router, "192.0.2.2/24 2001:db8::2/64", "192.0.2.1/24 2001:db8::1/64", false)
	for _, name := range []string{"net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"} {
		if err := w.router.Sysctl.Set(name, "1"); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.router.Modprobe(ctx, "nf_nat"); err != nil {
		t.Fatal(err)
	}
	w.track, _ = module.Find[netfilter.Tracker](w.router.Modules, netfilter.TrackerSymbol)
	w.nat, _ = module.Find[netfilter.Translator](w.router.Modules, netfilter.TranslatorSymbol)
	return w
}

func kernel(t *testing.T) *knit.Kernel {
	t.Helper()
	specs := slices.DeleteFunc(std.Modules(), func(m module.Spec) bool { return m.Name == "nf_conntrack" || m.Name == "nf_nat" })
	k, err := knit.New(knit.Config{Modules: append(specs, conntrack.Module, nat.Module)})
	if err != nil {
		t.Fatal(err)
	}
	leak.Zero(t, "packets", k.Pool.Live)
	t.Cleanup(func() { k.Close() })
	for _, m := range []string{"tcp", "udp", "icmp4", "icmp6"} {
		if err := k.Modprobe(ctx, m); err != nil {
			t.Fatal(err)
		}
	}
	return k
}

func (w *world) join(host, router *knit.Kernel, addrs, gateways string, defaults bool) {
	w.t.Helper()
	x, y, err := host.Join(router, link.PipeConfig{})
	if err != nil {
		w.t.Fatal(err)
	}
	for dev, list := range map[*link.Device]string{x: addrs, y: gateways} {
		k := host
		if dev == y {
			k = router
		}
		for _, p := range fields(list) {
			if err := k.AddAddr(dev.Name(), netip.MustParsePrefix(p)); err != nil {
				w.t.Fatal(err)
			}
		}
	}
	if !defaults {
		return
	}
	for i, all := range []string{"0.0.0.0/0", "::/0"} {
		r := route.Route{Dst: netip.MustParsePrefix(all), NextHops: []route.NextHop{{
			Gateway: netip.MustParsePrefix(fields(gateways)[i]).Addr(), Index: x.Index(),
		}}}
		if err := host.Network.AddRoute(r, route.Create); err != nil {
			w.t.Fatal(err)
		}
	}
}

func fields(s string) (out []string) {
	for s != "" {
		var f string
		fmt.Sscan(s, &f)
		out = append(out, f)
		s = s[min(len(s), len(f)+1):]
	}
	return out
}

// masquerade lets a rule of the router hide the client, in both versions.
func (w *world) masquerade(r netfilter.NATRange) {
	w.t.Helper()
	for v := range w.router.Network.Hooks {
		undo, err := w.nat.AddChain(netfilter.NATChain{
			Version: network.Version(v), Point: &w.router.Network.Hooks[v].Postrouting, Priority: hook.SrcNAT,
			Decide: func(pkt *packet.Packet) hook.Verdict {
				c, _ := w.track.Of(pkt)
				own := r
				if !w.nat.Masquerade(pkt, c, &own) {
					return hook.Drop
				}
				return hook.Accept
			},
		})
		if err != nil {
			w.t.Fatal(err)
		}
		w.t.Cleanup(undo)
	}
}

// TestMasquerade: a server sees the router's address, over TCP and UDP, in both IP
// versions, and what it answers comes back.
func TestMasquerade(t *testing.T) {
	w := newWorld(t)
	w.masquerade(netfilter.NATRange{})
	for _, c := range []struct{ server, router string }{
		{"192.0.2.2:80", "192.0.2.1"}, {"[2001:db8::2]:80", "2001:db8::1"},
	} {
		ln, err := w.server.Listen("tcp", c.server)
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		seen := make(chan string, 1)
		go func() {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			seen <- conn.RemoteAddr().(*net.TCPAddr).IP.String()
			io.Copy(conn, conn)
		}()
		conn, err := w.client.Dial("tcp", c.server)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(conn, "hello")
		conn.(interface{ CloseWrite() error }).CloseWrite()
		if b, err := io.ReadAll(conn); err != nil || string(b) != "hello" {
			t.Errorf("%s: %q, %v", c.server, b, err)
		}
		conn.Close()
		if got := <-seen; got != c.router {
			t.Errorf("%s saw %s, want the router's %s", c.server, got, c.router)
		}
	}
}

// TestErrorsInside: an ICMP error about a translated datagram reaches the client's
// socket: its port outside is refused.
func TestErrorsInside(t *testing.T) {
	w := newWorld(t)
	w.masquerade(netfilter.NATRange{})
	for _, server := range []string{"192.0.2.2:9", "[2001:db8::2]:9"} {
		conn, err := w.client.Dial("udp", server)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		io.WriteString(conn, "is anybody there")
		if _, err := conn.Read(make([]byte, 9)); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%s: %v, want connection refused", server, err)
		}
	}
}
