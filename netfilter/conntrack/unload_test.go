package conntrack_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/internal/leak"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/network/route"
	"github.com/knitnet/knit/std"
)

var ctx = context.Background()

const unloadRules = `table ip fw {
	ct helper ctl { type "ftp" protocol tcp; }
	chain pre { type filter hook prerouting priority 0; tcp dport 80 ct helper set "ctl"; }
	chain forward { type filter hook forward priority 0; policy drop; ct state new,established,related accept; }
	chain post { type nat hook postrouting priority srcnat; oifname "pipe1" masquerade; }
}
`

// busyRouter returns a client, a router that translates between them, and a server
// that echoes over TCP and UDP.
func busyRouter(t *testing.T) (client, router *knit.Kernel) {
	t.Helper()
	ks := [3]*knit.Kernel{}
	for i := range ks {
		k, err := knit.New(knit.Config{Modules: std.Modules()})
		if err != nil {
			t.Fatal(err)
		}
		leak.Zero(t, "packets", k.Pool.Live)
		t.Cleanup(func() { k.Close() })
		for _, m := range []string{"tcp", "udp", "icmp4"} {
			if err := k.Modprobe(ctx, m); err != nil {
				t.Fatal(err)
			}
		}
		ks[i] = k
	}
	client, router = ks[0], ks[1]
	for i, net := range []string{"10.0.0.", "192.0.2."} {
		host := ks[2*i]
		x, y, err := host.Join(router, link.PipeConfig{})
		if err != nil {
			t.Fatal(err)
		}
		gw := netip.MustParsePrefix(net + "1/24")
		if err := errors.Join(host.AddAddr(x.Name(), netip.MustParsePrefix(net+"2/24")), router.AddAddr(y.Name(), gw)); err != nil {
			t.Fatal(err)
		}
		r := route.Route{Dst: netip.MustParsePrefix("0.0.0.0/0"), NextHops: []route.NextHop{{Gateway: gw.Addr(), Index: x.Index()}}}
		if err := host.Network.AddRoute(r, route.Create); err != nil {
			t.Fatal(err)
		}
	}
	if err := router.Sysctl.Set("net.ipv4.ip_forward", "1"); err != nil {
		t.Fatal(err)
	}
	echo(t, ks[2])
	return client, router
}

func echo(t *testing.T, k *knit.Kernel) {
	t.Helper()
	ln, err := k.Listen("tcp", "192.0.2.2:80")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() { io.Copy(c, c); c.Close() }()
		}
	}()
	pc, err := k.ListenPacket("udp", "192.0.2.2:53")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pc.Close() })
	go func() {
		b := make([]byte, 100)
		for {
			n, from, err := pc.ReadFrom(b)
			if err != nil {
				return
			}
			pc.WriteTo(b[:n], from)
		}
	}()
}

// traffic opens connections and sends on them until stop is called.
func traffic(client *knit.Kernel) (stop func()) {
	var wg sync.WaitGroup
	done := make(chan struct{})
	for i := range 4 {
		wg.Go(func() {
			network, to := "tcp", "192.0.2.2:80"
			if i%2 == 0 {
				network, to = "udp", "192.0.2.2:53"
			}
			for {
				select {
				case <-done:
					return
				default:
				}
				c, err := client.Dial(network, to)
				if err != nil {
					return // the router has stopped to translate
				}
				c.SetDeadline(time.Now().Add(time.Second))
				for n := range 20 {
					fmt.Fprintf(c, "USER %d\r\nPORT 10,0,0,2,195,8%d\r\n", n, n%10)
					if _, err := c.Read(make([]byte, 100)); err != nil {
						break
					}
				}
				c.Close()
			}
		})
	}
	return func() { close(done); wg.Wait() }
}

// TestUnloadUnderTraffic: while rules use them the modules stay. When the rules go
// with nf_tables, tracking, translation and helpers are drained in the middle of
// traffic, and nothing is left of them: no connection, packet, goroutine or hook.
func TestUnloadUnderTraffic(t *testing.T) {
	leak.Check(t)
	client, router := busyRouter(t)
	for range 3 {
		if err := router.Modprobe(ctx, "nf_tables"); err != nil {
			t.Fatal(err)
		}
		rs, _ := module.Find[netfilter.Ruleset](router.Modules, netfilter.RulesetSymbol)
		if err := rs.Run(ctx, &netfilter.NFTRequest{Text: unloadRules, Name: "test"}, io.Discard); err != nil {
			t.Fatal(err)
		}
		table, _ := module.Find[netfilter.ConnTable](router.Modules, netfilter.TrackerSymbol)
		busy := make(chan struct{}, 20)
		undo := table.Watch(func(e netfilter.Event) {
			select {
			case busy <- struct{}{}:
			default:
			}
		})
		stop := traffic(client)
		for range cap(busy) {
			<-busy
		}
		undo()
		for _, name := range []string{"nf_conntrack", "nf_nat", "nf_conntrack_ftp"} {
			if err := router.Modules.Unload(ctx, name); err == nil || !strings.Contains(err.Error(), "in use") {
				t.Errorf("%s: %v, want it to be in use", name, err)
			}
		}
		for _, name := range []string{"nf_tables", "nf_nat_ftp", "nf_conntrack_ftp", "nf_nat", "nf_conntrack"} {
			if err := router.Modules.Remove(ctx, name, module.RemoveOptions{Wait: 10 * time.Second}); err != nil && !errors.As(err, new(*module.NotLoadedError)) {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if n := table.Count(); n != 0 {
			t.Errorf("%d connections are left", n)
		}
		stop()
		for v := range router.Network.Hooks {
			if list := router.Network.Hooks[v].Prerouting.Entries(); len(list) != 0 {
				t.Errorf("hooks are left at PREROUTING: %v", list)
			}
		}
	}
}
