// Package icmp4 is the module for the Internet Control Message Protocol of IPv4
// (RFC 792, RFC 1122 §3.2.2, RFC 1812 §4.3, RFC 4884): it answers echo and
// timestamp requests, tells senders of packets that could not be delivered, and
// transports of errors about their packets.
package icmp4

import (
	"sync"

	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/sysctl"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/wire"
)

// Module is the metadata.
var Module = module.Spec{
	Name:        "icmp4",
	Version:     "1.0",
	Description: "Internet Control Message Protocol of IPv4",
	Author:      "the knit authors",
	License:     "Apache-2.0",
	Alias:       []string{"net-pf-2-proto-1"},
	Depends:     []string{"ip4"},
	Init:        start,
}

// icmp is one kernel's instance: the network.Handler of ICMP and the ErrorSender
// of IPv4.
type icmp struct {
	net       *network.Layer
	paths     *network.PathCache // to whom we answer
	conf      *network.DeviceConf[conf]
	settings  settings
	limits    limits
	redirects buckets
	mib       mib
	replies   sync.Pool // of *reply
	errors    sync.Pool // of *received
}

func start(c *module.Context) error {
	n, err := module.Import[*network.Layer](c, network.Symbol)
	if err != nil {
		return err
	}
	table, err := module.Import[*sysctl.Table](c, "sysctl")
	if err != nil {
		return err
	}
	i := newICMP(n)
	if err := i.publish(c, table); err != nil {
		return err
	}
	if err := c.Register(n.SetErrorSender(network.V4, i)); err != nil {
		return err
	}
	return c.Register(n.Handle(network.V4, wire.ProtoICMP, i))
}

func newICMP(n *network.Layer) *icmp {
	i := &icmp{net: n, paths: n.NewPathCache()}
	i.replies.New = func() any { return new(reply) }
	i.errors.New = func() any { return new(received) }
	i.settings.init()
	i.limits.init(n.Clock, &i.settings)
	i.redirects.init()
	return i
}

// A reply is what sending one message needs. It is kept, because what is passed to
// an interface would be allocated for every message.
type reply struct {
	send network.Send
	q    packet.Queue
	opts [wire.IPv4MaxOptions]byte
}

// send sends one message, which is whole, as r says, and puts r back.
func (i *icmp) send(r *reply, pkt *packet.Packet) {
	r.send.Proto = wire.ProtoICMP
	// Never DF: nobody would react to an error about an ICMP message.
	r.send.Fragment, r.send.Socket = network.FragmentDont, i.net.OwnSocket()
	r.q.Push(pkt)
	i.net.Send(&r.send, &r.q)
	r.send = network.Send{}
	i.replies.Put(r)
}
