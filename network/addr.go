package network

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network/route"
)

// AddrFlags are the flags of an address (IFA_F_*), with Linux's values.
type AddrFlags uint32

// Address flags.
const (
	Secondary      AddrFlags = 0x01 // IPv4: same prefix as an older address
	Temporary      AddrFlags = 0x01 // IPv6: RFC 8981
	NoDAD          AddrFlags = 0x02
	Optimistic     AddrFlags = 0x04
	DADFailed      AddrFlags = 0x08
	Deprecated     AddrFlags = 0x20
	Tentative      AddrFlags = 0x40
	Permanent      AddrFlags = 0x80
	NoPrefixRoute  AddrFlags = 0x200
	StablePrivacy  AddrFlags = 0x800
	MngTempAddr    AddrFlags = 0x100
	notUsableFlags           = Tentative | DADFailed
)

// An Addr is an address of a device. Addrs in the table are never changed, only
// replaced.
type Addr struct {
	Prefix    netip.Prefix // address with the length of its subnet
	Peer      netip.Addr   // the other end of a point-to-point address, or zero
	Broadcast netip.Addr   // IPv4's subnet broadcast address, or zero
	Scope     route.Scope
	Flags     AddrFlags
	Label     string // IPv4: the device's name or NAME:something
	// Metric of the prefix route, 0 for the family's default.
	Metric uint32
	// Proto is the origin: 0 by hand, 9 (ProtoRA) from router advertisements,
	// ProtoKernel for link-local ones.
	Proto uint8
	// ValidUntil and PreferredUntil are when lifetimes end; 0 means never.
	ValidUntil, PreferredUntil clock.Time
	Created, Updated           clock.Time
}

// IP returns the address itself.
func (a *Addr) IP() netip.Addr { return a.Prefix.Addr() }

// Usable reports whether a may be a source address: not tentative.
func (a *Addr) Usable() bool {
	return a.Flags&notUsableFlags == 0 || a.Flags&Optimistic != 0 && a.Flags&DADFailed == 0
}

// ErrAddrNotFound is EADDRNOTAVAIL, of DelAddr.
var ErrAddrNotFound = errors.New("cannot assign requested address")

type addrTable struct {
	mu    sync.Mutex // serialises changes
	byDev atomic.Pointer[map[int32][]*Addr]
}

func (t *addrTable) init() { t.byDev.Store(&map[int32][]*Addr{}) }

// Addrs returns the addresses of a device in the order in which they were
// added. The caller must not change the slice.
func (l *Layer) Addrs(index int32) []*Addr { return (*l.addrs.byDev.Load())[index] }

// FindAddr returns the device and the entry of a local address of this host beside
// its VRFs, nil if there is none.
func (l *Layer) FindAddr(ip netip.Addr) (*link.Device, *Addr) { return l.addrIn(ip, 0) }

// addrIn is FindAddr in a VRF, 0 for none.
func (l *Layer) addrIn(ip netip.Addr, vrf int32) (*link.Device, *Addr) {
	for index, as := range *l.addrs.byDev.Load() {
		for _, a := range as {
			if a.IP() == ip && l.VRF(index) == vrf {
				return l.Link.Device(index), a
			}
		}
	}
	return nil, nil
}

// IsLocal reports whether ip belongs to this host beside its VRFs: assigned, or in the
// loopback network. It is for the packet path.
func (l *Layer) IsLocal(ip netip.Addr) bool { return l.IsLocalTo(ip, 0) }

