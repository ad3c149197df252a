package vrf

import (
	"fmt"
	"syscall"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/link/backlog"
	"github.com/knitnet/knit/wire"
)

// A driver is that of one VRF. It implements link.L3Master.
type driver struct {
	way   backlog.Backlog // back to the device
	hold  link.Holder
	table uint32
}

// Table implements link.L3Master.
func (d *driver) Table() uint32 { return d.table }

// Enslave implements link.Master. A VRF has no VRF and no loopback device, which is for
// the host beside its VRFs.
func (d *driver) Enslave(_, dev *link.Device) error {
	if _, is := dev.Driver().(link.L3Master); is || dev.Type() == link.Loopback {
		return fmt.Errorf("%w: %s cannot be enslaved to a VRF", syscall.EOPNOTSUPP, dev.Name())
	}
	return link.Hold(d.hold)
}

// Release implements link.Master.
func (d *driver) Release(_, _ *link.Device) { d.hold.Put() }

// Transmit implements link.Driver: packets of this host to itself are received. Others
// come here only from who sends frames by hand.
func (d *driver) Transmit(dev *link.Device, q *packet.Queue) {
	own := dev.MAC()
	in := *q
	*q = packet.Queue{}
	for pkt := in.Pop(); pkt != nil; pkt = in.Pop() {
		if h, ok := wire.ParseEthernet(pkt.Head()); !ok || h.Dst() != own {
			dev.NotSent(pkt, stat.IPOutNoRoutes)
			continue
		}
		pkt.Scrub()
		q.Push(pkt)
	}
	if !q.Empty() {
		d.way.Receive(dev, q)
	}
}

// Open implements link.Driver.
func (d *driver) Open(*link.Device) error { return link.Hold(d.hold) }

// Close implements link.Driver. What still waits is dropped by Device.Receive,
// because the device is down.
func (d *driver) Close(*link.Device) { d.hold.Put() }
