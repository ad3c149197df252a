package knit

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/bench/netdev"
	"github.com/knitnet/knit/bench/system"
)

// TAP implements system.TAPper with the kind tap, whose other side is a device of
// the same name in the host's namespace.
func (System) TAP(o system.Options) (*system.Net, error) {
	k, err := newKernel()
	if err != nil {
		return nil, err
	}
	if err := tap(k, o); err != nil {
		k.Close()
		return nil, err
	}
	h := host{kernel: k, addr: netip.MustParseAddr("10.77.0.2")}
	return &system.Net{Z: h, Close: func() { k.Close() }}, nil
}

func tap(k *knit.Kernel, o system.Options) error {
	options := map[string]string{}
	if !o.Offload {
		options["vnet_hdr"] = "off"
	}
	if err := modprobe(k, "arp"); err != nil {
		return err
	}
	dev, err := k.Link.Create("tap", "bench0", options)
	if errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) {
		return system.Unsupportedf("make a TAP: %v", err)
	}
	if err != nil {
		return fmt.Errorf("make a TAP: %w", err)
	}
	if err := k.AddAddr(dev.Name(), netip.MustParsePrefix("10.77.0.2/24")); err != nil {
		return err
	}
	outer := netdev.Device{Name: dev.Name(), Addr: netip.MustParsePrefix("10.77.0.1/24"), MTU: o.LinkMTU()}
	return outer.SetUp()
}
