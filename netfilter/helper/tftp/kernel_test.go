package tftp_test

import (
	"context"
	"io"
	"net"
	"net/netip"
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

const rules = `table ip fw {
	ct helper file { type "tftp" protocol udp; }
	chain pre { type filter hook prerouting priority 0; udp dport 69 ct helper set "file"; }
	chain forward {
		type filter hook forward priority 0; policy drop;
		ct state established,related accept
		udp dport 69 accept
	}
}
`

const hide = `table ip nat {
	chain post { type nat hook postrouting priority srcnat; oifname "pipe1" meta l4proto udp masquerade to :20000-20999; }
}
`

func kernel(t *testing.T) *knit.Kernel {
	t.Helper()
	k, err := knit.New(knit.Config{Modules: std.Modules()})
	if err != nil {
		t.Fatal(err)
	}
	leak.Zero(t, "packets", k.Pool.Live)
	t.Cleanup(func() { k.Close() })
	for _, m := range []string{"udp", "icmp4"} {
		if err := k.Modprobe(ctx, m); err != nil {
			t.Fatal(err)
		}
	}
	return k
}

func join(t *testing.T, host, router *knit.Kernel, addr, gateway string) {
	t.Helper()
	x, y, err := host.Join(router, link.PipeConfig{})
	if err != nil {
		t.Fatal(err)
	}
	gw := netip.MustParsePrefix(gateway)
	for dev, a := range map[*link.Device]string{x: addr, y: gateway} {
		k := host
		if dev == y {
			k = router
		}
		if err := k.AddAddr(dev.Name(), netip.MustParsePrefix(a)); err != nil {
			t.Fatal(err)
		}
	}
	r := route.Route{Dst: netip.MustParsePrefix("0.0.0.0/0"), NextHops: []route.NextHop{{Gateway: gw.Addr(), Index: x.Index()}}}
	if err := host.Network.AddRoute(r, route.Create); err != nil {
		t.Fatal(err)
	}
}

// TestAnswerFromAnotherPort: a server chooses a port for each transfer (RFC 1350 §4);
// its answer passes a firewall and finds the client behind NAT. An answer from
// another host does not.
func TestAnswerFromAnotherPort(t *testing.T) {
	for name, text := range map[string]string{"plain": rules, "masquerade": rules + hide} {
		t.Run(name, func(t *testing.T) {
			leak.Check(t)
			client, router, server := kernel(t), kernel(t), kernel(t)
			join(t, client, router, "10.0.0.2/24", "10.0.0.1/24")
			join(t, server, router, "192.0.2.2/24", "192.0.2.1/24")
			if err := server.AddAddr("pipe0", netip.MustParsePrefix("192.0.2.3/24")); err != nil {
				t.Fatal(err)
			}
			if err := router.Sysctl.Set("net.ipv4.ip_forward", "1"); err != nil {
				t.Fatal(err)
			}
			if err := router.Modprobe(ctx, "nf_tables"); err != nil {
				t.Fatal(err)
			}
			rs, _ := module.Find[netfilter.Ruleset](router.Modules, netfilter.RulesetSymbol)
			if err := rs.Run(ctx, &netfilter.NFTRequest{Text: text, Name: "test"}, io.Discard); err != nil {
				t.Fatal(err)
			}
			service, err := server.ListenPacket("udp", "192.0.2.2:69")
			if err != nil {
				t.Fatal(err)
			}
			defer service.Close()
			conn, err := client.ListenPacket("udp", "10.0.0.2:5000")
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			to, _ := netip.ParseAddrPort("192.0.2.2:69")
			if _, err := conn.WriteTo([]byte("\x00\x01file\x00octet\x00"), net.UDPAddrFromAddrPort(to)); err != nil {
				t.Fatal(err)
			}
			b := make([]byte, 100)
			_, from, err := service.ReadFrom(b)
			if err != nil {
				t.Fatal(err)
			}
			for _, at := range []string{"192.0.2.3:3000", "192.0.2.2:3001"} {
				data, err := server.ListenPacket("udp", at)
				if err != nil {
					t.Fatal(err)
				}
				defer data.Close()
				if _, err := data.WriteTo([]byte("\x00\x03\x00\x01"+at), from); err != nil {
					t.Fatal(err)
				}
			}
			conn.SetReadDeadline(time.Now().Add(5 * time.Second))
			n, peer, err := conn.ReadFrom(b)
			if err != nil || string(b[4:n]) != "192.0.2.2:3001" || peer.String() != "192.0.2.2:3001" {
				t.Errorf("%q from %v, %v", b[:n], peer, err)
			}
			if _, err := conn.WriteTo([]byte("\x00\x04\x00\x01"), peer); err != nil {
				t.Error(err)
			}
		})
	}
}