// AddAddr gives a device an address with the routes that follow from it, and
// tells the watchers. An address that is there already is EEXIST. Zero fields
// get their usual values: the label, the broadcast address stays unset, the
// scope follows the address.
func (l *Layer) AddAddr(dev *link.Device, a Addr) error {
	if err := checkAddr(dev, &a); err != nil {
		return err
	}
	if l.Family(VersionOf(a.IP())) == nil {
		if err := l.requestFamily(VersionOf(a.IP())); err != nil {
			return err
		}
	}
	a.Created, a.Updated = l.Clock.Now(), l.Clock.Now()
	if a.ValidUntil == 0 {
		a.Flags |= Permanent
	}
	if err := l.askCheckers(dev, &a); err != nil {
		return fmt.Errorf("address %v on %s: %w", a.Prefix, dev.Name(), err)
	}
	if err := l.addrs.add(dev, &a); err != nil {
		return fmt.Errorf("address %v on %s: %w", a.Prefix, dev.Name(), err)
	}
	l.addLocalRoutes(dev, &a)
	if dev.Up() {
		l.setDead(dev.Index(), VersionOf(a.IP()), false)
		l.addPrefixRoute(dev, &a)
	}
	if l.Link.Device(dev.Index()) != dev { // it went meanwhile, perhaps before the routes came
		l.dropAddrRoutes(dev, &a)
		l.restoreRoutes(dev, &a)
		return fmt.Errorf("address %v on %s: %w", a.Prefix, dev.Name(), syscall.ENODEV)
	}
	l.changed()
	l.watchEnd(a.nextEnd())
	l.notify(Event{Kind: AddrAdded, Device: dev, Addr: &a})
	return nil
}

func (l *Layer) askCheckers(dev *link.Device, a *Addr) error {
	v := VersionOf(a.IP())
	if c, ok := l.Family(v).(AddrChecker); ok {
		if err := c.CheckAddr(dev, a); err != nil {
			return err
		}
	}
	if c := l.checkers[v].Load(); c != nil {
		return c.CheckAddr(dev, a)
	}
	return nil
}

func checkAddr(dev *link.Device, a *Addr) error {
	ip := a.IP()
	switch {
	case !a.Prefix.IsValid(), ip.Is4In6(), ip.IsUnspecified(), ip.IsMulticast(), ip.Zone() != "":
		return fmt.Errorf("address %v: %w: want a unicast address with a prefix length", a.Prefix, syscall.EINVAL)
	case ip.Is4() && dev.MTU() < 68, ip.Is6() && dev.MTU() < 1280:
		return fmt.Errorf("address %v on %s: %w: the MTU of %d is too small", a.Prefix, dev.Name(), syscall.EINVAL, dev.MTU())
	}
	if a.Scope == route.Universe {
		switch {
		case ip.IsLoopback():
			a.Scope = route.Host
		case ip.Is6() && ip.IsLinkLocalUnicast():
			a.Scope = route.LinkScope
		}
	}
	if a.Label == "" && ip.Is4() {
		a.Label = dev.Name()
	}
	return nil
}

func (l *Layer) requestFamily(v Version) error {
	alias := "net-pf-2"
	if v == V6 {
		alias = "net-pf-10"
	}
	if err := l.request(alias); err != nil {
		return fmt.Errorf("%v is not loaded: %w", v, syscall.EAFNOSUPPORT)
	}
	return nil
}

func (t *addrTable) add(dev *link.Device, a *Addr) error {
	return t.change(dev.Index(), func(as []*Addr) ([]*Addr, error) {
		if dev.Layer().Device(dev.Index()) != dev {
			return nil, syscall.ENODEV
		}
		for _, x := range as {
			if x.IP() == a.IP() && (a.IP().Is6() || x.Prefix == a.Prefix) {
				return nil, syscall.EEXIST
			}
			// The subnet must not depend on an address that may turn out to be taken.
			if a.IP().Is4() && x.Prefix.Masked() == a.Prefix.Masked() && x.Usable() {
				a.Flags |= Secondary
			}
		}
		return append(as, a), nil
	})
}

// change replaces the addresses of a device in a copy of the table.
func (t *addrTable) change(index int32, f func([]*Addr) ([]*Addr, error)) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	old := *t.byDev.Load()
	as, err := f(slices.Clone(old[index]))
	if err != nil {
		return err
	}
	next := make(map[int32][]*Addr, len(old)+1)
	for k, v := range old {
		next[k] = v
	}
	next[index] = as
	if len(as) == 0 {
		delete(next, index)
	}
	t.byDev.Store(&next)
	return nil
}

