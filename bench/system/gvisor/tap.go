package gvisor

import (
	"fmt"
	"net/netip"
	"os"
	"runtime"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/link/fdbased"
	"gvisor.dev/gvisor/pkg/tcpip/link/qdisc/fifo"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/knitnet/knit/bench/netdev"
	"github.com/knitnet/knit/bench/system"
)

// hardware is the stack's own address on the Ethernet.
const hardware tcpip.LinkAddress = "\x02\x00\x00\x00\x00\x02"

// TAP implements system.TAPper with link/fdbased, as runsc sets it up: a FIFO
// before it, and on a packet socket also batches and segmentation by the host.
func (s System) TAP(o system.Options) (*system.Net, error) {
	outer := netdev.Device{
		Name: "bench0", Addr: netip.MustParsePrefix("10.77.0.1/24"), MTU: o.LinkMTU(), Offload: o.Offload,
	}
	file, remove, err := s.open(outer)
	if err != nil {
		return nil, err
	}
	undo := func() { file.Close(); remove() }
	n, err := s.behind(file, o)
	if err != nil {
		undo()
		return nil, err
	}
	down := n.Close
	n.Close = func() { down(); undo() }
	return n, nil
}

// open makes the device that Linux sees and returns what the stack reads.
func (s System) open(outer netdev.Device) (f *os.File, remove func(), err error) {
	if !s.VNet {
		f, err := netdev.TAP(outer)
		if err != nil {
			return nil, nil, system.Unsupportedf("%v", err)
		}
		return f, func() {}, nil
	}
	inner := netdev.Device{Name: "bench1", MTU: outer.MTU, Offload: outer.Offload}
	remove, err = netdev.Pair(outer, inner)
	if err != nil {
		return nil, nil, system.Unsupportedf("%v", err)
	}
	fd, err := netdev.Socket(inner.Name, true)
	if err != nil {
		remove()
		return nil, nil, err
	}
	return os.NewFile(uintptr(fd), inner.Name), remove, nil
}

// behind makes the stack that reads frames from f.
func (s System) behind(f *os.File, o system.Options) (*system.Net, error) {
	options := &fdbased.Options{
		FDs:               []int{int(f.Fd())},
		MTU:               uint32(o.LinkMTU()),
		EthernetHeader:    true,
		Address:           hardware,
		RXChecksumOffload: true,
	}
	if s.VNet {
		options.PacketDispatchMode = fdbased.RecvMMsg
		options.GSOMaxSize = 1 << 16
	}
	link, err := fdbased.New(options)
	if err != nil {
		return nil, fmt.Errorf("make the driver: %w", err)
	}
	st, err := newStack()
	if err != nil {
		return nil, err
	}
	const queueLen = 1000
	nic := stack.NICOptions{QDisc: fifo.New(link, runtime.GOMAXPROCS(0), queueLen)}
	h, err := attachWith(st, nicA, link, netip.MustParsePrefix("10.77.0.2/24"), nic)
	if err != nil {
		return nil, err
	}
	return &system.Net{Z: h, Close: func() { stop(st) }}, nil
}
