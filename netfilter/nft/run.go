package nft

// maxDepth is how many chains may wait for the return of others (NFT_JUMP_STACK_SIZE);
// rulesets that would go deeper are refused when they are loaded.
const maxDepth = 16

// A frame is where a chain that jumped goes on.
type frame struct {
	chain *chain
	at    int
}

// run judges a packet by a base chain: acceptNow, dropNow or stolenNow.
func (ev *eval) run(base *chain) next {
	var stack [maxDepth]frame
	depth := 0
	ch, at := base, 0
	for {
		r, after := ch.next(ev, at)
		switch r {
		case jumpNow:
			if depth < maxDepth {
				stack[depth] = frame{ch, after}
				depth++
			}
			ch, at = ev.chain, 0
		case gotoNow:
			ch, at = ev.chain, 0
		case returnNow:
			if depth == 0 {
				return ev.end(base)
			}
			depth--
			ch, at = stack[depth].chain, stack[depth].at
		default:
			return r
		}
	}
}

func (c *chain) policy() next {
	if c.drop {
		return dropNow
	}
	return acceptNow
}

// next runs rules from index at on until one decides, and returns the decision and
// the index of the rule behind. The end of the chain is a return.
func (c *chain) next(ev *eval, at int) (next, int) {
	if ev.trace || ev.watch != nil {
		return c.nextTraced(ev, at)
	}
	if c.parts != nil {
		return c.nextArranged(ev, at)
	}
	for i := at; i < len(c.rules); i++ {
		r := c.rules[i].run(ev)
		if ev.trace {
			return c.traceOn(ev, i, r)
		}
		if r > breakRule {
			return r, i + 1
		}
	}
	return returnNow, len(c.rules)
}

// run performs the statements of a rule. It returns breakRule or, if all held, goOn
// when the next rule is due.
func (r *compiled) run(ev *eval) next {
	for _, s := range r.steps {
		switch n := s(ev); n {
		case goOn:
		case breakRule:
			return breakRule
		default:
			return n
		}
	}
	return goOn
}
