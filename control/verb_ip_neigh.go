package control

import (
	"net/netip"
	"slices"
	"strings"
)

// An IPNeigh is a neighbour.
type IPNeigh struct {
	Dst    netip.Addr `json:"dst"`
	Dev    string     `json:"dev"`
	MAC    string     `json:"lladdr,omitempty"`
	Router bool       `json:"router,omitempty"`
	State  string     `json:"state"` // in capitals
	// Confirmed and Updated are the seconds since then, Probes the questions since
	// the last answer.
	Confirmed int64 `json:"confirmed"`
	Updated   int64 `json:"updated"`
	Probes    int   `json:"probes"`
}

// An IPNeighChange adds, changes or removes a neighbour.
type IPNeighChange struct {
	Dst    netip.Addr `json:"dst"`
	Dev    string     `json:"dev"`
	MAC    string     `json:"lladdr,omitempty"`
	State  string     `json:"state,omitempty"` // "" is PERMANENT
	Router bool       `json:"router,omitempty"`
}

var neighStates = []string{"permanent", "reachable", "noarp", "none", "stale", "incomplete", "delay", "probe", "failed"}

func (p *ipParser) neigh() error {
	command, err := p.command("add", "change|chg", "replace", "delete", "get", "show|lst|list", "flush")
	if err != nil {
		return err
	}
	if command == "show" || command == "flush" {
		return p.neighShow()
	}
	return p.neighChange()
}

func (p *ipParser) neighChange() (err error) {
	c := &IPNeighChange{}
	p.q.Neigh = c
	for p.more() {
		switch word := p.next(); {
		case word == "lladdr":
			c.MAC, err = p.mac()
		case word == "nud":
			c.State, err = p.nud()
		case word == "dev":
			c.Dev, err = p.device("dev")
		case abbreviates(word, "router") && len(word) > 1:
			c.Router = true
		case slices.Contains([]string{"proxy", "use", "managed", "extern_learn", "protocol"}, word):
			return p.fail(2, "ip neigh %s %s: Operation not supported", p.q.Command, word)
		default:
			err = p.neighDst(c, word)
		}
		if err != nil {
			return err
		}
	}
	if c.Dev == "" || !c.Dst.IsValid() {
		return p.fail(255, "Device and destination are required arguments.")
	}
	return nil
}

func (p *ipParser) neighDst(c *IPNeighChange, word string) (err error) {
	if word == "to" {
		if word, err = p.arg(); err != nil {
			return err
		}
	}
	if abbreviates(word, "help") && len(word) > 1 {
		return p.usage("neigh")
	}
	if c.Dst.IsValid() {
		return p.garbage("to", word, "lladdr, nud, dev or router")
	}
	c.Dst, err = p.words.address(word, p.q.Family)
	return err
}

func (p *ipParser) nud() (string, error) {
	arg, err := p.arg()
	if err != nil {
		return "", err
	}
	for _, s := range neighStates {
		if abbreviates(arg, s) {
			return strings.ToUpper(s), nil
		}
	}
	return "", p.invalid(arg, "nud state is bad")
}

func (p *ipParser) neighShow() (err error) {
	f := &IPFilter{}
	p.q.Filter = f
	if p.q.Command == "flush" && !p.more() {
		return p.fail(1, "Flush requires arguments.")
	}
	for p.more() {
		switch word := p.next(); {
		case word == "dev":
			f.Dev, err = p.device("dev")
		case word == "nud" && p.skip("all"):
			f.AnyState = true
		case word == "nud":
			var s string
			s, err = p.nud()
			f.States = append(f.States, s)
		case word == "unused":
		case word == "all" && p.q.Command == "flush":
			f.To = "" // with all: as if nothing was asked for
		case word == "vrf":
			f.VRF, err = p.arg()
		case word == "master":
			f.Master, err = p.arg()
		case word == "nomaster":
			f.NoMaster = true
		case word == "proxy":
			return p.fail(2, "ip neigh %s %s: Operation not supported", p.q.Command, word)
		default:
			err = p.neighTo(f, word)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *ipParser) neighTo(f *IPFilter, word string) (err error) {
	if word == "to" {
		if word, err = p.arg(); err != nil {
			return err
		}
	}
	if abbreviates(word, "help") && len(word) > 1 {
		return p.usage("neigh")
	}
	pfx, err := p.prefix(word, p.q.Family)
	if err == nil {
		f.To, p.q.Family = pfx.String(), familyOf(pfx.Addr())
	}
	return err
}

// MatchNeigh reports whether a neighbour, whose device has a master or none, passes
// the filter and the family. Without states in the filter NONE and NOARP stay hidden,
// for flush PERMANENT ones too.
func (f *IPFilter) MatchNeigh(n *IPNeigh, family, master string, flush bool) bool {
	if !f.matchMaster(master) || f.Dev != "" && f.Dev != n.Dev || family != "" && family != familyOf(n.Dst) {
		return false
	}
	if to, err := netip.ParsePrefix(f.To); f.To != "" && (err != nil || !to.Contains(n.Dst)) {
		return false
	}
	switch {
	case len(f.States) > 0:
		return slices.Contains(f.States, n.State)
	case f.AnyState:
		return true
	case n.State == "NONE", n.State == "NOARP":
		return false
	}
	return !flush || n.State != "PERMANENT"
}

func (o *ipOut) neighs(q IPRequest, list []IPNeigh) {
	o.beginArray("")
	for i := range list {
		o.beginObject("")
		o.neigh(q.Filter, &list[i])
		o.endObject()
	}
	o.endArray()
}

func (o *ipOut) neigh(f *IPFilter, n *IPNeigh) {
	o.val("dst", "%s ", n.Dst)
	if f == nil || f.Dev == "" {
		o.val("dev", "dev %s ", n.Dev)
	}
	if n.MAC != "" {
		o.val("lladdr", "lladdr %s ", n.MAC)
	}
	if n.Router {
		o.text("router ")
		o.val("router", "", nil)
	}
	if o.f.stats > 0 {
		o.val("used", " used %d", n.Updated)
		o.val("confirmed", "/%d", n.Confirmed)
		o.val("updated", "/%d", n.Updated)
		o.val("probes", "probes %d ", n.Probes)
	}
	if n.State != "NONE" {
		o.text("%s ", n.State)
		o.list("state", []string{n.State})
	}
	o.text("\n")
}
