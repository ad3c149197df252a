// Package dummy is the module for devices that swallow what they are sent: to hold
// an address, or to end a route.
package dummy

import (
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/link"
)

const kind = "dummy"

// Module is the metadata.
var Module = module.Spec{
	Name:        kind,
	Version:     "1.0",
	Description: "devices that swallow what they are sent",
	Author:      "the knit authors",
	License:     "Apache-2.0",
	Alias:       []string{"rtnl-link-" + kind},
	Params: []module.Param{
		module.Uint("numdummies", 0, "number of devices to make at load").Range(0, 1024).AtLoad(),
	},
	Init: start,
}

func start(c *module.Context) error {
	l, err := module.Import[*link.Layer](c, link.Symbol)
	if err != nil {
		return err
	}
	k := link.Kind{
		New: func(name string, options map[string]string) (*link.Device, error) {
			if err := link.NewOptions(kind, options).Err(); err != nil {
				return nil, err
			}
			return add(l, name, c.Users("device"))
		},
		Delete: func(dev *link.Device) error { dev.Detach(); return nil },
	}
	undo, err := l.RegisterKind(kind, k)
	if err != nil {
		return err
	}
	c.Cleanup(func() { l.DetachKind(kind) })
	c.Cleanup(undo)
	for range c.Uint("numdummies") {
		if _, err := l.Create(kind, "dummy%d", nil); err != nil {
			return err
		}
	}
	return nil
}

func add(l *link.Layer, name string, h link.Holder) (*link.Device, error) {
	// While it is being made the device counts as in use, so that an unload does
	// not miss it.
	if err := link.Hold(h); err != nil {
		return nil, err
	}
	defer h.Put()
	return l.Attach(link.Info{
		Name: name, Kind: kind, Type: link.Ether,
		Flags: link.NoARP, Without: link.MulticastDev, Features: link.AllTx,
	}, &driver{h})
}

type driver struct{ hold link.Holder }

// Transmit implements link.Driver. The frames count as sent.
func (d *driver) Transmit(_ *link.Device, q *packet.Queue) { q.Consume() }

// Open implements link.Driver.
func (d *driver) Open(*link.Device) error { return link.Hold(d.hold) }

// Close implements link.Driver.
func (d *driver) Close(*link.Device) { d.hold.Put() }
