package hostfd

import (
	"errors"
	"io"
	"os"
	"unsafe"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/link"
	"golang.org/x/sys/unix"
)

// maxBatch is how many reads are made before the kernel is given what they brought:
// NAPI's budget.
const maxBatch = 64

// A reader takes what comes from one queue.
type reader struct {
	driver  *driver
	dev     *link.Device
	queue   *queue
	land    landing
	batch   packet.Queue
	failure error // why the queue is lost
}

func newReader(d *driver, dev *link.Device, q *queue) *reader {
	return &reader{driver: d, dev: dev, queue: q, land: landing{
		pool: dev.Layer().Pool, ethernet: dev.Type() == link.Ether, vnetLen: d.vnet,
	}}
}

// run reads until Close sets a deadline in the past, or the queue is lost.
func (r *reader) run() {
	if err := r.queue.raw.Read(r.ready); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		// The poller gives up a descriptor that is nothing but in error, as that of an
		// interface that was deleted while nobody waited: a read says why.
		_ = r.queue.raw.Control(func(fd uintptr) { r.ready(fd) })
		if r.failure == nil {
			r.failure = err
		}
	}
	if r.failure == nil {
		return
	}
	// Not in this goroutine: Close waits for it, and a watcher that hears of the
	// lost carrier may want to close the device.
	if !r.driver.told.Swap(true) {
		go func() {
			r.driver.lost(r.dev, r.failure)
			r.dev.SetCarrier(false)
		}()
	}
}

// ready is called when there may be something to read. It returns true to end, and
// false to wait in the poller.
func (r *reader) ready(fd uintptr) (done bool) {
	defer r.land.release()
	for r.dev.Up() {
		more := r.fillBatch(int(fd))
		if !r.batch.Empty() {
			r.dev.Receive(&r.batch)
		}
		if !more {
			return r.failure != nil
		}
	}
	return true
}

// fillBatch reads what is there into the batch. It reports whether there may be
// more.
func (r *reader) fillBatch(fd int) (more bool) {
	failed := 0
	for range maxBatch {
		n, errno := r.read(fd)
		switch {
		case errno == 0 && n > 0:
			if pkt := r.land.build(n); pkt != nil {
				r.batch.Push(pkt)
			} else {
				r.dev.Rx().Errors.Inc()
			}
		case errno == 0 && keepsEmpty(fd):
			r.dev.Rx().Errors.Inc()
			failed++
		case errno == 0:
			r.failure = io.EOF // of a socket whose other end is closed
			return false
		case errno == unix.EAGAIN:
			return false
		case isFatal(errno):
			r.failure = errno
			return false
		case errno != unix.EINTR:
			r.dev.Rx().Errors.Inc()
			failed++
		}
	}
	return failed < maxBatch // else ask the poller first
}

// keepsEmpty reports whether a read of nothing is an empty frame that somebody sent,
// and no end: datagram and packet sockets have none.
func keepsEmpty(fd int) bool {
	t, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	return err == nil && (t == unix.SOCK_DGRAM || t == unix.SOCK_RAW)
}

// isFatal reports whether the queue will never give anything again.
func isFatal(errno unix.Errno) bool {
	switch errno {
	case unix.EBADFD, unix.EFAULT, unix.EIO, unix.EBADF, unix.ENODEV, unix.ENXIO:
		return true // the first two are how a TUN says that its interface was deleted
	}
	return false
}

// read reads one packet into the landing.
func (r *reader) read(fd int) (int, unix.Errno) {
	l := &r.land
	l.fill()
	var iov [1 + len(bufSizes)]unix.Iovec
	n := 0
	if l.vnetLen > 0 {
		iov[0].Base = &l.vnet[0]
		iov[0].SetLen(l.vnetLen)
		n = 1
	}
	for _, b := range l.bufs {
		iov[n].Base = &b.Bytes()[0]
		iov[n].SetLen(b.Cap())
		n++
	}
	got, _, errno := unix.Syscall(unix.SYS_READV, uintptr(fd), uintptr(unsafe.Pointer(&iov)), uintptr(n))
	return int(got), errno
}
