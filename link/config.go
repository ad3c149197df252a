package link

import (
	"fmt"
	"syscall"

	"github.com/knitnet/knit/wire"
)

// SetUp takes the device up or down. Going up can fail in the driver.
func (dev *Device) SetUp(up bool) error {
	changed, err := dev.setUp(up)
	if err != nil {
		return fmt.Errorf("device %s: %w", dev.Name(), err)
	}
	if !changed {
		return nil
	}
	if f, ok := dev.driver.(StateFollower); ok {
		f.StateChanged(dev)
	}
	kind := WentDown
	if up {
		kind = WentUp
	}
	dev.layer.notify(Event{kind, dev})
	return nil
}

func (dev *Device) setUp(up bool) (changed bool, err error) {
	dev.config.Lock()
	defer dev.config.Unlock()
	if dev.Up() == up {
		return false, nil
	}
	if !up {
		dev.changeFlags(0, Up)
		dev.driver.Close(dev)
		return true, nil
	}
	if dev.gone {
		return false, ErrNoDevice
	}
	// Up first: a driver may receive from the moment it is open.
	dev.changeFlags(Up, 0)
	if err := dev.driver.Open(dev); err != nil {
		dev.changeFlags(0, Up)
		return false, err
	}
	return true, nil
}

// changeFlags sets and clears flags. Running and LowerUp follow from the others:
// a device that is up and whose medium carries has them.
func (dev *Device) changeFlags(set, unset Flags) (changed bool) {
	for {
		old := dev.flags.Load()
		f := Flags(old)&^unset | set
		if f&Up != 0 && f&noCarrier == 0 {
			f |= Running | LowerUp
		} else {
			f &^= Running | LowerUp
		}
		if uint32(f) == old {
			return false
		}
		if dev.flags.CompareAndSwap(old, uint32(f)) {
			return true
		}
	}
}

// SetCarrier tells the state of the medium, for drivers. A new device has a
// carrier. It must not be called from Open or Close: watchers hear of it in the
// same goroutine, and may change the device.
func (dev *Device) SetCarrier(on bool) {
	changed := false
	if on {
		changed = dev.changeFlags(0, noCarrier)
	} else {
		changed = dev.changeFlags(noCarrier, 0)
	}
	if changed && dev.Up() {
		dev.layer.notify(Event{Changed, dev})
	}
}

// SetMTU sets the MTU in bytes; EINVAL outside the device's range.
func (dev *Device) SetMTU(mtu int) error {
	if lo, hi := dev.MTURange(); mtu < lo || mtu > hi {
		return fmt.Errorf("mtu %d of %s: %w: want %d to %d", mtu, dev.Name(), syscall.EINVAL, lo, hi)
	}
	if s, ok := dev.driver.(MTUSetter); ok {
		if err := s.SetMTU(dev, mtu); err != nil {
			return fmt.Errorf("mtu %d of %s: %w", mtu, dev.Name(), err)
		}
	}
	dev.mtu.Store(int32(mtu))
	dev.layer.notify(Event{Changed, dev})
	return nil
}

// SetMAC changes the hardware address of an Ethernet device.
func (dev *Device) SetMAC(m wire.MAC) error {
	if dev.Type() != Ether {
		return fmt.Errorf("address of %s: %w", dev.Name(), syscall.EOPNOTSUPP)
	}
	if m.IsZero() || m.IsMulticast() {
		return fmt.Errorf("address %v of %s: %w: want a unicast address", m, dev.Name(), syscall.EADDRNOTAVAIL)
	}
	dev.storeMAC(m)
	dev.layer.notify(Event{MACChanged, dev})
	return nil
}

// SetFeatures switches features the driver has on or off; EINVAL for others. Without
// TxCsum those that need it are off, too.
func (dev *Device) SetFeatures(f Features) error {
	if extra := f &^ (dev.info.Features | GRO); extra != 0 {
		return fmt.Errorf("features %#x of %s: %w", uint32(extra), dev.Name(), syscall.EINVAL)
	}
	dev.features.Store(uint32(f.consistent()))
	dev.layer.notify(Event{Changed, dev})
	return nil
}

// Rename gives the device another name; its own changes nothing.
func (dev *Device) Rename(name string) error {
	l := dev.layer
	l.mu.Lock()
	if name == dev.Name() {
		l.mu.Unlock()
		return nil
	}
	name, err := l.freeName(name)
	if err == nil {
		dev.name.Store(&name)
	}
	l.mu.Unlock()
	if err != nil {
		return err
	}
	l.notify(Event{Renamed, dev})
	return nil
}

// AddPromisc counts one more (or with a negative n one fewer) who wants to see
// frames for other hosts.
func (dev *Device) AddPromisc(n int) { dev.count(&dev.promiscCount, n, Promisc) }

// AddAllMulti counts one more (or one fewer) who wants all multicast.
func (dev *Device) AddAllMulti(n int) { dev.count(&dev.allMultiCount, n, AllMulti) }

func (dev *Device) count(c *int, n int, f Flags) {
	dev.listen.Lock()
	*c += n
	changed := false
	if *c > 0 {
		changed = dev.changeFlags(f, 0)
	} else {
		changed = dev.changeFlags(0, f)
	}
	dev.listen.Unlock()
	if changed {
		dev.layer.notify(Event{Changed, dev})
	}
}

// SetPromisc says whether the user wants to see frames for other hosts, who counts
// as one in AddPromisc.
func (dev *Device) SetPromisc(on bool) { dev.ask(Promisc, on, dev.AddPromisc) }

// SetAllMulti says whether the user wants all multicast, likewise.
func (dev *Device) SetAllMulti(on bool) { dev.ask(AllMulti, on, dev.AddAllMulti) }

// Asked returns which of Promisc and AllMulti the user has set: those that `ip link`
// shows, while Flags has what others want, too.
func (dev *Device) Asked() Flags {
	dev.listen.Lock()
	defer dev.listen.Unlock()
	return dev.asked
}

func (dev *Device) ask(f Flags, on bool, count func(int)) {
	dev.listen.Lock()
	changed := dev.asked&f != 0 != on
	if changed {
		dev.asked ^= f
	}
	dev.listen.Unlock()
	switch {
	case changed && on:
		count(1)
	case changed:
		count(-1)
	}
}

// MaxAlias is the longest alias in bytes (IFALIASZ).
const MaxAlias = 256

// SetAlias gives the device a text for humans; "" takes it away. It fails with
// EINVAL for one that is too long.
func (dev *Device) SetAlias(text string) error {
	if len(text) >= MaxAlias {
		return fmt.Errorf("alias of %s: %w: want less than %d bytes", dev.Name(), syscall.EINVAL, MaxAlias)
	}
	dev.alias.Store(&text)
	dev.layer.notify(Event{Changed, dev})
	return nil
}

// Alias returns what SetAlias was given last.
func (dev *Device) Alias() string {
	if p := dev.alias.Load(); p != nil {
		return *p
	}
	return ""
}
