package veth_test

import (
	"errors"
	"testing"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/link/internal/linktest"
	"github.com/knitnet/knit/link/veth"
	"github.com/knitnet/knit/wire"
)

// TestPair: ip link add v0 type veth peer name v1; what one sends the other
// receives; deleting one deletes both.
func TestPair(t *testing.T) {
	l := linktest.New(t)
	linktest.Load(t, l, veth.Module)
	v0, err := l.Create("veth", "v0", map[string]string{"peer": "v1"})
	if err != nil {
		t.Fatal(err)
	}
	v1, err := l.Lookup("v1")
	if err != nil {
		t.Fatal(err)
	}
	if v0.MAC() == v1.MAC() || v0.Type() != link.Ether || v0.MTU() != 1500 {
		t.Errorf("%v and %v, type %v, MTU %d", v0.MAC(), v1.MAC(), v0.Type(), v0.MTU())
	}
	linktest.Up(t, v0)
	if v0.Flags()&link.LowerUp != 0 {
		t.Error("carrier while the peer is down")
	}
	linktest.Up(t, v1)
	var from []string
	linktest.Handle(t, l, wire.EtherTypeIPv4, func(dev *link.Device, pkt *packet.Packet) {
		from = append(from, dev.Name())
		pkt.Consume()
	})
	linktest.Send(v0, linktest.UDP4(l.Pool, 1, 2, nil), v1.MAC())
	linktest.Send(v1, linktest.UDP4(l.Pool, 2, 1, nil), v0.MAC())
	if len(from) != 2 || from[0] != "v1" || from[1] != "v0" {
		t.Errorf("received on %v, want v1 and v0", from)
	}
	if err := l.Delete(v1); err != nil || len(l.Devices()) != 0 {
		t.Errorf("Delete: %v, left %v", err, l.Devices())
	}
}

func TestNames(t *testing.T) {
	l := linktest.New(t)
	linktest.Load(t, l, veth.Module)
	if _, err := l.Create("veth", "", nil); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"veth0", "veth1"} {
		if _, err := l.Lookup(name); err != nil {
			t.Error(err)
		}
	}
	if _, err := l.Create("veth", "v0", map[string]string{"peer": "veth1"}); !errors.Is(err, link.ErrExists) {
		t.Errorf("taken peer name: %v", err)
	}
	if _, err := l.Lookup("v0"); err == nil {
		t.Error("v0 stays although its peer could not be made")
	}
}
