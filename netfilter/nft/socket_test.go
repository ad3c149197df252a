package nft_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/transport"
	"github.com/knitnet/knit/wire"
)

// datagram sends one from a socket of user 1000 to another of the same kernel.
func datagram(t *testing.T, k *knit.Kernel) {
	t.Helper()
	in, err := k.ListenPacket("udp4", "127.0.0.1:53")
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := k.Sockets.ListenDatagram("udp4", "127.0.0.1:0", transport.DatagramOptions{UID: 1000})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if _, err := out.WriteToAddrPort([]byte("x"), netip.MustParseAddrPort("127.0.0.1:53")); err != nil {
		t.Fatal(err)
	}
	if n, _, err := in.ReadFrom(make([]byte, 10)); n != 1 || err != nil {
		t.Errorf("%d bytes arrived, %v", n, err)
	}
}

// TestSocketsComeAndGo: rules about sockets hold whether the protocol was loaded before
// them or after, and do not keep it from being unloaded.
func TestSocketsComeAndGo(t *testing.T) {
	k, rules := newKernel(t)
	loadRules(t, rules, `table ip t {
		chain out { type filter hook output priority 0; meta skuid 1000 counter comment "sent" }
		chain in { type filter hook input priority 0; socket wildcard 0 udp dport 53 counter comment "received" }
	}`)
	for round := 1; round < 4; round++ {
		if err := k.Modprobe(context.Background(), "udp"); err != nil {
			t.Fatal(err)
		}
		datagram(t, k)
		var list strings.Builder
		if err := rules.Run(context.Background(), &netfilter.NFTRequest{Text: "list ruleset"}, &list); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(list.String(), "packets "+string(rune('0'+round))); n != 2 {
			t.Errorf("round %d: %d of 2 rules held:\n%s", round, n, &list)
		}
		if err := k.Rmmod(context.Background(), "udp"); err != nil {
			t.Errorf("rmmod udp: %v", err)
		}
	}
}

// TestFindSocketDoesNotAllocate: it is asked for every packet.
func TestFindSocketDoesNotAllocate(t *testing.T) {
	k, _ := newKernel(t)
	if err := k.Modprobe(context.Background(), "udp"); err != nil {
		t.Fatal(err)
	}
	l, err := k.Listen("tcp", "127.0.0.1:80")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	u, err := k.ListenPacket("udp", ":53")
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	src := netip.MustParseAddrPort("127.0.0.1:9")
	for proto, dst := range map[uint8]string{wire.ProtoTCP: "127.0.0.1:80", wire.ProtoUDP: "127.0.0.1:53"} {
		to := netip.MustParseAddrPort(dst)
		var s *network.Socket
		n := testing.AllocsPerRun(100, func() { s, _ = k.Network.FindSocket(network.V4, proto, src, to, 1, network.AnySocket) })
		if n != 0 || s == nil {
			t.Errorf("protocol %d: %v allocations for %v", proto, n, s)
		}
	}
	pkt := k.Pool.Get()
	defer pkt.Consume()
	s := &network.Socket{Mark: 1}
	if n := testing.AllocsPerRun(100, func() { k.Network.Assign(pkt, s) }); n != 0 || k.Network.SocketOf(pkt) != s {
		t.Errorf("%v allocations to assign a packet", n)
	}
}
