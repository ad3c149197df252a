package ip4_test

import (
	"testing"
	"time"

	"github.com/knitnet/knit/core/hook"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/internal/hosttest"
	"github.com/knitnet/knit/wire"
)

// FuzzInput lets a router with all options switched on receive random packets, with
// their header checksum mended so that they get further. What it sends has to be
// valid, and nothing may be left over.
func FuzzInput(f *testing.F) {
	for _, dst := range []string{"10.0.0.1", "10.0.1.2", "10.0.0.255", "224.0.0.1", "192.0.2.1"} {
		f.Add(hosttest.IPv4(from("10.0.0.2", dst), payload(30)), true)
		f.Add(hosttest.IPv4(withOptions("10.0.0.2", dst, 7, 7, 4, 0, 0, 0, 0, 148, 4, 0, 0), payload(30)), false)
		f.Add(hosttest.IPv4(withOptions("10.0.0.2", dst, 131, 7, 4, 10, 0, 1, 2, 68, 12, 5, 1, 0, 0, 0, 0, 0, 0, 0, 0), payload(2000)), false)
		f.Add(hosttest.ICMP4(withOptions("10.0.0.2", dst, 7, 7, 4, 0, 0, 0, 0), wire.ICMP4Echo, 0, 1, payload(30)), true)
		fr := from("10.0.0.2", dst)
		fr.MF = true
		f.Add(hosttest.IPv4(fr, payload(32)), false)
	}
	f.Fuzz(func(t *testing.T, b []byte, split bool) {
		if len(b) > 65535 {
			return
		}
		h, left, right := router(t)
		right.Dev.SetMTU(600)
		h.Sink(t, wire.ProtoUDP)
		for _, name := range []string{"all", "left"} {
			h.Set(t, "net.ipv4.conf."+name+".accept_source_route", "1")
		}
		if split {
			defer h.Net.Hooks[network.V4].Prerouting.Add(hook.Entry{Func: func(*packet.Packet) hook.Verdict { return hook.Accept }})()
		}
		if len(b) >= wire.IPv4Len {
			if v, ok := wire.ParseIPv4(b); ok {
				v.UpdateHeaderChecksum()
			}
		}
		receive4(left, b, b)
		h.Advance(time.Minute)
		for _, p := range []*hosttest.Port{left, right} {
			for _, s := range p.Take() {
				if v, ok := wire.ParseIPv4(s); !ok || !v.ChecksumOK() || v.TotalLen() != len(s) || v.TTL() == 0 {
					t.Errorf("sent % x", s)
				}
			}
		}
	})
}
