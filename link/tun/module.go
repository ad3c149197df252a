// Package tun is the module for devices whose other side is a TUN of the host: they
// carry IP packets.
//
//	ip link add tun0 type tun queues 2
//
// makes tun0 here and tun0 on the host, where it gets its addresses by the host's own
// ip command. Options: queues N; persist on|off (the host's interface outlives this
// one); host NAME (the host's interface, if not of the same name); vnet_hdr on|off
// (off switches all offload off). The MTU of the host's interface follows.
//
// The symbol link.TUNAttachSymbol makes a device over descriptors that somebody else
// opened. Systems other than Linux say ENOTSUP to both.
package tun

import (
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/link/hostfd"
)

const kind = "tun"

// Module is the metadata.
var Module = module.Spec{
	Name:        kind,
	Version:     "1.0",
	Description: "devices that carry IP packets to and from a TUN of the host",
	Author:      "the knit authors",
	License:     "Apache-2.0",
	Alias:       []string{"rtnl-link-" + kind},
	Exports:     []string{link.TUNAttachSymbol},
	Params:      hostfd.Params(),
	Init: func(c *module.Context) error {
		return hostfd.Start(c, kind, link.None, link.TUNAttachSymbol)
	},
}
