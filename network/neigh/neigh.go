// Package neigh is the table of neighbours: which hardware address belongs to an
// IP address on a link, and whether that neighbour is reachable (RFC 4861 §7.3).
// It knows neither ARP nor Neighbour Discovery: one of these makes a Table, sends
// the questions (Config.Solicit) and reports the answers (Table.Update).
//
// No lock is held while a packet is transmitted or a function of Config or a
// watcher is called, because over a link within the process the answer arrives
// before the call returns.
package neigh

import (
	"net/netip"
	"strings"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/wire"
)

// A State is that of a neighbour (NUD_*), with Linux's values, which are bits so
// that sets of them can be tested at once.
type State uint8

// States of a neighbour.
const (
	None       State = 0x00 // nobody has asked for it yet
	Incomplete State = 0x01 // asked, not answered
	Reachable  State = 0x02 // known to work of late
	Stale      State = 0x04 // worked once, unused since
	Delay      State = 0x08 // used again; waits for an upper layer's word
	Probe      State = 0x10 // being asked whether it is still there
	Failed     State = 0x20 // did not answer
	NoARP      State = 0x40 // known, never asked
	Permanent  State = 0x80 // set by hand, never asked
)

const (
	// direct are the states in which packets go out at once and nothing else
	// needs to happen.
	direct = Reachable | Delay | Probe | NoARP | Permanent
	// valid are those with a hardware address.
	valid = direct | Stale
	// fixed are those that no protocol changes.
	fixed = NoARP | Permanent
)

// String returns the name `ip neigh` prints.
func (s State) String() string {
	switch s {
	case None:
		return "NONE"
	case Incomplete:
		return "INCOMPLETE"
	case Reachable:
		return "REACHABLE"
	case Stale:
		return "STALE"
	case Delay:
		return "DELAY"
	case Probe:
		return "PROBE"
	case Failed:
		return "FAILED"
	case NoARP:
		return "NOARP"
	case Permanent:
		return "PERMANENT"
	}
	return "UNKNOWN"
}

// ParseState returns the state that `ip neigh` calls by this name, in either
// case.
func ParseState(name string) (State, bool) {
	for _, s := range []State{None, Incomplete, Reachable, Stale, Delay, Probe, Failed, NoARP, Permanent} {
		if strings.EqualFold(s.String(), name) {
			return s, true
		}
	}
	return None, false
}

// An Info is a snapshot of one entry, a line of `ip neigh`.
type Info struct {
	Device *link.Device
	IP     netip.Addr
	MAC    wire.MAC // zero when not known
	State  State
	Router bool // IPv6: the neighbour is a router
	// Static: it was set by hand to a State in which it stays, Permanent or NoARP.
	// The kernel makes NoARP entries by itself too.
	Static bool
	// Confirmed is when it was last known to be reachable, Updated when its
	// state or address last changed; 0 means never.
	Confirmed, Updated clock.Time
	// Probes counts the questions since the last answer, Queued the packets
	// that wait for one.
	Probes, Queued int
}
