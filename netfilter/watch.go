package netfilter

import (
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/netfilter/rule"
)

// A WatchedRuleset is nf_tables as programs that test rules see it; nf_tables
// exports it under the same symbol as Ruleset.
type WatchedRuleset interface {
	Ruleset
	// Tables returns the ruleset as it is now, without the state of counters and sets.
	// It is shared and must not be changed.
	Tables() []*rule.Table
	// Watch calls f for each rule that holds for a packet, and for each policy that
	// decides, until undo is called; f replaces who watched before. It is called on
	// the packet's way, before the verdict takes effect, and must not block. While
	// somebody watches, rules are tried one by one, as for packets that are traced.
	Watch(f func(RuleEvent)) (undo func())
}

// A RuleEvent says that a rule held for a packet.
type RuleEvent struct {
	// Packet is only lent: it may be gone when the call returns.
	Packet *packet.Packet
	Hook   rule.Hook // where the packet is
	Table  *rule.Table
	Chain  string
	// Rule is nil when no rule decided, but the base chain's policy.
	Rule *rule.Rule
	// Verdict is in nft's words, such as "accept", "continue" or "jump web".
	Verdict string
}
