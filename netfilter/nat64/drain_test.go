package nat64_test

import (
	"strings"
	"testing"
	"time"

	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/wire"
)

// TestDrainWithLiveFlows: the module goes in the middle of everything that it can hold:
// sessions of each protocol, a SYN from outside that waits for one from inside, and
// fragments that wait for others, of both versions. Nothing of it is left, and neither
// side is translated any more; loaded again it begins anew.
func TestDrainWithLiveFlows(t *testing.T) {
	params := []string{"pool4=" + pool, "address_dependent=1"}
	r := newRig(t, params...)
	for range 3 {
		s, _ := ends(r.out(udp(client, 4000, embed(server), 53, "")))
		r.in(udp(server, 53, pool, s.Port(), "answer"))
		r.out(echo(client, embed(server), 7, false))
		c, _ := ends(r.out(tcp(client, 4000, embed(server), 80, wire.TCPSyn)))
		r.in(tcp(server, 80, pool, c.Port(), wire.TCPSyn|wire.TCPAck))
		r.dropped(r.outside, tcp(peer, 9, pool, c.Port(), wire.TCPSyn)) // it waits
		r.inside.put(r.fragments6(udp(client, 4000, embed(server), 53, strings.Repeat("x", 3000)), 1280, 7)[0])
		r.outside.put(r.fragments4(udp(server, 53, pool, s.Port(), strings.Repeat("y", 2000)), 700, false, 9)[0])
		if n := r.k.Pool.Live(); n != 3 {
			t.Errorf("%d packets wait, want a SYN and two fragments", n)
		}
		r.try(r.k.Modules.Remove(ctx, "nat64", module.RemoveOptions{Wait: time.Second}))
		if n := r.k.Pool.Live(); n != 0 {
			t.Errorf("%d packets are left of the module", n)
		}
		if _, err := r.k.Link.Lookup("nat64"); err == nil {
			t.Error("its device is left")
		}
		r.dropped(r.inside, udp(client, 4000, embed(server), 53, ""))
		r.dropped(r.outside, udp(server, 53, pool, s.Port(), "late"))
		for _, e := range r.k.Log.Entries() {
			if strings.Contains(e.Text, "reclaimed") {
				t.Error(e.Text)
			}
		}
		r.try(r.k.Modprobe(ctx, "nat64", params...))
		r.inside.take()
		r.outside.take()
	}
}
