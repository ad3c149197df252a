// Package pair is the driver behind pipe and veth: two devices back to back.
//
// A packet moves by reference. The goroutine that sends carries it through the
// peer's receive path before Transmit returns, or leaves it to the goroutine that
// is receiving that flow there already; see package backlog for why. It costs no
// copy and no checksum: CsumPartial stays, and says that the bytes are good.
package pair

import (
	"sync/atomic"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/link/backlog"
	"github.com/knitnet/knit/wire"
)

// New attaches two devices that are joined, x to a and y to b, which may be the
// same layer. Each has a carrier while the other one is up. h counts the ends that
// are up.
func New(a, b *link.Layer, ia, ib link.Info, h link.Holder) (x, y *link.Device, err error) {
	ea, eb := &end{hold: h}, &end{hold: h}
	if x, err = a.Attach(ia, ea); err != nil {
		return nil, nil, err
	}
	if y, err = b.Attach(ib, eb); err != nil {
		x.Detach()
		return nil, nil, err
	}
	ea.peer.Store(y)
	eb.peer.Store(x)
	followPeer(x, y)
	followPeer(y, x)
	return x, y, nil
}

// An end is the driver of one device of a pair.
type end struct {
	peer atomic.Pointer[link.Device] // nil until both ends are there
	way  backlog.Backlog             // to the peer
	hold link.Holder
}

// Transmit implements link.Driver.
func (e *end) Transmit(dev *link.Device, q *packet.Queue) {
	peer := e.peer.Load()
	if peer == nil || !peer.Up() {
		for pkt := q.Pop(); pkt != nil; pkt = q.Pop() {
			dev.NotSent(pkt, stat.DevReady)
		}
		return
	}
	largest := peer.MTU() + peer.HeaderLen() + wire.VLANLen
	fit := true
	for pkt := q.Front(); pkt != nil; pkt = pkt.Next() {
		pkt.Scrub()
		fit = fit && fits(pkt, largest)
	}
	if !fit {
		dropLarger(dev, peer, largest, q)
	}
	e.way.Receive(peer, q)
}

// fits reports whether a frame is not too large for who receives it, as Linux looks at
// it (is_skb_forwardable): with room for a VLAN tag, and of what is still to be cut
// nobody knows.
func fits(pkt *packet.Packet, largest int) bool {
	return pkt.Len() <= largest || pkt.GSO != packet.GSONone
}

// dropLarger drops what does not fit, on both sides' account.
func dropLarger(dev, peer *link.Device, largest int, q *packet.Queue) {
	in := *q
	*q = packet.Queue{}
	for pkt := in.Pop(); pkt != nil; pkt = in.Pop() {
		if fits(pkt, largest) {
			q.Push(pkt)
			continue
		}
		peer.Rx().Dropped.Inc()
		dev.NotSent(pkt, stat.PktTooBig)
	}
}

// Open implements link.Driver.
func (e *end) Open(*link.Device) error { return link.Hold(e.hold) }

// Close implements link.Driver.
func (e *end) Close(*link.Device) { e.hold.Put() }

// StateChanged implements link.StateFollower: the peer's carrier is this end.
func (e *end) StateChanged(dev *link.Device) {
	if peer := e.peer.Load(); peer != nil {
		followPeer(peer, dev)
	}
}

// followPeer gives dev a carrier if peer is up. It looks again afterwards, because
// two goroutines may change the peer and come here in the other order.
func followPeer(dev, peer *link.Device) {
	for {
		up := peer.Up()
		dev.SetCarrier(up)
		if peer.Up() == up {
			return
		}
	}
}

// Peer implements link.Paired.
func (e *end) Peer(*link.Device) *link.Device {
	peer := e.peer.Load()
	if peer == nil || peer.Layer().Device(peer.Index()) != peer {
		return nil
	}
	return peer
}

// Delete implements link.Deleter: with one device of a pair the other one goes.
func (e *end) Delete(dev *link.Device) error {
	dev.Detach()
	if peer := e.peer.Load(); peer != nil {
		peer.Detach()
	}
	return nil
}
