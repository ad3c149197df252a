// Package tftp is the module nf_conntrack_tftp: the answer to a request of TFTP
// comes from a port that nobody could know (RFC 1350 §4), and is expected.
package tftp

import (
	"time"

	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/netfilter/helper"
	"github.com/knitnet/knit/wire"
)

// Module is the metadata.
var Module = module.Spec{
	Name:        netfilter.TFTPSymbol,
	Version:     "1.0",
	Description: "TFTP connection tracking helper",
	Author:      "the knit authors",
	License:     "Apache-2.0",
	Alias:       []string{"ip_conntrack_tftp", netfilter.HelperAlias + "tftp"},
	Exports:     []string{netfilter.TFTPSymbol},
	Imports:     []string{netfilter.TrackerSymbol},
	Params: []module.Param{
		module.List("ports", []string{"69"}, "ports of servers, for connections that get the helper without a rule"),
	},
	Init: start,
}

// Operation codes of requests (RFC 1350 §5).
const (
	readRequest  = 1
	writeRequest = 2
)

// expectFor is how long the answer is waited for.
const expectFor = 5 * time.Minute

// tftp is the helper in one kernel.
type tftp struct {
	track netfilter.Tracker
	hook  helper.Hook
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
	f := &tftp{track: track}
	if err := c.Register(track.AddHelper(&netfilter.Helper{
		Name: "tftp", Proto: wire.ProtoUDP, Ports: ports, MaxExpected: 1,
		Help: f.help, Users: c.Users("rule"), NAT: "nf_nat_tftp",
	})); err != nil {
		return err
	}
	return module.Export[netfilter.Announcer](c, netfilter.TFTPSymbol, &f.hook)
}

// help implements netfilter.Helper: the client's port is where the server answers
// to, from any of its own.
func (f *tftp) help(pkt *packet.Packet, c *netfilter.Conn, info netfilter.Info) bool {
	o := &c.Tuples[netfilter.Original]
	_, data, ok := helper.Payload(o.Version, pkt, wire.ProtoUDP)
	if !ok || info.Dir() != netfilter.Original || !isRequest(pkt, data) {
		return true
	}
	x := helper.Expectation(c, netfilter.Original)
	x.Timeout = expectFor
	x.Tuple.DstPort = c.Tuples[netfilter.Reply].DstPort
	x.SavedAddr, x.SavedPort = o.Src, o.SrcPort
	return f.hook.Announce(f.track, &netfilter.Announcement{Pkt: pkt, Conn: c, Info: info, Expect: x})
}

func isRequest(pkt *packet.Packet, data int) bool {
	var op [2]byte
	return pkt.CopyOut(data, op[:]) == 2 && op[0] == 0 && (op[1] == readRequest || op[1] == writeRequest)
}
