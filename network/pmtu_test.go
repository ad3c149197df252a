package network_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/internal/hosttest"
	"github.com/knitnet/knit/network/ip4"
	"github.com/knitnet/knit/wire"
)

var far = netip.MustParseAddr("10.0.0.2")

func pathTo(t *testing.T, h *hosttest.Host, dst netip.Addr) *network.Path {
	t.Helper()
	p, err := h.Net.Resolve(network.Flow{Dst: dst})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// sends sends a datagram whose IP packet has n bytes.
func sends(t *testing.T, h *hosttest.Host, s network.Send, n int) {
	t.Helper()
	s.Proto = wire.ProtoUDP
	h.Send(t, s, far.String(), make([]byte, n-wire.IPv4Len))
}

// TestMTUOfWhatWasSent: what says that a packet was too big is only believed if one
// as big was sent to where it says.
func TestMTUOfWhatWasSent(t *testing.T) {
	for _, tt := range []struct {
		name string
		send network.Send
		size int
		dst  netip.Addr
		told int
		want int
	}{
		{"larger than told", network.Send{}, 1401, far, 1400, 1400},
		{"no larger than told", network.Send{}, 1400, far, 1400, 1500},
		{"a question of 60 bytes", network.Send{}, 60, far, 552, 1500},
		{"to somebody else", network.Send{}, 1500, netip.MustParseAddr("10.0.0.3"), 1400, 1500},
		{"that routers may fragment", network.Send{Fragment: network.FragmentDont}, 1500, far, 1400, 1500},
		{"that was fragmented here", network.Send{}, 1600, far, 1400, 1500},
		{"that must not be fragmented", network.Send{Fragment: network.FragmentDo}, 1500, far, 1400, 1400},
		{"that was too big for the device", network.Send{Fragment: network.FragmentProbe}, 1600, far, 1400, 1500},
		{"told less than is believed", network.Send{}, 1500, far, 68, 552},
	} {
		h := hosttest.New(t, ip4.Module)
		h.Port(t, link.Info{Name: "p", MTU: 1500}, "10.0.0.1/24")
		sends(t, h, tt.send, tt.size)
		h.Net.LearnMTU(tt.dst, 0, tt.told)
		if got := pathTo(t, h, tt.dst).MTU(); got != tt.want {
			t.Errorf("%s: the path MTU is %d, want %d", tt.name, got, tt.want)
		}
	}
}

// TestMTUEnds: paths that were resolved with a path MTU are not used beyond its end.
func TestMTUEnds(t *testing.T) {
	h := hosttest.New(t, ip4.Module)
	h.Port(t, link.Info{Name: "p", MTU: 1500}, "10.0.0.1/24")
	sends(t, h, network.Send{}, 1500)
	h.Net.LearnMTU(far, 0, 1400)
	p := pathTo(t, h, far)
	h.Advance(10*time.Minute - 1)
	if !p.Valid() || p.MTU() != 1400 {
		t.Errorf("before the end: valid %v, MTU %d", p.Valid(), p.MTU())
	}
	h.Advance(1)
	if p.Valid() {
		t.Error("the path is valid after the end")
	}
	if got := pathTo(t, h, far).MTU(); got != 1500 {
		t.Errorf("after the end the MTU is %d, want 1500", got)
	}
}

// TestRedirectEnds is the same of redirects.
func TestRedirectEnds(t *testing.T) {
	h := hosttest.New(t, ip4.Module)
	dev := h.Port(t, link.Info{Name: "p"}, "10.0.0.1/24").Dev
	better := netip.MustParseAddr("10.0.0.3")
	h.Net.LearnRedirect(far, better, dev.Index())
	p := pathTo(t, h, far)
	h.Advance(5*time.Minute - 1)
	if !p.Valid() || p.NextHop != better {
		t.Errorf("before the end: valid %v, by %v", p.Valid(), p.NextHop)
	}
	h.Advance(1)
	if p.Valid() || pathTo(t, h, far).NextHop != far {
		t.Error("the redirect is followed after its end")
	}
}

// TestMTULocked: where less fits than is believed, packets may be fragmented on
// their way if their sender has not forbidden it.
func TestMTULocked(t *testing.T) {
	h := hosttest.New(t, ip4.Module)
	port := h.Port(t, link.Info{Name: "p", MTU: 1500}, "10.0.0.1/24")
	sends(t, h, network.Send{}, 1500)
	h.Net.LearnMTU(far, 0, 552)
	h.Net.LearnMTU(far, 0, 296)
	if p := pathTo(t, h, far); p.MTU() != 552 || !p.MTULocked() {
		t.Fatalf("MTU %d, locked %v, want 552 and true", p.MTU(), p.MTULocked())
	}
	for mode, df := range map[network.Fragment]bool{network.FragmentWant: false, network.FragmentDont: false, network.FragmentDo: true} {
		port.Take()
		sends(t, h, network.Send{Fragment: mode}, 500)
		if b := port.Take()[0]; b[6]&0x40 != 0 != df {
			t.Errorf("mode %d: DF %v, want %v", mode, !df, df)
		}
	}
}
