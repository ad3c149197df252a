package nft_test

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

const localRules = `
table inet t {
	chain pre {
		type nat hook prerouting priority dstnat;
		tcp dport 80 redirect to :8080
		udp dport 53 redirect to :5353
		ip daddr 192.0.2.1 tcp dport 81 dnat to 10.0.0.2:8081
		ip6 daddr 2001:db8::1 tcp dport 81 dnat to [fd00::2]:8081
		ip daddr 192.0.2.1 udp dport 54 dnat to 10.0.0.2:5454
		ip6 daddr 2001:db8::1 udp dport 54 dnat to [fd00::2]:5454
	}
	chain out {
		type nat hook output priority -100;
		tcp dport 80 redirect to :8080
		udp dport 53 redirect to :5353
	}
}`

// localWorld is a client and a gateway to 192.0.2.0/24 and 2001:db8::/32.
func localWorld(t *testing.T) (client, gateway *knit.Kernel) {
	leak.Check(t)
	var k [2]*knit.Kernel
	for i := range k {
		var err error
		if k[i], err = knit.New(knit.Config{Modules: std.Modules()}); err != nil {
			t.Fatal(err)
		}
		leak.Zero(t, "packets", k[i].Pool.Live)
		t.Cleanup(func() { k[i].Close() })
		for _, m := range []string{"tcp", "udp", "icmp4", "icmp6", "nf_tables"} {
			if err := k[i].Modprobe(context.Background(), m); err != nil {
				t.Fatal(err)
			}
		}
		if err := k[i].Sysctl.Set("net.ipv6.conf.default.dad_transmits", "0"); err != nil {
			t.Fatal(err)
		}
	}
	x, y, err := k[0].Join(k[1], link.PipeConfig{})
	if err != nil {
		t.Fatal(err)
	}
	for i, dev := range []*link.Device{x, y} {
		for _, a := range [2][2]string{{"10.0.0.1/24", "fd00::1/64"}, {"10.0.0.2/24", "fd00::2/64"}}[i] {
			if err := k[i].AddAddr(dev.Name(), netip.MustParsePrefix(a)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for to, via := range map[string]string{"192.0.2.0/24": "10.0.0.2", "2001:db8::/32": "fd00::2"} {
		r := route.Route{Dst: netip.MustParsePrefix(to), NextHops: []route.NextHop{{Index: x.Index(), Gateway: netip.MustParseAddr(via)}}}
		if err := k[0].Network.AddRoute(r, route.Create); err != nil {
			t.Fatal(err)
		}
	}
	rules, _ := module.Find[netfilter.Ruleset](k[1].Modules, netfilter.RulesetSymbol)
	loadRules(t, rules, localRules)
	return k[0], k[1]
}

// TestNATToLocalSockets: what is redirected or translated to a listening socket of this host
// comes to it, the client sees whom it called, and the listener sees where it was sent to
// and who the client is.
func TestNATToLocalSockets(t *testing.T) {
	client, gateway := localWorld(t)
	for _, x := range []struct{ network, called, listens string }{
		{"tcp", "192.0.2.1:80", "10.0.0.2:8080"}, {"tcp", "[2001:db8::1]:80", "[fd00::2]:8080"},
		{"tcp", "10.0.0.2:80", "10.0.0.2:8080"},
		{"tcp", "192.0.2.1:81", "10.0.0.2:8081"}, {"tcp", "[2001:db8::1]:81", "[fd00::2]:8081"},
		{"udp", "192.0.2.1:53", "10.0.0.2:5353"}, {"udp", "[2001:db8::1]:53", "[fd00::2]:5353"},
		{"udp", "192.0.2.1:54", "10.0.0.2:5454"}, {"udp", "[2001:db8::1]:54", "[fd00::2]:5454"},
	} {
		t.Run(x.network+" "+x.called, func(t *testing.T) { natTalk(t, client, gateway, x.network, x.called, x.listens) })
	}
	t.Run("the gateway itself", func(t *testing.T) { natTalk(t, gateway, gateway, "tcp", "10.0.0.1:80", "127.0.0.1:8080") })
	t.Run("the gateway itself by UDP", func(t *testing.T) { natTalk(t, gateway, gateway, "udp", "10.0.0.1:53", "127.0.0.1:5353") })
}

func natTalk(t *testing.T, client, server *knit.Kernel, network, called, listens string) {
	answer := make(chan net.Addr, 1) // who called
	if network == "tcp" {
		l, err := server.Listen("tcp", listens)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			c, err := l.Accept()
			if err != nil {
				answer <- nil
				return
			}
			if c.LocalAddr().String() != listens {
				t.Errorf("the server is called %v", c.LocalAddr())
			}
			io.Copy(c, c)
			answer <- c.RemoteAddr()
			c.Close()
		}()
	} else {
		p, err := server.ListenPacket("udp", listens)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		go func() {
			b := make([]byte, 10)
			n, from, err := p.ReadFrom(b)
			if err == nil {
				p.WriteTo(b[:n], from)
			}
			answer <- from
		}()
	}
	c, err := client.Dial(network, called)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := c.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 5)
	if _, err := io.ReadFull(c, b); err != nil || string(b) != "hello" || c.RemoteAddr().String() != called {
		t.Errorf("%q from %v, %v", b, c.RemoteAddr(), err)
	}
	if w, ok := c.(interface{ CloseWrite() error }); ok {
		w.CloseWrite()
	}
	if from := <-answer; from == nil || client != server && from.String() != c.LocalAddr().String() {
		t.Errorf("the server was called by %v, it was %v", from, c.LocalAddr())
	}
}
