package hostfd

import (
	"fmt"
	"os"

	"github.com/knitnet/knit/internal/tunfd"
	"github.com/knitnet/knit/link"
	"golang.org/x/sys/unix"
)

// openDevice makes a device and the host's interface at its other side.
func openDevice(m *maker, name string, cfg tunfd.Config) (*link.Device, *driver, error) {
	// First, so that the host keeps no persistent interface of a device that failed.
	if _, err := m.layer.Lookup(name); err == nil {
		return nil, nil, fmt.Errorf("device %q: %w", name, link.ErrExists)
	}
	host, err := tunfd.Open(cfg)
	if err != nil {
		return nil, nil, err
	}
	d := m.driver()
	d.host, d.vnet = host.Name, host.VnetHdrLen
	info := m.info(name, detail(m.kind, cfg, host.Name))
	info.Features = hostFeatures(host.Offload)
	if mtu, err := tunfd.MTU(host.Name); err == nil {
		info.MTU = mtu // a persistent interface may have another one than 1500
	}
	dev, err := newDevice(m.layer, info, d, host.Files)
	return dev, d, err
}

// attachDevice makes a device over duplicates of descriptors.
func attachDevice(m *maker, cfg link.AttachConfig) (*link.Device, *driver, error) {
	files, err := duplicate(cfg.Files)
	if err != nil {
		return nil, nil, fmt.Errorf("%s %q: %w", m.kind, cfg.Name, err)
	}
	d := m.driver()
	d.vnet = cfg.VNetHdrLen
	info := m.info(cfg.Name, detail(m.kind, tunfd.Config{VnetHdr: d.vnet > 0, MultiQueue: len(files)}, ""))
	info.MTU, info.Hardware, info.Features = cfg.MTU, cfg.Hardware, features(cfg)
	dev, err := newDevice(m.layer, info, d, files)
	return dev, d, err
}

func (m *maker) driver() *driver {
	return &driver{
		hold: m.c.Users("device"),
		lost: func(dev *link.Device, err error) {
			m.c.Log().Warn("%s: the host's interface is gone: %v", dev.Name(), err)
		},
	}
}

// duplicate returns files of descriptors of their own, in the poller.
func duplicate(files []*os.File) (dups []*os.File, err error) {
	defer func() {
		if err != nil {
			for _, f := range dups {
				f.Close()
			}
		}
	}()
	for _, f := range files {
		raw, err := f.SyscallConn()
		if err != nil {
			return dups, err
		}
		var fd int
		var errno error
		err = raw.Control(func(old uintptr) {
			fd, errno = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0)
			if errno == nil {
				errno = unix.SetNonblock(fd, true)
			}
		})
		if err == nil {
			err = errno
		}
		if err != nil {
			return dups, fmt.Errorf("descriptor %s: %w", f.Name(), err)
		}
		dups = append(dups, os.NewFile(uintptr(fd), f.Name()))
	}
	return dups, nil
}
