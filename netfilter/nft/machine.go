package nft

import (
	"sync"
	"sync/atomic"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/klog"
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/core/sysctl"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/netfilter/rule"
	"github.com/knitnet/knit/network"
)

// A machine is one kernel's nf_tables.
type machine struct {
	net      *network.Layer
	paths    *network.PathCache
	link     *link.Layer
	clock    *clock.Clock
	log      *klog.Logger
	hashSeed uint32

	sysctls *sysctl.Table // nil if the kernel has none

	// current is the ruleset that packets see: it changes in one step. previous is the
	// one before, for as long as there are packets that have met it.
	current, previous atomic.Pointer[generation]

	mu     sync.Mutex // serialises transactions
	closed bool       // the module is unloaded
	// dynamics are the elements that rules have added, by their sets.
	dynamics map[setKey]*dynamic
	seats    map[baseKey]*seat
	// generators are the last handles given, by the handle of the table; tableHandles
	// is the last one of a table.
	generators   map[uint64]uint64
	tableHandles uint64
	generations  uint64 // transactions
	tracker      loan[netfilter.Tracker]
	tracking     [2]func() // end the tracker's work, by network.Version; nil: it does not work
	translator   loan[netfilter.Translator]
	flows        loan[netfilter.Flows]
	helpers      map[helperKey]*netfilter.Helper // that tables name
	limiter      loan[netfilter.Limiter]
	packetLog    loan[netfilter.PacketLog]

	hub hub
	// watch is who sees all rules that hold, or nil.
	watch atomic.Pointer[func(netfilter.RuleEvent)]
	ctx   *module.Context
	evals sync.Pool // *eval
}

type setKey struct {
	family rule.Family
	table  string
	set    string
	handle uint64
}

// A generation is a ruleset and what was compiled from it.
type generation struct {
	// mark is what packets that have met it carry in Meta.Rules, from 1 to 255.
	mark     uint8
	tables   []*rule.Table
	programs map[*rule.Table]*program
	bases    map[baseKey]*chain
	order    []baseKey // of bases
	needs

	// The modules that rules use; nil if none does.
	tracker    netfilter.Tracker
	translator netfilter.Translator
	lanes      map[laneKey]*lane
	limiter    netfilter.Limiter
	packetLog  netfilter.PacketLog
}

// dynamicOf returns the elements that rules have added to a set.
func (m *machine) dynamicOf(t *rule.Table, s *rule.Set) *dynamic {
	k := setKey{t.Family, t.Name, s.Name, s.Handle}
	d := m.dynamics[k]
	if d == nil {
		d = new(dynamic)
		m.dynamics[k] = d
	}
	return d
}

func (m *machine) deviceName(index int32) string {
	if dev := m.link.Device(index); dev != nil {
		return dev.Name()
	}
	return ""
}
