package server

import (
	"github.com/knitnet/knit/control"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/route"
)

// routeExplain tells which rules and routes were looked at for a packet, and why one
// of them was taken.
func (x *ipCall) routeExplain(f network.Flow) error {
	n := x.Kernel.Network
	e := control.IPExplanation{}
	for _, s := range n.ExplainFlow(f) {
		step := control.IPStep{Rule: ipRule(route.RuleInfo{Rule: s.Rule}, f.Dst.Is6()), Why: s.Why, Answered: s.Answered}
		for _, c := range s.Routes {
			step.Routes = append(step.Routes, control.IPCandidate{Route: x.ipRoute(c.Route, control.TableName(c.Route.Table)), Why: c.Why})
		}
		e.Steps = append(e.Steps, step)
	}
	p, err := x.way(f)
	if err == nil {
		way := x.answerRoute(p)
		e.Way = &way
	} else {
		e.Error = capital(errnoOf(err).Error())
	}
	return x.emit(control.IPReply{Explanation: &e})
}
