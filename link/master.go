package link

import (
	"fmt"
	"syscall"
)

// A Master is a Driver whose device takes other devices as its own, as a VRF does
// (`ip link set DEV master MASTER`).
type Master interface {
	// Enslave is asked before dev, which is down, gets master as its master. An
	// error refuses it.
	Enslave(master, dev *Device) error
	// Release tells that dev, which is down, has left master.
	Release(master, dev *Device)
}

// An L3Master is a Master whose devices have a routing table of their own (Linux's
// l3mdev).
type L3Master interface {
	Master
	// Table is the number of the table; it never changes.
	Table() uint32
}

// Master returns the device that dev is enslaved to, or nil. It is for the packet
// path.
func (dev *Device) Master() *Device { return dev.master.Load() }

// L3Master returns dev itself if it is one, or else the master of dev that is one,
// nil if there is none.
func (dev *Device) L3Master() *Device {
	if _, ok := dev.driver.(L3Master); ok {
		return dev
	}
	if m := dev.Master(); m != nil {
		if _, ok := m.driver.(L3Master); ok {
			return m
		}
	}
	return nil
}

// Slaves returns the devices that are enslaved to dev, by index.
func (dev *Device) Slaves() (list []*Device) {
	for _, d := range dev.layer.Devices() {
		if d.Master() == dev {
			list = append(list, d)
		}
	}
	return list
}

// SetMaster makes the device leave the master it has and enslaves it to master; nil
// only leaves. A device that is up goes down for it and up again, so that what follows
// from being up is made anew, as Linux does. It fails with EOPNOTSUPP for a master that
// takes no devices, ELOOP for the device itself, and with what master says.
func (dev *Device) SetMaster(master *Device) error {
	if err := dev.setMaster(master); err != nil {
		return fmt.Errorf("master of %s: %w", dev.Name(), err)
	}
	return nil
}

func (dev *Device) setMaster(master *Device) error {
	dev.enslave.Lock()
	defer dev.enslave.Unlock()
	if dev.Master() == master {
		return nil
	}
	if err := mayBeMaster(dev, master); err != nil {
		return err
	}
	up := dev.Up()
	if err := dev.SetUp(false); err != nil {
		return err
	}
	dev.leave()
	err := dev.join(master)
	if up {
		if upErr := dev.SetUp(true); err == nil {
			err = upErr
		}
	}
	return err
}

func mayBeMaster(dev, master *Device) error {
	if master == nil {
		return nil
	}
	if _, ok := master.driver.(Master); !ok {
		return fmt.Errorf("%s takes no devices: %w", master.Name(), syscall.EOPNOTSUPP)
	}
	if master == dev {
		return fmt.Errorf("%s is its own master: %w", dev.Name(), syscall.ELOOP)
	}
	return nil
}

// leave takes the device, which is down, from its master. dev.enslave is held.
func (dev *Device) leave() {
	old := dev.master.Swap(nil)
	if old == nil {
		return
	}
	old.driver.(Master).Release(old, dev)
	dev.layer.notify(Event{MasterChanged, dev})
}

// join enslaves the device, which is down and has no master, unless one of the two is
// being taken away. dev.enslave is held.
func (dev *Device) join(master *Device) error {
	if master == nil {
		return nil
	}
	if err := master.driver.(Master).Enslave(master, dev); err != nil {
		return err
	}
	dev.master.Store(master) // first: who takes master away looks for its slaves
	if master.isGone() || dev.isGone() {
		dev.master.Store(nil)
		master.driver.(Master).Release(master, dev)
		return ErrNoDevice
	}
	dev.layer.notify(Event{MasterChanged, dev})
	return nil
}

// isGone reports whether Detach has begun.
func (dev *Device) isGone() bool {
	dev.config.Lock()
	defer dev.config.Unlock()
	return dev.gone
}

// free takes the device from its master, and its slaves from the device.
func (dev *Device) free() {
	for _, d := range dev.Slaves() {
		d.SetMaster(nil)
	}
	dev.SetMaster(nil)
}
