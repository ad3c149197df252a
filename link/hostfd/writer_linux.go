package hostfd

import (
	"unsafe"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/wire"
	"golang.org/x/sys/unix"
)

// send writes pkt, which it owns, with one system call: virtio-net header, head and
// fragments where they are.
func (d *driver) send(dev *link.Device, fd int, pkt *packet.Packet) {
	errno := d.write(fd, pkt)
	if errno == 0 {
		pkt.Consume()
		return
	}
	dev.NotSent(pkt, reason(errno))
}

func (d *driver) write(fd int, pkt *packet.Packet) unix.Errno {
	var vnet [wire.VNetV1Len]byte
	var iov [2 + packet.MaxFrags]unix.Iovec
	n := 0
	if d.vnet > 0 {
		wire.PutVNetV1(vnet[:], pack(pkt))
		iov[0].Base = &vnet[0]
		iov[0].SetLen(d.vnet)
		n = 1
	}
	if h := pkt.Head(); len(h) > 0 {
		iov[n].Base = &h[0]
		iov[n].SetLen(len(h))
		n++
	}
	for i := range pkt.Frags() {
		if b := pkt.Frag(i); len(b) > 0 {
			iov[n].Base = &b[0]
			iov[n].SetLen(len(b))
			n++
		}
	}
	for {
		_, _, errno := unix.Syscall(unix.SYS_WRITEV, uintptr(fd), uintptr(unsafe.Pointer(&iov)), uintptr(n))
		if errno != unix.EINTR {
			return errno
		}
	}
}

// reason says why a packet that could not be written was dropped.
func reason(errno unix.Errno) stat.Reason {
	switch errno {
	case unix.EAGAIN, unix.ENOBUFS:
		return stat.FullRing
	case unix.ENOMEM:
		return stat.NoMem
	case unix.EIO, unix.ENETDOWN, unix.EBADFD, unix.ENXIO, unix.ENODEV:
		return stat.DevReady // the host's interface is down or gone
	}
	return stat.NotSpecified
}
