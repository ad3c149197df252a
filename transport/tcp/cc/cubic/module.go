// Package cubic is the module for CUBIC congestion control (RFC 9438).
package cubic

import (
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/transport/tcp/cc"
)

// Module is the metadata.
var Module = module.Spec{
	Name:        "tcp_cubic",
	Version:     "1.0",
	Description: "CUBIC congestion control",
	Author:      "the knit authors",
	License:     "Apache-2.0",
	Alias:       []string{"tcp-cc-cubic"},
	Init:        start,
}

func start(c *module.Context) error {
	table, err := module.Import[*cc.Table](c, cc.Symbol)
	if err != nil {
		return err
	}
	return c.Register(table.Register("cubic", New))
}