// like finds the address p. A prefix length of the whole address matches any.
func like(p netip.Prefix) func([]*Addr) int {
	return func(as []*Addr) int {
		at := slices.IndexFunc(as, func(x *Addr) bool { return x.Prefix == p })
		if at < 0 && p.IsSingleIP() {
			at = slices.IndexFunc(as, func(x *Addr) bool { return x.IP() == p.Addr() })
		}
		return at
	}
}

// DelAddr takes an address and its routes away; ErrAddrNotFound if there is none
// like it. A prefix length of the whole address matches any.
func (l *Layer) DelAddr(dev *link.Device, p netip.Prefix) error {
	if err := l.delAddr(dev, like(p)); err != nil {
		return fmt.Errorf("address %v on %s: %w", p, dev.Name(), err)
	}
	return nil
}

// delAddr is DelAddr of the address at the place that find returns.
func (l *Layer) delAddr(dev *link.Device, find func([]*Addr) int) error {
	var gone *Addr
	err := l.addrs.change(dev.Index(), func(as []*Addr) ([]*Addr, error) {
		at := find(as)
		if at < 0 {
			return nil, ErrAddrNotFound
		}
		gone = as[at]
		return promote(slices.Delete(as, at, at+1), gone), nil
	})
	if err != nil {
		return err
	}
	l.dropAddrRoutes(dev, gone)
	l.restoreRoutes(dev, gone)
	l.dropLastRoutes(dev, gone)
	l.changed()
	if gone.nextEnd() != clock.Never {
		l.rearm()
	}
	l.notify(Event{Kind: AddrRemoved, Device: dev, Addr: gone})
	return nil
}

// promote makes the first secondary address of gone's subnet the primary one.
func promote(as []*Addr, gone *Addr) []*Addr {
	if gone.IP().Is6() || gone.Flags&Secondary != 0 {
		return as
	}
	for i, a := range as {
		if a.Prefix.Masked() == gone.Prefix.Masked() {
			primary := *a
			primary.Flags &^= Secondary
			as[i] = &primary
			break
		}
	}
	return as
}

// UpdateAddr replaces the entry of an address by what f makes of it: flags
// and lifetimes, for duplicate address detection and router advertisements. A
// prefix length of the whole address matches any. It reports whether the address
// is still there.
func (l *Layer) UpdateAddr(dev *link.Device, p netip.Prefix, f func(*Addr)) bool {
	return l.updateAddr(dev, like(p), f)
}

// updateAddr is UpdateAddr of the address at the place that find returns.
func (l *Layer) updateAddr(dev *link.Device, find func([]*Addr) int, f func(*Addr)) bool {
	var old, now *Addr
	l.addrs.change(dev.Index(), func(as []*Addr) ([]*Addr, error) {
		at := find(as)
		if at < 0 {
			return nil, ErrAddrNotFound
		}
		next := *as[at]
		f(&next)
		next.Updated = l.Clock.Now()
		old, now, as[at] = as[at], &next, &next
		return as, nil
	})
	if now == nil {
		return false
	}
	switch {
	case old.routed() && !now.routed():
		l.dropAddrRoutes(dev, old)
		l.restoreRoutes(dev, old)
	case !old.routed() && now.routed():
		l.addLocalRoutes(dev, now)
		if dev.Up() {
			l.addPrefixRoute(dev, now)
		}
	case now.routed() && (now.Metric != old.Metric || (now.Flags^old.Flags)&NoPrefixRoute != 0):
		l.dropAddrRoutes(dev, old)
		l.restoreRoutes(dev, old)
	}
	l.changed()
	if end := now.nextEnd(); end < old.nextEnd() {
		l.watchEnd(end)
	} else if end > old.nextEnd() {
		l.rearm()
	}
	l.notify(Event{Kind: AddrAdded, Device: dev, Addr: now})
	return true
}
