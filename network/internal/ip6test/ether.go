package ip6test

import (
	"slices"
	"sync"
	"testing"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/wire"
)

// An Ether is a cable to which devices are attached: what one sends all others
// get, in order, before the outermost Transmit returns.
type Ether struct {
	// Lose, unless it is nil, says of a frame that it is lost.
	Lose func(frame []byte) bool

	// Discard ends packets at the devices, without looking at them.
	Discard bool

	mu     sync.Mutex
	ports  []*Port
	frames []frame
	busy   bool
	seen   [][]byte
}

type frame struct {
	from *Port
	b    []byte
}

// A Port is the driver of one device.
type Port struct {
	ether *Ether
	dev   *link.Device
}

// Attach attaches an Ethernet device, which is down, to the cable.
func (e *Ether) Attach(t testing.TB, k *Kernel, name string, mac wire.MAC) *link.Device {
	t.Helper()
	return e.AttachInfo(t, k, link.Info{Name: name, Type: link.Ether, Hardware: mac, Features: link.Default})
}

// AttachInfo is Attach for any device. Frames of others than Ethernet devices are
// IP packets.
func (e *Ether) AttachInfo(t testing.TB, k *Kernel, info link.Info) *link.Device {
	t.Helper()
	p := &Port{ether: e}
	dev, err := k.Link.Attach(info, p)
	if err != nil {
		t.Fatal(err)
	}
	p.dev = dev
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ports = append(e.ports, p)
	return dev
}

// Transmit implements link.Driver.
func (p *Port) Transmit(_ *link.Device, q *packet.Queue) {
	if p.ether.Discard {
		q.Consume()
		return
	}
	for pkt := q.Pop(); pkt != nil; pkt = q.Pop() {
		whole := link.CompleteChecksum(pkt)
		b := make([]byte, pkt.Len())
		pkt.CopyOut(0, b)
		pkt.Consume()
		if whole {
			p.ether.send(p, b)
		}
	}
}

// Open implements link.Driver.
func (p *Port) Open(*link.Device) error { return nil }

// Close implements link.Driver.
func (p *Port) Close(*link.Device) {}

// Inject puts a frame on the cable that comes from none of the devices.
func (e *Ether) Inject(b []byte) { e.send(nil, b) }

func (e *Ether) send(from *Port, b []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.seen = append(e.seen, b)
	if e.Lose != nil && e.Lose(b) {
		return
	}
	e.frames = append(e.frames, frame{from, b})
	if e.busy {
		return
	}
	e.busy = true
	for len(e.frames) > 0 {
		f := e.frames[0]
		e.frames = e.frames[1:]
		ports := slices.Clone(e.ports)
		e.mu.Unlock()
		for _, p := range ports {
			if p != f.from && p.dev != nil {
				receive(p.dev, f.b)
			}
		}
		e.mu.Lock()
	}
	e.busy = false
}

// receive gives dev a frame as a real driver would: the first bytes in the head,
// the rest in a buffer.
func receive(dev *link.Device, b []byte) {
	const inHead = 128
	pkt := dev.Layer().Pool.Get()
	if dev.Type() != link.Ether {
		pkt.Proto = wire.EtherTypeIPv6
	}
	n := min(len(b), inHead)
	copy(pkt.Extend(n), b)
	for rest := b[n:]; len(rest) > 0; {
		buf := dev.Layer().Pool.Buf(min(len(rest), packet.MaxBuf))
		c := copy(buf.Bytes(), rest)
		if !pkt.AddFrag(buf, 0, c) {
			buf.Release(1)
			break
		}
		rest = rest[c:]
	}
	var q packet.Queue
	q.Push(pkt)
	dev.Receive(&q)
}

// Frames returns the frames sent since the last call, lost ones too.
func (e *Ether) Frames() [][]byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	seen := e.seen
	e.seen = nil
	return seen
}
