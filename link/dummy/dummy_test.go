package dummy_test

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/link/dummy"
	"github.com/knitnet/knit/link/internal/linktest"
	"github.com/knitnet/knit/wire"
)

func TestSwallowsAndCounts(t *testing.T) {
	l := linktest.New(t)
	linktest.Load(t, l, dummy.Module)
	dev, err := l.Create("dummy", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if dev.Name() != "dummy0" || dev.Type() != link.Ether || dev.Flags() != link.BroadcastDev|link.NoARP || dev.MAC().IsZero() {
		t.Errorf("%s: type %v, flags %#x, address %v", dev.Name(), dev.Type(), dev.Flags(), dev.MAC())
	}
	linktest.Up(t, dev)
	linktest.Send(dev, linktest.UDP4(l.Pool, 1, 2, nil), wire.MAC{2})
	if n, b := dev.Tx().Packets.Load(), dev.Tx().Bytes.Load(); n != 1 || b != 14+28 {
		t.Errorf("counted %d frames of %d bytes", n, b)
	}
	if len(l.Pool.Drops.List()) != 0 {
		t.Errorf("swallowing is no drop: %v", l.Pool.Drops.List())
	}
	if err := l.Delete(dev); err != nil || len(l.Devices()) != 0 {
		t.Errorf("Delete: %v", err)
	}
}

func TestUnloadTakesDevicesThatAreDown(t *testing.T) {
	l := linktest.New(t)
	r := linktest.Load(t, l, dummy.Module, "numdummies=2")
	one, err := l.Lookup("dummy1")
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := one.Created(); !ok {
		t.Error("a device of the parameter cannot be told from one that only a program can make")
	}
	linktest.Up(t, one)
	if err := r.Unload(context.Background(), "dummy"); !errors.Is(err, module.ErrInUse) {
		t.Errorf("unload with a device up: %v", err)
	}
	one.SetUp(false)
	if err := r.Unload(context.Background(), "dummy"); err != nil || len(l.Devices()) != 0 || len(l.Kinds()) != 0 {
		t.Errorf("unload: %v, left %v %v", err, l.Devices(), l.Kinds())
	}
	if _, err := l.Create("dummy", "", nil); !errors.Is(err, syscall.EOPNOTSUPP) {
		t.Errorf("Create after unload: %v", err)
	}
}

func TestRefusesOptions(t *testing.T) {
	l := linktest.New(t)
	linktest.Load(t, l, dummy.Module)
	if _, err := l.Create("dummy", "d0", map[string]string{"peer": "d1"}); err == nil || !strings.Contains(err.Error(), "no options") {
		t.Errorf("Create with an option: %v", err)
	}
}
