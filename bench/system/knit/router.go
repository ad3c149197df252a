package knit

import (
	"context"
	"io"
	"net/netip"
	"sync/atomic"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/bench/system"
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/network/route"
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
	err = attach(k, in, out, o)
	if err == nil && o.Rules != "" {
		err = load(k, o.Rules)
	}
	if err != nil {
		k.Close()
		return nil, err
	}
	data := system.Datagram(system.FlowSource, system.FlowDestination)
	begun := 0
	return &system.Router{
		Inject: func(n int) error { in.receive(k.Pool, data, n, nil); return nil },
		Begin: func(n int) error {
			in.receive(k.Pool, data, n, func(b []byte) { system.Beginning(b, begun); begun++ })
			return nil
		},
		Answer: func() error {
			for _, b := range system.Answers() {
				out.receive(k.Pool, b, 1, nil)
			}
			return nil
		},
		Load:      func(rules string) error { return load(k, rules) },
		Delivered: out.packets.Load,
		Close:     func() { k.Close() },
	}, nil
}

// load gives k a ruleset, in place of the one it has.
func load(k *knit.Kernel, rules string) error {
	if err := modprobe(k, "nf_tables"); err != nil {
		return err
	}
	r, ok := module.Find[netfilter.Ruleset](k.Modules, netfilter.RulesetSymbol)
	if !ok {
		return system.Unsupportedf("knit has no rules")
	}
	return r.Run(context.Background(), &netfilter.NFTRequest{Text: "flush ruleset\n" + rules, Name: "rules"}, io.Discard)
}

// attach makes k a router between two devices.
func attach(k *knit.Kernel, in, out *sink, o system.Options) error {
	for _, d := range []struct {
		sink       *sink
		name, addr string
	}{{in, "in", "10.77.1.2/24"}, {out, "out", "10.77.2.2/24"}} {
		info := link.Info{Name: d.name, Type: link.None, MTU: o.LinkMTU(), Features: link.TxCsum}
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

// Routes implements system.Lookuper.
func (System) Routes(prefixes []netip.Prefix) (lookup func(netip.Addr) bool, err error) {
	t := new(route.Table)
	for _, p := range prefixes {
		if err := t.Add(route.Route{Dst: p, NextHops: []route.NextHop{{Index: 1}}}, route.Create); err != nil {
			return nil, err
		}
	}
	return func(a netip.Addr) bool { return t.Lookup(a) != nil }, nil
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
// arrived in one batch. change, if it is set, may change each.
func (s *sink) receive(pool *packet.Pool, data []byte, n int, change func([]byte)) {
	var q packet.Queue
	for range n {
		pkt := pool.Get()
		pkt.Append(data)
		if change != nil {
			change(pkt.Head())
		}
		pkt.Proto = wire.EtherTypeIPv4
		q.Push(pkt)
	}
	s.dev.Receive(&q)
}
