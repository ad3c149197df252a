package datagram

import (
	"sync"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/network"
)

// An Outbox sends single packets without allocating: what a Send needs beside the
// packet is pooled, since calls through interfaces would make it escape. The zero
// Outbox is ready; it is safe for concurrent use.
type Outbox struct{ pool sync.Pool }

type parcel struct {
	send network.Send
	q    packet.Queue
}

// Send sends pkt, which it owns, along p, as send and the options opts say.
func (o *Outbox) Send(n *network.Layer, p *network.Path, opts *Options, send network.Send, pkt *packet.Packet) {
	x, _ := o.pool.Get().(*parcel)
	if x == nil {
		x = new(parcel)
	}
	x.send = send
	x.send.Path = p
	opts.Fill(&x.send, p.Dst)
	x.q.Push(pkt)
	n.Send(&x.send, &x.q)
	x.send = network.Send{}
	o.pool.Put(x)
}
