// Package ipv6 is the module nf_defrag_ipv6, which puts fragments of IPv6 together
// for connection tracking.
package ipv6

import (
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/netfilter/defrag"
	"github.com/knitnet/knit/network"
)

// Module is the metadata.
var Module = module.Spec{
	Name:        netfilter.Defrag6Symbol,
	Version:     "1.0",
	Description: "puts fragments of IPv6 together for connection tracking",
	Author:      "the knit authors",
	License:     "Apache-2.0",
	Exports:     []string{netfilter.Defrag6Symbol},
	Init: func(c *module.Context) error {
		return defrag.Start(c, netfilter.Defrag6Symbol, network.V6)
	},
}
