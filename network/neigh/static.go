package neigh

import (
	"fmt"
	"net/netip"
	"slices"
	"syscall"

	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/wire"
)

// A Mode says what Set expects to find.
type Mode uint8

// Modes of Set.
const (
	Add     Mode = iota // `ip neigh add`: no entry, else EEXIST
	Change              // `ip neigh change`: an entry, else ENOENT
	Replace             // `ip neigh replace`: either
)

// Set makes or changes an entry by hand. Permanent and NoARP stay whatever
// protocols say; other states are the beginning from which the entry goes on by
// itself. States with a hardware address need mac (EINVAL).
func (t *Table) Set(dev *link.Device, ip netip.Addr, mac wire.MAC, s State, mode Mode) error {
	if err := t.set(dev, ip, mac, s, mode); err != nil {
		return fmt.Errorf("neighbour %v dev %s: %w", ip, dev.Name(), err)
	}
	return nil
}

func (t *Table) set(dev *link.Device, ip netip.Addr, mac wire.MAC, s State, mode Mode) error {
	if ip.IsMulticast() || ip.IsUnspecified() || !ip.IsValid() {
		return fmt.Errorf("%w: want a unicast address", syscall.EINVAL)
	}
	e := t.find(dev, ip)
	known := e != nil && e.State() != None
	switch {
	case s&valid != 0 && mac.IsZero():
		return fmt.Errorf("%w: state %v needs a link layer address", syscall.EINVAL, s)
	case mac.IsMulticast():
		return fmt.Errorf("%w: %v is a group's address", syscall.EINVAL, mac)
	case mode == Add && known:
		return syscall.EEXIST
	case mode == Change && !known:
		return syscall.ENOENT
	}
	for {
		if e == nil {
			var err error
			if e, err = t.Lookup(dev, ip); err != nil {
				return err
			}
		}
		if e.force(mac, s) {
			return nil
		}
		e = nil // it was removed meanwhile
	}
}

// force sets address and state and starts what the state needs, unless the entry
// is not in the table any more.
func (e *Entry) force(mac wire.MAC, s State) bool {
	var f effect
	e.mu.Lock()
	if e.word.Load()&deadBit != 0 {
		e.mu.Unlock()
		return false
	}
	e.timer.Stop()
	if s&valid == 0 {
		mac = wire.MAC{}
	}
	e.probes = 0
	w := e.word.Load()&routerBit | pack(mac) | uint64(s)<<stateShift
	if s&fixed != 0 {
		w |= staticBit
	}
	e.set(w, &f)
	switch s {
	case Reachable:
		e.reach(&f)
	case Delay:
		e.timer.ResetAfter(e.table.Params(e.dev).DelayProbe)
	case Probe:
		e.ask(&f, mac)
	case Incomplete:
		e.begin(&f)
	case Failed, None:
		e.fail(&f)
		e.setState(s, &f)
	}
	if s&valid != 0 {
		e.release(&f)
	}
	e.mu.Unlock()
	e.do(&f)
	return true
}

// Delete removes the entry of ip on dev; ENOENT if there is none. It fails first,
// as with Linux: what waits for it is unreachable.
func (t *Table) Delete(dev *link.Device, ip netip.Addr) error {
	e := t.find(dev, ip)
	if e == nil || e.State() == None || !e.force(wire.MAC{}, Failed) {
		return fmt.Errorf("neighbour %v dev %s: %w", ip, dev.Name(), syscall.ENOENT)
	}
	t.Flush(func(x *Entry) bool { return x == e })
	return nil
}

// FlushDevice removes all entries of dev, for when it goes down or gets another
// hardware address, and forgets its Params.
func (t *Table) FlushDevice(dev *link.Device) {
	t.Flush(func(e *Entry) bool { return e.dev == dev })
	t.SetParams(dev, Params{})
}

// Flush removes the entries for which del is true and returns their number. del
// must not call into the table.
func (t *Table) Flush(del func(*Entry) bool) int {
	var gone []removed
	t.mu.Lock()
	t.each(func(e *Entry) {
		if del(e) {
			t.remove(e, &gone)
		}
	})
	t.mu.Unlock()
	t.bury(gone)
	return len(gone)
}

// List returns the entries that somebody has asked for, by device and address.
func (t *Table) List() []Info {
	var list []Info
	t.mu.Lock()
	t.each(func(e *Entry) {
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.State() != None {
			list = append(list, e.info())
		}
	})
	t.mu.Unlock()
	slices.SortFunc(list, func(a, b Info) int {
		if a.Device != b.Device {
			return int(a.Device.Index() - b.Device.Index())
		}
		return a.IP.Compare(b.IP)
	})
	return list
}

// Len returns the number of entries, also of those that List leaves out.
func (t *Table) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.n
}
