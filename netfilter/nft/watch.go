package nft

import (
	"slices"

	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/netfilter/rule"
)

// Tables implements netfilter.WatchedRuleset.
func (m *machine) Tables() []*rule.Table { return slices.Clone(m.current.Load().tables) }

// Watch implements netfilter.WatchedRuleset.
func (m *machine) Watch(f func(netfilter.RuleEvent)) (undo func()) {
	m.watch.Store(&f)
	return func() { m.watch.CompareAndSwap(&f, nil) }
}

// end is the policy's verdict when a packet came to the end of a base chain.
func (ev *eval) end(base *chain) next {
	n := base.policy()
	ev.report(base, nil, n)
	ev.tellPolicy(base, n)
	return n
}

// report tells who watches what a rule, or the policy, decides.
func (ev *eval) report(c *chain, r *rule.Rule, n next) {
	if ev.watch == nil {
		return
	}
	(*ev.watch)(netfilter.RuleEvent{
		Packet: ev.pkt, Hook: ev.hook, Table: c.table, Chain: c.name, Rule: r, Verdict: ev.word(n),
	})
}

// word is a verdict in nft's words.
func (ev *eval) word(n next) string {
	if n == jumpNow || n == gotoNow {
		return verdictWords[n] + ev.chain.name
	}
	return verdictWords[n]
}
