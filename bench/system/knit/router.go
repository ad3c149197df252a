package knit

import (
	"net/netip"
	"sync/atomic"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/bench/system"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/wire"
)

// Router implements system.Forwarder: packets are handed to the first device as
// every driver does it, in a batch, and counted and ended in the driver of the
// second.
func (System) Router(o system.Options) (*system.Router, error) {
	k, err := newKernel()
	if err != nil {
		return nil, err
	}
	in, out := new(sink), new(sink)
	if err := attach(k, in, out, o); err != nil {
		k.Close()
		return nil, err
	}
	data := system.Datagram(netip.MustParseAddr("10.77.1.1"), netip.MustParseAddr("10.77.2.77"))
	return &system.Router{
		Inject:    func(n int) error { in.receive(k.Pool, data, n); return nil },
		Delivered: out.packets.Load,
		Close:     func() { k.Close() },
	}, nil
}

// attach makes k a router between two devices.
func attach(k *knit.Kernel, in, out *sink, o system.Options) error {
	for _, d := range []struct {
		sink *sink
		addr string
	}{{in, "10.77.1.2/24"}, {out, "10.77.2.2/24"}} {
		info := link.Info{Name: "sink%d", Type: link.None, MTU: o.LinkMTU(), Features: link.TxCsum}
		dev, err := k.Link.Attach(info, d.sink)
		if err != nil {
			return err
		}
		d.sink.dev = dev
		if err := k.AddAddr(dev.Name(), netip.MustParsePrefix(d.addr)); err != nil {
			return err
		}
	}
	return forward(k)
}

// A sink is a driver that counts what is sent and sends it nowhere.
type sink struct {
	dev     *link.Device
	packets atomic.Uint64
}

// Transmit implements link.Driver.
func (s *sink) Transmit(_ *link.Device, q *packet.Queue) {
	s.packets.Add(uint64(q.Len()))
	q.Consume()
}

// Open implements link.Driver.
func (*sink) Open(*link.Device) error { return nil }

// Close implements link.Driver.
func (*sink) Close(*link.Device) {}

// receive gives the kernel n packets with a copy of data each, as if they had
// arrived in one batch.
func (s *sink) receive(pool *packet.Pool, data []byte, n int) {
	var q packet.Queue
	for range n {
		pkt := pool.Get()
		pkt.Append(data)
		pkt.Proto = wire.EtherTypeIPv4
		q.Push(pkt)
	}
	s.dev.Receive(&q)
}
