// Package tap is the module for devices whose other side is a TAP of the host: they
// carry Ethernet frames.
//
//	ip link add tap0 type tap queues 2
//
// makes tap0 here and tap0 on the host, where it gets its addresses by the host's own
// ip command. Options: queues N; persist on|off (the host's interface outlives this
// one); host NAME (the host's interface, if not of the same name); vnet_hdr on|off
// (off switches all offload off). The MTU of the host's interface follows.
//
// The symbol link.TAPAttachSymbol makes a device over descriptors that somebody else
// opened. Systems other than Linux say ENOTSUP to both.
package tap

import (
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/link/hostfd"
)

const kind = "tap"

// Module is the metadata.
var Module = module.Spec{
	Name:        kind,
	Version:     "1.0",
	Description: "devices that carry Ethernet frames to and from a TAP of the host",
	Author:      "the knit authors",
	License:     "Apache-2.0",
	Alias:       []string{"rtnl-link-" + kind},
	Exports:     []string{link.TAPAttachSymbol},
	Params:      hostfd.Params(),
	Init: func(c *module.Context) error {
		return hostfd.Start(c, kind, link.Ether, link.TAPAttachSymbol)
	},
}
