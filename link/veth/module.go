// Package veth is the module for pairs of Ethernet devices: what one end sends the
// other one receives. Deleting one deletes both, and each has a carrier while the
// other one is up.
//
//	ip link add v0 type veth peer name v1
package veth

import (
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/link/pair"
)

const kind = "veth"

// Module is the metadata.
var Module = module.Spec{
	Name:        kind,
	Version:     "1.0",
	Description: "pairs of virtual Ethernet devices",
	Author:      "the knit authors",
	License:     "Apache-2.0",
	Alias:       []string{"rtnl-link-" + kind},
	Init:        start,
}

func start(c *module.Context) error {
	l, err := module.Import[*link.Layer](c, link.Symbol)
	if err != nil {
		return err
	}
	hold := c.Users("device")
	var set pair.Set
	c.Cleanup(set.DetachAll)
	undo, err := l.RegisterKind(kind, link.Kind{
		New: func(name string, options map[string]string) (*link.Device, error) {
			o := link.NewOptions(kind, options)
			peer := o.String("peer", "veth%d")
			if err := o.Err(); err != nil {
				return nil, err
			}
			return add(l, &set, name, peer, hold)
		},
	})
	if err != nil {
		return err
	}
	c.Cleanup(undo)
	return nil
}

func add(l *link.Layer, set *pair.Set, name, peer string, hold link.Holder) (*link.Device, error) {
	// While it is being made the pair counts as in use, so that an unload does not
	// miss it.
	if err := link.Hold(hold); err != nil {
		return nil, err
	}
	defer hold.Put()
	info := link.Info{Name: name, Kind: kind, Type: link.Ether, Features: link.Default}
	peerInfo := info
	peerInfo.Name = peer
	x, y, err := pair.New(l, l, info, peerInfo, hold)
	if err == nil {
		set.Add(x, y)
	}
	return x, err
}
