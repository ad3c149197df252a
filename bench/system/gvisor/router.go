package gvisor

import (
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/link/pipe"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/knitnet/knit/bench/system"
)

// Router implements system.Forwarder: packets are handed to the dispatcher of
// the first device, as every driver of gVisor does it, and counted and let go in
// the driver of the second.
func (System) Router(o system.Options) (*system.Router, error) {
	st, err := newStack()
	if err != nil {
		return nil, err
	}
	in, out := newSink(o), newSink(o)
	if err := forward(st, in, out); err != nil {
		return nil, err
	}
	if err := load(st, o.Rules); err != nil {
		stop(st)
		return nil, err
	}
	data, answers := system.Datagram(system.FlowSource, system.FlowDestination), system.Answers()
	return &system.Router{
		Inject: func(n int) error {
			for range n {
				in.receive(data)
			}
			return nil
		},
		Answer: func() error {
			for _, a := range answers {
				out.receive(a)
			}
			return nil
		},
		Delivered: out.packets.Load,
		Close:     func() { stop(st) },
	}, nil
}

// A sink is a driver that counts what is sent and sends it nowhere.
type sink struct {
	offloadPipe
	dispatcher stack.NetworkDispatcher
	packets    atomic.Uint64
}

func newSink(o system.Options) *sink {
	p, _ := pipe.New("", "", uint32(o.LinkMTU()))
	return &sink{offloadPipe: offloadPipe{Endpoint: p}}
}

// Attach implements stack.LinkEndpoint.
func (s *sink) Attach(d stack.NetworkDispatcher) {
	s.dispatcher = d
	s.Endpoint.Attach(d)
}

// WritePackets implements stack.LinkEndpoint.
func (s *sink) WritePackets(pkts stack.PacketBufferList) (int, tcpip.Error) {
	n := pkts.Len()
	s.packets.Add(uint64(n))
	return n, nil
}

// receive gives the stack a packet with a copy of data, as if it had arrived.
func (s *sink) receive(data []byte) {
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(data)})
	s.dispatcher.DeliverNetworkPacket(ipv4.ProtocolNumber, pkt)
	pkt.DecRef()
}
