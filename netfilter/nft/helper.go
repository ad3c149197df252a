package nft

import (
	"syscall"

	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/netfilter/rule"
	"github.com/knitnet/knit/network"
)

// A helperKey names a helper of connection tracking.
type helperKey struct {
	name  string
	proto uint8
}

// acquireHelpers loads the helpers that the ruleset names, and what translates for
// them if rules translate, and holds them; the tracker is there already. ENOENT:
// there is no such helper.
func (m *machine) acquireHelpers(tables []*rule.Table, nat bool) error {
	for _, t := range tables {
		for _, o := range t.Objects {
			if o.Kind != rule.CTHelperObject {
				continue
			}
			if err := m.acquireHelper(helperKey{o.Helper, o.L4}, nat); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *machine) acquireHelper(k helperKey, nat bool) error {
	h := m.helpers[k]
	if h == nil {
		if h = m.tracker.v.HelperByName(k.name, k.proto); h == nil {
			if err := m.ctx.Request(netfilter.HelperAlias + k.name); err != nil {
				return syscall.ENOENT
			}
			h = m.tracker.v.HelperByName(k.name, k.proto)
		}
		if h == nil || h.Users != nil && !h.Users.Get() {
			return syscall.ENOENT
		}
		m.helpers[k] = h
	}
	if nat && h.NAT != "" {
		_ = m.ctx.Request(h.NAT) // without it announcements are not rewritten
	}
	return nil
}

// releaseHelpers lets the helpers go that no table names.
func (m *machine) releaseHelpers(tables []*rule.Table) {
	named := map[helperKey]bool{}
	for _, t := range tables {
		for _, o := range t.Objects {
			if o.Kind == rule.CTHelperObject {
				named[helperKey{o.Helper, o.L4}] = true
			}
		}
	}
	for k, h := range m.helpers {
		if !named[k] {
			delete(m.helpers, k)
			if h.Users != nil {
				h.Users.Put()
			}
		}
	}
}

// setHelper gives new connections of the object's IP version a helper.
func setHelper(o *rule.Object) step {
	name, proto := o.Helper, o.L4
	return func(ev *eval) next {
		ev.track()
		if ev.ct == nil || ev.ct.Is(netfilter.Confirmed) {
			return goOn
		}
		t := &ev.ct.Tuples[netfilter.Original]
		if t.Proto != proto || o.HasL3 && o.L3 != rule.Inet && (o.L3 == rule.IP) != (t.Version == network.V4) {
			return goOn
		}
		if h := ev.gen.tracker.HelperByName(name, proto); h != nil {
			ev.ct.Helper.Store(h)
		}
		return goOn
	}
}
