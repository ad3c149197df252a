// Package pipe is the module for pairs of point-to-point IP devices that join two
// kernels of one process, or one kernel with itself.
//
// A Go program gets at it by the symbol link.PipeSymbol, a link.PipeFunc; `ip link
// add NAME type pipe peer name PEER` makes a pair inside one kernel. A pair belongs
// to the kernel whose module made it.
package pipe

import (
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/link/pair"
)

const kind = "pipe"

// Module is the metadata.
var Module = module.Spec{
	Name:        kind,
	Version:     "1.0",
	Description: "point-to-point devices that join two kernels of one process",
	Author:      "the knit authors",
	License:     "Apache-2.0",
	Alias:       []string{"rtnl-link-" + kind},
	Exports:     []string{link.PipeSymbol},
	Init:        start,
}

func start(c *module.Context) error {
	l, err := module.Import[*link.Layer](c, link.Symbol)
	if err != nil {
		return err
	}
	m := &maker{hold: c.Users("device")}
	c.Cleanup(m.set.DetachAll)
	undo, err := l.RegisterKind(kind, link.Kind{
		New: func(name string, options map[string]string) (*link.Device, error) {
			return m.fromOptions(l, name, options)
		},
	})
	if err != nil {
		return err
	}
	c.Cleanup(undo)
	return module.Export[link.PipeFunc](c, link.PipeSymbol, m.pipe)
}

// A maker makes the module's pairs.
type maker struct {
	set  pair.Set
	hold link.Holder
}

func (m *maker) fromOptions(l *link.Layer, name string, options map[string]string) (*link.Device, error) {
	o := link.NewOptions(kind, options)
	cfg := link.PipeConfig{A: name, B: o.String("peer", ""), Ethernet: o.Bool("ethernet", false)}
	if !o.Bool("offload", true) {
		cfg.Features = link.TxCsum
	}
	if err := o.Err(); err != nil {
		return nil, err
	}
	x, _, err := m.pipe(l, l, cfg)
	return x, err
}

// pipe is the link.PipeFunc.
func (m *maker) pipe(a, b *link.Layer, cfg link.PipeConfig) (x, y *link.Device, err error) {
	// While it is being made the pair counts as in use, so that an unload does not
	// miss it.
	if err := link.Hold(m.hold); err != nil {
		return nil, nil, err
	}
	defer m.hold.Put()
	x, y, err = pair.New(a, b, info(cfg, cfg.A), info(cfg, cfg.B), m.hold)
	if err == nil {
		m.set.Add(x, y)
	}
	return x, y, err
}

func info(cfg link.PipeConfig, name string) link.Info {
	i := link.Info{Name: name, Kind: kind, Type: link.None, MTU: cfg.MTU, Features: cfg.Features}
	if i.Name == "" {
		i.Name = "pipe%d"
	}
	if i.Features == 0 {
		i.Features = link.Default
	}
	if cfg.Ethernet {
		i.Type = link.Ether
	}
	return i
}
