package icmp4_test

import (
	"net/netip"
	"testing"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/network/internal/hosttest"
	"github.com/knitnet/knit/network/route"
	"github.com/knitnet/knit/wire"
)

func route4(t *testing.T, h *hosttest.Host, dst, gateway string) {
	t.Helper()
	r := route.Route{Dst: netip.MustParsePrefix(dst), NextHops: []route.NextHop{{Gateway: netip.MustParseAddr(gateway)}}}
	if err := h.Net.AddRoute(r, route.Create); err != nil {
		t.Fatal(err)
	}
}

// FuzzInput gives random messages to the module: whatever it sends is sound, and
// never an error about an error.
func FuzzInput(f *testing.F) {
	quoted := hosttest.IPv4(from("10.0.0.1", "192.0.2.1"), payload(40))
	for typ := range uint8(20) {
		f.Add(typ, uint8(1), uint32(0x0a0000fd), quoted)
		f.Add(typ, uint8(4), uint32(32<<16), append(append([]byte{}, quoted...), payload(200)...))
	}
	f.Fuzz(func(t *testing.T, typ, code uint8, rest uint32, body []byte) {
		if len(body) > 60000 {
			return
		}
		h, eth := host(t)
		h.Sink(t, wire.ProtoUDP)
		route4(t, h, "0.0.0.0/0", "10.0.0.254")
		eth.Dev.SetMTU(65535)
		in := hosttest.ICMP4(from("10.0.0.254", "10.0.0.1"), typ, code, rest, body)
		receive4(eth, in)
		errorAbout(h, eth, packet.Host, in)
		_, ms := messages(t, eth)
		for _, m := range ms {
			if m.IsError() && wire.IsICMP4Error(typ) {
				t.Errorf("an error about an error of type %d", typ)
			}
		}
	})
}
