package control

import (
	"net/netip"
	"path"
	"slices"
)

// addrFlagFilters are the words that select addresses by a flag.
var addrFlagFilters = []string{
	"permanent", "dynamic", "secondary", "temporary", "primary", "tentative", "deprecated", "dadfailed", "home",
	"nodad", "mngtmpaddr", "noprefixroute", "autojoin", "optimistic",
}

func (p *ipParser) addrShow() error {
	f := &IPFilter{}
	p.q.Filter = f
	if p.q.Command == "flush" && !p.more() {
		return p.fail(1, "Flush requires arguments.")
	}
	for p.more() {
		if err := p.addrFilter(f, p.next()); err != nil {
			return err
		}
	}
	return nil
}

func (p *ipParser) addrFilter(f *IPFilter, word string) (err error) {
	flag, not := word, false
	if len(word) > 1 && word[0] == '-' {
		flag, not = word[1:], true
	}
	switch {
	case word == "to":
		if word, err = p.arg(); err != nil {
			return err
		}
		pfx, err := p.prefix(word, p.q.Family)
		f.To, p.q.Family = pfx.String(), familyOf(pfx.Addr())
		return err
	case word == "scope":
		f.Scope, err = p.scope("invalid \"scope\"")
	case word == "label":
		f.Label, err = p.arg()
	case slices.Contains(addrFlagFilters, flag):
		if flag == "primary" {
			flag, not = "secondary", !not
		}
		if not {
			f.Without = append(f.Without, flag)
		} else {
			f.With = append(f.With, flag)
		}
	default:
		return p.linkFilter(f, word)
	}
	return err
}

// MatchAddr reports whether an address of a device passes the filter and the
// family. The device's name counts as the label of addresses without.
func (f *IPFilter) MatchAddr(a *IPAddr, dev, family string) bool {
	if family != "" && a.Family != family || f.Scope != "" && !sameScope(f.Scope, a.Scope) {
		return false
	}
	if to, err := netip.ParsePrefix(f.To); f.To != "" && (err != nil || !to.Contains(a.Local)) {
		return false
	}
	label := a.Label
	if label == "" {
		label = dev
	}
	if ok, err := path.Match(f.Label, label); f.Label != "" && (err != nil || !ok) {
		return false
	}
	has := func(flag string) bool {
		if flag == "permanent" {
			return !a.Has("dynamic")
		}
		return a.Has(flag)
	}
	return !slices.ContainsFunc(f.With, func(s string) bool { return !has(s) }) && !slices.ContainsFunc(f.Without, has)
}

// SelectsAddrs reports whether the filter is about addresses, so that devices
// without such addresses are of no interest.
func (f *IPFilter) SelectsAddrs() bool {
	return f.Scope != "" || f.To != "" || f.Label != "" || len(f.With) > 0 || len(f.Without) > 0
}

func sameScope(a, b string) bool {
	x, _ := ScopeNumber(a)
	y, _ := ScopeNumber(b)
	return x == y
}
