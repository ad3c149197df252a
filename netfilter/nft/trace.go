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
	ev.tellPacket(c)
	text := strings.TrimSpace(ev.m.listing(&netfilter.NFTRequest{}).Rule(c.table.Family, r.spec))
	ev.tellLine(c, fmt.Sprintf("rule %s (verdict %s)", text, ev.word(n)))
}

// tellPolicy writes the line of a packet that came to the end of a base chain.
func (ev *eval) tellPolicy(c *chain, n next) {
	if !ev.trace || ev.m.hub.traces.Load() == 0 {
		return
	}
	ev.tellPacket(c)
	mark := ""
	if ev.pkt.Mark != 0 {
		mark = fmt.Sprintf("meta mark 0x%08x ", ev.pkt.Mark)
	}
	ev.tellLine(c, fmt.Sprintf("policy %s %s", ev.word(n), mark))
}

// tellPacket writes what the packet is, once for each base chain.
func (ev *eval) tellPacket(c *chain) {
	if !ev.told {
		ev.told = true
		ev.tellLine(c, "packet: "+ev.portrait(c.table.Family))
	}
}

func (ev *eval) tellLine(c *chain, text string) {
	ev.m.hub.tell(fmt.Sprintf("trace id %08x %v %s %s %s\n", ev.traceID(), c.table.Family, c.table.Name, c.name, text))
}

// traceID tells the packets of a trace apart.
func (ev *eval) traceID() uint32 { return jhash(fmt.Appendf(nil, "%p", ev.pkt), ev.m.hashSeed) }

// traceOn goes on behind a rule that has switched the trace on and decided r.
func (c *chain) traceOn(ev *eval, i int, r next) (next, int) {
	if r != breakRule {
		ev.tell(c, &c.rules[i], r)
	}
	if r > breakRule {
		return r, i + 1
	}
	return c.nextTraced(ev, i+1)
}

// nextTraced is next for a packet that is traced: every rule is tried.
func (c *chain) nextTraced(ev *eval, at int) (next, int) {
	for i := at; i < len(c.rules); i++ {
		if r := c.rules[i].runTraced(ev, c); r != breakRule {
			return r, i + 1
		}
	}
	return returnNow, len(c.rules)
}
