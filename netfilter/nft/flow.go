package nft

import "github.com/knitnet/knit/netfilter/rule"

// flowOffload compiles `flow add @ft`: the connection's packets skip the rules from
// now on.
func (c *compiler) flowOffload(x *rule.FlowOffload) (step, error) {
	c.need.ct, c.need.flow = true, true
	name := x.Flowtable
	return func(ev *eval) next {
		ev.track()
		if f := ev.gen.flows; f != nil && ev.ct != nil {
			f.Add(name, ev.pkt, ev.ct)
		}
		return goOn
	}, nil
}
