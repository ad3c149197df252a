// Package reno is the module for Reno congestion control (RFC 5681).
package reno

import (
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/transport/tcp/cc"
)

// Module is the metadata.
var Module = module.Spec{
	Name:        "tcp_reno",
	Version:     "1.0",
	Description: "Reno congestion control",
	Author:      "the knit authors",
	License:     "Apache-2.0",
	Alias:       []string{"tcp-cc-reno"},
	Init:        start,
}

func start(c *module.Context) error {
	table, err := module.Import[*cc.Table](c, cc.Symbol)
	if err != nil {
		return err
	}
	return c.Register(table.Register("reno", New))
}
