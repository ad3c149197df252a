package route

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
)

// Tables that are always there, by their numbers in Linux (RT_TABLE_*).
const (
	TableDefault uint32 = 253
	TableMain    uint32 = 254
	TableLocal   uint32 = 255
)

// maxTables bounds the tables of a kernel.
const maxTables = 1 << 14

// A FIB is the forwarding information of one kernel: its tables, and the rules that
// say which of them a packet's way is looked for in. Both IP versions share the
// tables, each has its own rules. Make it with Init. Lookups are lock free and run
// concurrently with changes.
type FIB struct {
	// Local holds the addresses of this host and broadcast addresses, Main what is
	// looked for next. Change them through the network layer, so that Paths become
	// invalid.
	Local, Main, Default Table

	tables struct {
		sync.Mutex // serialises changes
		m          atomic.Pointer[map[uint32]*Table]
	}
	rules [2]Rules
	// devices are what lookups want to know of interfaces.
	devices Devices
	lo      atomic.Int32 // the loopback device
	vrfs    atomic.Pointer[map[int32]VRF]
	// down are the interfaces without carrier whose routes do not count, by IP version.
	down [2]atomic.Pointer[map[int32]bool]
}

// Devices answers what rules and routes need to know of interfaces. All functions
// must be set and safe for concurrent use.
type Devices struct {
	// Index finds an interface by name; 0: there is none.
	Index func(name string) int32
	// Loopback is the interface by which packets come that are made here; 0: none.
	Loopback func() int32
}

// Init makes f usable.
func (f *FIB) Init(d Devices) {
	f.devices = d
	f.tables.m.Store(&map[uint32]*Table{})
	for i := range f.rules {
		f.rules[i].init(&f.devices, i == 1)
	}
}

// Rules returns the rules of an IP version.
func (f *FIB) Rules(v6 bool) *Rules {
	if v6 {
		return &f.rules[1]
	}
	return &f.rules[0]
}

// Bind looks up the interfaces that rules name, after devices have come, gone or got
// other names.
func (f *FIB) Bind() {
	f.lo.Store(f.devices.Loopback())
	f.rules[0].bind()
	f.rules[1].bind()
}

// Table returns a table, or nil if there is none of the number.
func (f *FIB) Table(id uint32) *Table {
	switch id {
	case TableLocal:
		return &f.Local
	case TableMain:
		return &f.Main
	case TableDefault:
		return &f.Default
	}
	return (*f.tables.m.Load())[id]
}

// MakeTable returns a table, which it makes if there is none; EINVAL for 0, ENOBUFS
// when there are too many.
func (f *FIB) MakeTable(id uint32) (*Table, error) {
	if t := f.Table(id); t != nil {
		return t, nil
	}
	if id == 0 {
		return nil, syscall.EINVAL
	}
	f.tables.Lock()
	defer f.tables.Unlock()
	old := *f.tables.m.Load()
	if t := old[id]; t != nil {
		return t, nil
	}
	if len(old) >= maxTables {
		return nil, syscall.ENOBUFS
	}
	next := maps.Clone(old)
	next[id] = new(Table)
	f.tables.m.Store(&next)
	return next[id], nil
}

// Tables returns the numbers of the tables in ascending order.
func (f *FIB) Tables() []uint32 {
	ids := slices.Collect(maps.Keys(*f.tables.m.Load()))
	ids = append(ids, TableDefault, TableMain, TableLocal)
	slices.Sort(ids)
	return ids
}

// EmptyTable returns the lowest number of a table that has no routes of an IP version.
func (f *FIB) EmptyTable(v6 bool) uint32 {
	for id := uint32(1); ; id++ {
		if t := f.Table(id); t == nil || t.Size(v6) == 0 {
			return id
		}
	}
}

// SetDown says which interfaces have no carrier, so that next hops of an IP version by
// them do not count (net.ipv4.conf.IF.ignore_routes_with_linkdown). down must not be
// changed any more.
func (f *FIB) SetDown(v6 bool, down map[int32]bool) {
	if len(down) == 0 {
		f.down[family(v6)].Store(nil)
		return
	}
	f.down[family(v6)].Store(&down)
}

// Needs says what Lookup looks at of an IP version's Keys.
func (f *FIB) Needs(v6 bool) Needs { return f.Rules(v6).list.Load().needs }
