// Package netfilter holds the contracts of what sits on the hook points of the
// link and network layers: connections and their tuples, the tracker that knows
// them, helpers that expect further connections, and the ruleset that the tools
// change. It holds no rule and no protocol.
//
// The modules find each other by the symbols that are declared here: nf_conntrack
// exports a Tracker, nf_nat a Translator, nf_tables a Ruleset.
package netfilter

// Symbols under which the modules export what others need of them.
const (
	TrackerSymbol    = "nf_conntrack"
	TranslatorSymbol = "nf_nat"
	RulesetSymbol    = "nf_tables"
	FlowsSymbol      = "nf_flow_table"
)
