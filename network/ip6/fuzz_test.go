package ip6_test

import (
	"net/netip"
	"testing"

	"github.com/knitnet/knit/network/internal/ip6test"
	"github.com/knitnet/knit/wire"
)

// FuzzInput: whatever comes by a device, nothing panics, no packet is lost track of,
// nothing is sent that is not sound, and the host still answers afterwards.
func FuzzInput(f *testing.F) {
	all := netip.MustParseAddr("ff02::1")
	echo := ip6test.ICMP(ip6test.Stranger, ip6test.IP(1), 64, ip6test.Echo(8))
	f.Add(echo, false)
	f.Add(ip6test.Packet(ip6test.Stranger, ip6test.IP(1), hop, 64, append(options(icm, 0x9e, 0), ip6test.Echo(8)...)), true)
	f.Add(ip6test.Packet(ip6test.Stranger, all, dst, 64, append(options(rt, 1, 0), routing(icm, 0, 1)...)), false)
	f.Add(ip6test.Packet(ip6test.Stranger, ip6test.IP(1), fr, 64, append(fragment(icm, 0, true, 1), ip6test.Echo(16)...)), false)
	f.Add(ip6test.Packet(ip6test.Stranger, ip6test.IP(1), fr, 64, append(fragment(icm, 8, false, 1), 0)), false)
	f.Add(ip6test.ICMP(ip6test.Stranger, ip6test.IP(1), 255, append([]byte{wire.ICMP6PacketTooBig, 0, 0, 0, 0, 0, 5, 0}, echo...)), false)
	f.Fuzz(func(t *testing.T, b []byte, router bool) {
		w := ip6test.NewNet(t, 1)
		if router {
			w.Hosts[0].Set("net.ipv6.conf.all.forwarding", "1")
		}
		for _, frame := range w.Inject(1, b) {
			ip, ok := wire.ParseIPv6(frame[wire.EthernetLen:])
			if !ok || ip.TotalLen() != len(frame)-wire.EthernetLen {
				t.Fatalf("sends %x", frame)
			}
		}
		w.Settle()
		if len(ip6test.Messages(t, w.Inject(1, echo), wire.ICMP6EchoReply)) != 1 {
			t.Fatal("does not answer any more")
		}
		w.Clock.Advance(100e9)
	})
}
