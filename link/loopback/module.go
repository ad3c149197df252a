// Package loopback is the module that makes the device lo: what is sent there is
// received there.
//
// The sender's goroutine carries a packet through the receive path before Transmit
// returns. The answer to a packet, sent from inside that call, waits until the
// call is through, so two sockets that answer each other never nest; package
// backlog does this and says more. Nothing is copied, and no checksum is computed:
// CsumPartial stays, and says that the bytes are good.
//
// As with every driver, the module is in use while its device is up: rmmod wants
// `ip link set lo down` first.
package loopback

import (
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/link"
)

// Module is the metadata.
var Module = module.Spec{
	Name:        "loopback",
	Version:     "1.0",
	Description: "the loopback device lo",
	Author:      "the knit authors",
	License:     "Apache-2.0",
	Params: []module.Param{
		module.Uint("mtu", 65536, "MTU of lo in bytes").Range(68, 1<<16),
	},
	Init: start,
}

func start(c *module.Context) error {
	l, err := module.Import[*link.Layer](c, link.Symbol)
	if err != nil {
		return err
	}
	dev, err := l.Attach(link.Info{
		Name:     "lo",
		Type:     link.Loopback,
		MTU:      int(c.Uint("mtu")),
		MaxMTU:   1 << 16,
		Features: link.Default,
	}, &driver{hold: c.Users("device")})
	if err != nil {
		return err
	}
	c.Cleanup(dev.Detach)
	return dev.SetUp(true)
}
