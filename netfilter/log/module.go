// Package log is the module nf_log_syslog: it writes what rules say of packets into the
// kernel's log.
package log

import (
	"github.com/knitnet/knit/core/klog"
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/netfilter"
)

// Module is the metadata.
var Module = module.Spec{
	Name:        netfilter.PacketLogSymbol,
	Version:     "1.0",
	Description: "log of packets in dmesg",
	Author:      "the knit authors",
	License:     "Apache-2.0",
	Alias:       []string{"nf-logger-2-0", "nf-logger-10-0", "nf_log", "nft-expr-log"},
	Exports:     []string{netfilter.PacketLogSymbol},
	Init: func(c *module.Context) error {
		return module.Export[netfilter.PacketLog](c, netfilter.PacketLogSymbol, packetLog{c.Log().Bare()})
	},
}

type packetLog struct{ log *klog.Logger }

// Log implements netfilter.PacketLog.
func (p packetLog) Log(level klog.Level, line string) { p.log.Printk(level, "%s", line) }
