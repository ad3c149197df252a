// Package tftpnat is the module nf_nat_tftp: where a request of TFTP is translated,
// its answer finds the way back to the client.
package tftpnat

import (
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/netfilter/helper"
)

// Module is the metadata.
var Module = module.Spec{
	Name:        "nf_nat_tftp",
	Version:     "1.0",
	Description: "TFTP NAT helper",
	Author:      "the knit authors",
	License:     "Apache-2.0",
	Alias:       []string{"ip_nat_tftp", "nf-nat-tftp"},
	Imports:     []string{netfilter.TrackerSymbol, netfilter.TranslatorSymbol, netfilter.TFTPSymbol},
	Init:        start,
}

func start(c *module.Context) error {
	track, err := module.Import[netfilter.Tracker](c, netfilter.TrackerSymbol)
	if err != nil {
		return err
	}
	nat, err := module.Import[netfilter.Translator](c, netfilter.TranslatorSymbol)
	if err != nil {
		return err
	}
	tftp, err := module.Import[netfilter.Announcer](c, netfilter.TFTPSymbol)
	if err != nil {
		return err
	}
	follow := helper.Follow(nat)
	c.Free(func() { helper.Forget(track, "tftp") })
	return c.Register(tftp.SetNAT(func(a *netfilter.Announcement) bool {
		a.Expect.Created = follow
		return track.Expect(a.Expect) == nil
	}))
}
