package hostfd

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/internal/tunfd"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/link/flow"
	"golang.org/x/sys/unix"
)

// A driver serves one device.
type driver struct {
	host   string // the host's interface, if this kernel opened it
	vnet   int    // length of the virtio-net header
	l3     int    // offset of the network header
	hold   link.Holder
	lost   func(dev *link.Device, err error)
	queues []*queue

	reading sync.WaitGroup // readers of the time the device is up
	told    atomic.Bool    // that the host's interface is gone, since the last Open
}

// A queue is one descriptor. fd is that of file and is used directly, without the
// lock that os.File takes: it is closed only when no packet can be inside.
type queue struct {
	file *os.File
	raw  syscall.RawConn
	fd   int
}

func newQueue(f *os.File) (*queue, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	q := &queue{file: f, raw: raw}
	if err := raw.Control(func(fd uintptr) { q.fd = int(fd) }); err != nil {
		return nil, err
	}
	return q, nil
}

// newDevice attaches a device over files, which it owns; on error they are closed.
func newDevice(l *link.Layer, info link.Info, d *driver, files []*os.File) (dev *link.Device, err error) {
	defer func() {
		if err != nil {
			for _, f := range files {
				f.Close()
			}
		}
	}()
	if info.Type == link.Ether {
		d.l3 = 14
	}
	for _, f := range files {
		q, err := newQueue(f)
		if err != nil {
			return nil, err
		}
		d.queues = append(d.queues, q)
	}
	return l.Attach(info, d)
}

// Open implements link.Driver: it starts the readers.
func (d *driver) Open(dev *link.Device) error {
	if err := link.Hold(d.hold); err != nil {
		return err
	}
	d.told.Store(false)
	d.setCarrier(1)
	for _, q := range d.queues {
		if err := q.file.SetReadDeadline(time.Time{}); err != nil {
			d.Close(dev)
			return fmt.Errorf("descriptor does not go with the poller: %w", err)
		}
		r := newReader(d, dev, q)
		d.reading.Go(r.run)
	}
	return nil
}

// Close implements link.Driver: it stops the readers and waits for them.
func (d *driver) Close(*link.Device) {
	for _, q := range d.queues {
		q.file.SetReadDeadline(time.Unix(0, 1)) // long ago: whoever waits in the poller is woken
	}
	d.reading.Wait()
	d.setCarrier(0)
	d.hold.Put()
}

// setCarrier lets the host's interface follow the device; without effect on a
// packet socket.
func (d *driver) setCarrier(on int) {
	_ = unix.IoctlSetPointerInt(d.queues[0].fd, unix.TUNSETCARRIER, on)
}

// SetMTU implements link.MTUSetter: the host's interface gets the same one. When it
// has been moved to another network namespace it is up to whoever did that.
func (d *driver) SetMTU(_ *link.Device, mtu int) error {
	if d.host == "" {
		return nil
	}
	err := tunfd.SetMTU(d.host, mtu)
	if errors.Is(err, unix.ENODEV) {
		return nil
	}
	return err
}

// Transmit implements link.Driver.
func (d *driver) Transmit(dev *link.Device, q *packet.Queue) {
	for pkt := q.Pop(); pkt != nil; pkt = q.Pop() {
		d.send(dev, d.queueOf(pkt).fd, pkt)
	}
}

// queueOf returns the queue of pkt's flow. The host sends what comes back on the
// queue on which it last saw the flow.
func (d *driver) queueOf(pkt *packet.Packet) *queue {
	if len(d.queues) == 1 {
		return d.queues[0]
	}
	return d.queues[uint64(flow.Hash(pkt, d.l3))*uint64(len(d.queues))>>32]
}

// detach takes the device away and closes its descriptors when nobody can be
// writing to them any more.
func (d *driver) detach(dev *link.Device) {
	dev.Detach()
	dev.Layer().Walks.Wait()
	for _, q := range d.queues {
		q.file.Close()
	}
}
