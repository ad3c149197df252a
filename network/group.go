package network

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/knitnet/knit/link"
)

const (
	// maxGroups is how many groups a device can be in. Linux bounds them per
	// socket (igmp_max_memberships); here sockets may be many and a device has
	// to tell the routers of each group.
	maxGroups = 1024
	// maxSources is how many sources one filter can list (mld_max_msf; IPv4's
	// igmp_max_msf is 10).
	maxSources = 64
)

// groupTable holds the multicast groups of the host's devices.
type groupTable struct {
	// merged is what packets look at.
	merged atomic.Pointer[map[groupKey]*Filter]

	mu      sync.Mutex // serialises changes
	members map[groupKey][]*Membership
	perDev  map[int32]int // groups

	events groupEvents
}

type groupKey struct {
	index int32
	group netip.Addr
}

// A Membership is one listener's interest in a group on a device. Its methods
// are safe for concurrent use.
type Membership struct {
	layer  *Layer
	device *link.Device
	group  netip.Addr
	filter Filter // under groups.mu, as gone is
	gone   bool
}

// Device returns the device of the membership.
func (m *Membership) Device() *link.Device { return m.device }

// Group returns the group.
func (m *Membership) Group() netip.Addr { return m.group }

// Join makes this host a listener of group on dev, for packets that f accepts,
// until Leave. A device can be joined many times: what the host listens to is
// the union (RFC 3376 §3.2). Errors: EINVAL for an address that is no group,
// ENODEV when dev is gone, ENOBUFS when it is in too many groups or f lists too
// many sources. The membership outlives the device's being down.
func (l *Layer) Join(dev *link.Device, group netip.Addr, f Filter) (*Membership, error) {
	m := &Membership{layer: l, device: dev, group: group}
	if !group.IsMulticast() || group.Is4In6() || group.Zone() != "" {
		return nil, m.fail("join", syscall.EINVAL)
	}
	if err := checkSources(group, f); err != nil {
		return nil, m.fail("join", err)
	}
	m.filter = f.normal()
	if err := l.groups.insert(m); err != nil {
		return nil, m.fail("join", err)
	}
	l.groups.events.deliver()
	return m, nil
}

func (m *Membership) fail(what string, err error) error {
	return fmt.Errorf("%s group %v on %s: %w", what, m.group, m.device.Name(), err)
}

func checkSources(group netip.Addr, f Filter) error {
	if len(f.Sources) > maxSources {
		return fmt.Errorf("%w: %d sources, want %d at most", syscall.ENOBUFS, len(f.Sources), maxSources)
	}
	for _, s := range f.Sources {
		if s.Is4() != group.Is4() || s.Is4In6() || s.IsMulticast() || s.IsUnspecified() || s.Zone() != "" {
			return fmt.Errorf("%w: source %v", syscall.EINVAL, s)
		}
	}
	return nil
}

// Set replaces the filter (IP_MSFILTER, MCAST_MSFILTER). EADDRNOTAVAIL after
// Leave or the device's end.
func (m *Membership) Set(f Filter) error {
	if err := checkSources(m.group, f); err != nil {
		return m.fail("filter", err)
	}
	t := &m.layer.groups
	t.mu.Lock()
	if m.gone {
		t.mu.Unlock()
		return m.fail("filter", syscall.EADDRNOTAVAIL)
	}
	m.filter = f.normal()
	t.merge(groupKey{m.device.Index(), m.group}, m.device)
	t.mu.Unlock()
	t.events.deliver()
	return nil
}

// Leave ends the membership. Leaving twice is harmless.
func (m *Membership) Leave() {
	t := &m.layer.groups
	t.mu.Lock()
	if !m.gone {
		m.gone = true
		k := groupKey{m.device.Index(), m.group}
		t.members[k] = slices.DeleteFunc(t.members[k], func(x *Membership) bool { return x == m })
		t.merge(k, m.device)
	}
	t.mu.Unlock()
	t.events.deliver()
}

func (t *groupTable) insert(m *Membership) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	index := m.device.Index()
	k := groupKey{index, m.group}
	switch {
	case m.layer.Link.Device(index) != m.device:
		return syscall.ENODEV
	case len(t.members[k]) == 0 && t.perDev[index] >= maxGroups:
		return fmt.Errorf("%w: a device can be in %d groups", syscall.ENOBUFS, maxGroups)
	}
	if t.members == nil {
		t.members, t.perDev = map[groupKey][]*Membership{}, map[int32]int{}
	}
	if len(t.members[k]) == 0 {
		t.perDev[index]++
	}
	t.members[k] = append(t.members[k], m)
	t.merge(k, m.device)
	return nil
}

// merge computes what the host listens to in group k and publishes it. t.mu is
// held.
func (t *groupTable) merge(k groupKey, dev *link.Device) {
	ms, known := t.members[k]
	if known && len(ms) == 0 {
		delete(t.members, k)
		if t.perDev[k.index]--; t.perDev[k.index] == 0 {
			delete(t.perDev, k.index)
		}
	}
	fs := make([]Filter, len(ms))
	for i, m := range ms {
		fs[i] = m.filter
	}
	merged := mergeFilters(fs)
	var old Filter
	snapshot := t.load()
	if f := snapshot[k]; f != nil {
		old = *f
	}
	if old.Equal(&merged) {
		return
	}
	next := maps.Clone(snapshot)
	if next == nil {
		next = map[groupKey]*Filter{}
	}
	next[k] = &merged
	if merged.None() {
		delete(next, k)
	}
	t.merged.Store(&next)
	t.events.add(GroupEvent{dev, k.group, old, merged})
}

func (t *groupTable) load() map[groupKey]*Filter {
	if m := t.merged.Load(); m != nil {
		return *m
	}
	return nil
}

// IsMember reports whether this host listens to any source of group on the
// device with an index. It is for the packet path.
func (l *Layer) IsMember(index int32, group netip.Addr) bool {
	return l.groups.load()[groupKey{index, group}] != nil
}

// Accepts reports whether this host listens to src in group on the device with
// an index. It is for the packet path.
func (l *Layer) Accepts(index int32, group, src netip.Addr) bool {
	f := l.groups.load()[groupKey{index, group}]
	return f != nil && f.Accepts(src)
}

// A GroupInfo is a line of `ip maddr` and of /proc/net/igmp6.
type GroupInfo struct {
	Device *link.Device
	Group  netip.Addr
	// Users is the number of memberships, Filter what they want together.
	Users  int
	Filter Filter
}

// Groups returns the groups that somebody is in, by device and address.
func (l *Layer) Groups() []GroupInfo {
	t := &l.groups
	var out []GroupInfo
	t.mu.Lock()
	for k, ms := range t.members {
		g := GroupInfo{Device: ms[0].device, Group: k.group, Users: len(ms)}
		if f := t.load()[k]; f != nil {
			g.Filter = *f
		}
		out = append(out, g)
	}
	t.mu.Unlock()
	slices.SortFunc(out, func(a, b GroupInfo) int {
		if a.Device != b.Device {
			return int(a.Device.Index() - b.Device.Index())
		}
		return a.Group.Compare(b.Group)
	})
	return out
}

// deviceGone ends all memberships on a device.
func (t *groupTable) deviceGone(dev *link.Device) {
	t.mu.Lock()
	for k, ms := range t.members {
		if k.index != dev.Index() {
			continue
		}
		for _, m := range ms {
			m.gone = true
		}
		t.members[k] = nil
		t.merge(k, dev)
	}
	t.mu.Unlock()
	t.events.deliver()
}
