package tunfd

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Open opens the device that c describes, in the network namespace of the
// calling thread, and makes it if it does not exist. It needs CAP_NET_ADMIN
// in that namespace, or the device's ownership. An error is one line that
// says what failed and what to do, and wraps the syscall.Errno.
func Open(c Config) (*Device, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	d := &Device{Name: c.pattern()}
	for range max(c.MultiQueue, 1) {
		if err := d.addQueue(c); err != nil {
			d.Close()
			return nil, err
		}
	}
	if c.Persist { // last, so that a device of which a queue failed does not stay
		if err := d.persist(); err != nil {
			d.Close()
			return nil, err
		}
	}
	return d, nil
}

// addQueue opens one more file on the device. The first call turns a pattern
// into the device's name.
func (d *Device) addQueue(c Config) error {
	fd, err := unix.Open(c.path(), unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return explainOpen(c.path(), err)
	}
	if err := d.attach(fd, c); err != nil {
		unix.Close(fd)
		return err
	}
	// Only now: a descriptor without an interface polls as an error, and the
	// poller would take it for closed.
	d.Files = append(d.Files, os.NewFile(uintptr(fd), c.path()))
	return nil
}

func (d *Device) attach(fd int, c Config) error {
	name, err := setInterface(fd, d.Name, c)
	if err != nil {
		return explainAttach(d.Name, err)
	}
	d.Name = name
	if c.VnetHdr {
		if d.Offload, err = setVnetHdr(fd); err != nil {
			return fmt.Errorf("%s: virtio-net header: %w", name, err)
		}
		d.VnetHdrLen = VnetHdrLen
	}
	return nil
}

// persist lets the device outlive its files.
func (d *Device) persist() error {
	raw, err := d.Files[0].SyscallConn()
	if err != nil {
		return err
	}
	var errno error
	err = raw.Control(func(fd uintptr) { errno = unix.IoctlSetInt(int(fd), unix.TUNSETPERSIST, 1) })
	if err = errors.Join(err, errno); err != nil {
		return fmt.Errorf("%s: make persistent: %w", d.Name, err)
	}
	return nil
}

func setInterface(fd int, name string, c Config) (string, error) {
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return "", err
	}
	flags := uint16(unix.IFF_NO_PI)
	if c.TAP {
		flags |= unix.IFF_TAP
	} else {
		flags |= unix.IFF_TUN
	}
	if c.VnetHdr {
		flags |= unix.IFF_VNET_HDR
	}
	if c.MultiQueue > 1 {
		flags |= unix.IFF_MULTI_QUEUE
	}
	ifr.SetUint16(flags)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); err != nil {
		return "", err
	}
	return ifr.Name(), nil
}

// setVnetHdr fixes the header's size and byte order and asks for as many
// offloads as the kernel has.
func setVnetHdr(fd int) (Offload, error) {
	if err := unix.IoctlSetPointerInt(fd, unix.TUNSETVNETHDRSZ, VnetHdrLen); err != nil {
		return 0, fmt.Errorf("set size: %w", err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TUNSETVNETLE, 1); err != nil {
		return 0, fmt.Errorf("set byte order: %w", err)
	}
	// Linux refuses the whole set when it does not know one bit: first give
	// up UDP segmentation (before 6.2), then TCP's.
	var err error
	for _, want := range []Offload{OffloadAll, OffloadTSO, OffloadChecksum} {
		if err = unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, int(want)); err == nil {
			return want, nil
		}
	}
	return 0, fmt.Errorf("set offloads: %w", err)
}
