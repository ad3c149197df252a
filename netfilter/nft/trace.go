package nft

import (
	"fmt"
	"strings"

	"github.com/knitnet/knit/netfilter"
)

// runTraced is run for a packet that is traced (`meta nftrace set 1`): whoever
// monitors sees the rules that hold, and what they decide.
func (r *compiled) runTraced(ev *eval, c *chain) next {
	for _, s := range r.steps {
		switch n := s(ev); n {
		case goOn:
		case breakRule:
			return breakRule
		default:
			ev.tell(c, r, n)
			return n
		}
	}
	ev.tell(c, r, goOn)
	return breakRule
}

var verdictWords = [...]string{
	acceptNow: "accept", dropNow: "drop", returnNow: "return", jumpNow: "jump ", gotoNow: "goto ", stolenNow: "stolen",
	goOn: "continue",
}

// tell writes one line of a trace.
func (ev *eval) tell(c *chain, r *compiled, n next) {
	ev.report(c, r.spec, n)
	if !ev.trace || ev.m.hub.traces.Load() == 0 {
		return
	}
	verdict := ev.word(n)
	l := ev.m.listing(&netfilter.NFTRequest{})
	text := strings.TrimSpace(l.Rule(c.table.Family, r.spec))
	ev.m.hub.tell(true, fmt.Sprintf("trace id %08x %v %s %s rule %s (verdict %s)\n",
		ev.traceID(), c.table.Family, c.table.Name, c.name, text, verdict))
}

// traceID tells the packets of a trace apart.
func (ev *eval) traceID() uint32 { return jhash(fmt.Appendf(nil, "%p", ev.pkt), ev.m.hashSeed) }

// nextTraced is next for a packet that is traced: every rule is tried.
func (c *chain) nextTraced(ev *eval, at int) (next, int) {
	for i := at; i < len(c.rules); i++ {
		if r := c.rules[i].runTraced(ev, c); r != breakRule {
			return r, i + 1
		}
	}
	return returnNow, len(c.rules)
}
