// Package tunfd opens TUN and TAP devices of the host and hands out their
// queues as non-blocking files.
//
// A file is made for Go's poller: its deadlines work, Close wakes a blocked
// reader, and a driver that wants readv and writev of its own takes
// SyscallConn and returns false on EAGAIN, so that a goroutine waits in the
// poller and never in a thread. The error that ends such a reader at Close is
// the poller's own and does not match os.ErrClosed: any error of RawConn.Read
// means that the file is closed or its deadline has passed.
//
// With VnetHdr every frame is preceded by the ten bytes of struct
// virtio_net_hdr (VIRTIO 1.2 §5.1.6): flags, gso_type, hdr_len, gso_size,
// csum_start and csum_offset, the 16-bit fields little-endian on every
// machine. Ten and not twelve, because the two more bytes of the mergeable
// form (num_buffers) say nothing on a TUN, and a packet socket has ten too.
package tunfd

import (
	"errors"
	"fmt"
	"os"
)

const (
	// DefaultPath is the clone device that Linux makes for the tun module.
	DefaultPath = "/dev/net/tun"

	// VnetHdrLen is the number of bytes before a frame when Config.VnetHdr
	// was set.
	VnetHdrLen = 10

	// MaxQueues is the largest MultiQueue of a Config: that many files also
	// fit in one control message.
	MaxQueues = 128
)

// Offload says what the kernel may leave to the reader of a device: the bits
// of TUNSETOFFLOAD. A frame that needs none of it arrives finished.
type Offload uint32

// The offloads that a device can be asked for.
const (
	// OffloadChecksum lets frames arrive with a partial checksum, marked by
	// VIRTIO_NET_HDR_F_NEEDS_CSUM. The other offloads require it.
	OffloadChecksum Offload = 1 << 0
	// OffloadTSO4 and OffloadTSO6 let TCP segments of up to 64 KiB arrive
	// unsegmented.
	OffloadTSO4 Offload = 1 << 1
	OffloadTSO6 Offload = 1 << 2
	// OffloadUSO4 and OffloadUSO6 do the same for UDP (Linux 6.2 and later).
	OffloadUSO4 Offload = 1 << 5
	OffloadUSO6 Offload = 1 << 6

	// OffloadTSO is all that every supported Linux has.
	OffloadTSO = OffloadChecksum | OffloadTSO4 | OffloadTSO6
	// OffloadAll is what Open asks for.
	OffloadAll = OffloadTSO | OffloadUSO4 | OffloadUSO6
)

// Config describes a device. The zero value is a TUN without a virtio-net
// header, one queue, and a name chosen by the kernel.
type Config struct {
	// Name is the interface's name, at most 15 bytes. A "%d" in it is
	// replaced by the first free number; empty means "tun%d" or "tap%d". An
	// existing persistent device of that name and kind is attached to.
	Name string

	// TAP asks for Ethernet frames; otherwise the device carries IP packets.
	TAP bool

	// VnetHdr puts VnetHdrLen bytes of virtio-net header before each frame
	// and turns on the offloads.
	VnetHdr bool

	// MultiQueue is the number of files to open on the device, 1 to
	// MaxQueues. Zero means one. A device of several queues must be opened
	// so by everyone.
	MultiQueue int

	// Persist keeps the device when the last file is closed. Without it a
	// device that Open made vanishes with its files.
	Persist bool

	// Path is the clone device. Empty means DefaultPath.
	Path string
}

// ErrUnsupported is what Open returns on systems without /dev/net/tun.
var ErrUnsupported = errors.New("TUN/TAP devices are supported on Linux only")

// A Device is an open TUN or TAP. Whoever opened it owns it; its files may be
// used concurrently.
type Device struct {
	// Name is the interface's name as the kernel chose it.
	Name string

	// Files holds one file per queue. All are non-blocking, close-on-exec
	// and in Go's poller.
	Files []*os.File

	// VnetHdrLen is the number of virtio-net header bytes before each frame:
	// zero or VnetHdrLen.
	VnetHdrLen int

	// Offload is what the kernel agreed to; zero without VnetHdr.
	Offload Offload
}

// Close closes all files; a device that is not persistent is gone then.
func (d *Device) Close() error {
	var errs []error
	for _, f := range d.Files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// maxName is IFNAMSIZ less the terminating zero.
const maxName = 15

func (c Config) validate() error {
	switch {
	case len(c.Name) > maxName:
		return fmt.Errorf("device name %q: longer than %d bytes", c.Name, maxName)
	case c.MultiQueue < 0 || c.MultiQueue > MaxQueues:
		return fmt.Errorf("%d queues: want 1 to %d", c.MultiQueue, MaxQueues)
	}
	return nil
}

func (c Config) path() string {
	if c.Path == "" {
		return DefaultPath
	}
	return c.Path
}

// pattern is the name that the kernel is asked for.
func (c Config) pattern() string {
	switch {
	case c.Name != "":
		return c.Name
	case c.TAP:
		return "tap%d"
	}
	return "tun%d"
}
