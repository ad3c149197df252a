package knit_test

import (
	"context"
	"testing"

	"github.com/knitnet/knit/internal/leak"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/transport"
)

// TestSocketsSayWhoseTheyAre: what ss shows of a socket beside its addresses is
// which module opened it, whether it takes IPv4 too, and a number of its own.
func TestSocketsSayWhoseTheyAre(t *testing.T) {
	leak.Check(t)
	a, z := pair(t, link.PipeConfig{}, "udp", "raw", "ping")
	if err := z.Modprobe(context.Background(), "hello"); err != nil {
		t.Fatal(err)
	}
	l, err := z.Listen("tcp6", "[::]:80")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := a.Dial("tcp", "10.0.0.2:8000")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	listenUDP(t, z, "udp", ":53")
	listenUDP(t, z, "udp6", "[::]:54")
	listenUDP(t, z, "ip4:99", "0.0.0.0")
	listenUDP(t, z, "ping4", "")

	type row struct {
		kind  transport.Kind
		port  uint16
		state string
	}
	type marks struct {
		owner  string
		v6only bool
	}
	got, ids := map[row]marks{}, map[uint64]bool{}
	for _, kind := range []transport.Kind{transport.TCP, transport.UDP, transport.Raw, transport.Ping} {
		for _, s := range z.Transport.Sockets(kind) {
			if ids[s.ID] || s.ID == 0 {
				t.Errorf("%s %v has the ID %d of another socket", s.Proto, s.Local, s.ID)
			}
			ids[s.ID] = true
			r := row{kind, s.Local.Port(), s.State}
			if kind == transport.Ping {
				r.port = 0
			}
			got[r] = marks{s.Owner, s.V6Only}
		}
	}
	want := map[row]marks{
		{transport.TCP, 80, "LISTEN"}: {"", true}, {transport.TCP, 8000, "LISTEN"}: {"hello", false}, {transport.TCP, 8000, "ESTAB"}: {"hello", false},
		{transport.UDP, 53, "UNCONN"}: {"", false}, {transport.UDP, 54, "UNCONN"}: {"", true},
		{transport.Raw, 99, "UNCONN"}: {}, {transport.Ping, 0, "UNCONN"}: {},
	}
	if len(got) != len(want) {
		t.Errorf("%d sockets, want %d: %v", len(got), len(want), got)
	}
	for r, m := range want {
		if g, there := got[r]; !there || g != m {
			t.Errorf("%+v: %+v, there: %v, want %+v", r, g, there, m)
		}
	}
}
