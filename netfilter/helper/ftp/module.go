// Package ftp is the module nf_conntrack_ftp: it reads on the control connection of
// FTP where data connections will go (RFC 959, RFC 2428), and expects them.
//
// What opens a port in a firewall must not be forged by who can only put text into
// somebody else's connection. So a command or reply counts only at the beginning of
// a line of the stream, wherever segments begin; it has to be complete; and its
// address has to be that of its sender, unless the parameter loose says otherwise.
package ftp

import (
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/netfilter/helper"
	"github.com/knitnet/knit/wire"
)

// Module is the metadata.
var Module = module.Spec{
	Name:        netfilter.FTPSymbol,
	Version:     "1.0",
	Description: "ftp connection tracking helper",
	Author:      "the knit authors",
	License:     "Apache-2.0",
	Alias:       []string{"ip_conntrack_ftp", netfilter.HelperAlias + "ftp"},
	Exports:     []string{netfilter.FTPSymbol},
	Imports:     []string{netfilter.TrackerSymbol},
	Params: []module.Param{
		module.List("ports", []string{"21"}, "ports of servers, for connections that get the helper without a rule"),
		module.Bool("loose", false, "believe announcements of other hosts' addresses").Writable(),
	},
	Init: start,
}

func start(c *module.Context) error {
	track, err := module.Import[netfilter.Tracker](c, netfilter.TrackerSymbol)
	if err != nil {
		return err
	}
	ports, err := helper.Ports(c)
	if err != nil {
		return err
	}
	f := &ftp{track: track}
	f.loose.Store(c.Bool("loose"))
	c.OnParam("loose", func() { f.loose.Store(c.Bool("loose")) })
	h := &netfilter.Helper{
		Name: "ftp", Proto: wire.ProtoTCP, Ports: ports, MaxExpected: 1,
		Help: f.help, Users: c.Users("rule"), NAT: "nf_nat_ftp",
	}
	f.helper = h
	if err := c.Register(track.AddHelper(h)); err != nil {
		return err
	}
	return module.Export[netfilter.Announcer](c, netfilter.FTPSymbol, &f.hook)
}
