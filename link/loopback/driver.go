package loopback

import (
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/link/backlog"
)

type driver struct {
	way  backlog.Backlog // back to the device
	hold link.Holder
}

// Transmit implements link.Driver.
func (d *driver) Transmit(dev *link.Device, q *packet.Queue) {
	for pkt := q.Front(); pkt != nil; pkt = pkt.Next() {
		pkt.Scrub()
	}
	d.way.Receive(dev, q)
}

// Open implements link.Driver.
func (d *driver) Open(*link.Device) error { return link.Hold(d.hold) }

// Close implements link.Driver. What still waits is dropped by Device.Receive,
// because the device is down.
func (d *driver) Close(*link.Device) { d.hold.Put() }
