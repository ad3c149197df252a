package control

import "strings"

// An IPExplanation says why packets go the way they do: `ip route explain`.
type IPExplanation struct {
	Steps []IPStep `json:"steps"` // in the order in which the rules were tried
	Way   *IPRoute `json:"way,omitempty"`
	// Error is why there is no way.
	Error string `json:"error,omitempty"`
}

// An IPStep is what became of one rule.
type IPStep struct {
	Rule IPRule `json:"rule"`
	Why  string `json:"why"`
	// Answered: the rule has decided.
	Answered bool `json:"answered,omitempty"`
	// Routes are those of the rule's table that lead to the destination, the longest
	// prefix first.
	Routes []IPCandidate `json:"routes,omitempty"`
}

// An IPCandidate is a route that was looked at, and what became of it.
type IPCandidate struct {
	Route IPRoute `json:"route"`
	Why   string  `json:"why"`
}

// explanation prints the rules with what became of them, below each the routes of its
// table, and at the end the way.
func (o *ipOut) explanation(e *IPExplanation) {
	if o.f.json {
		o.explanationJSON(e)
		return
	}
	for i := range e.Steps {
		s := &e.Steps[i]
		o.rule(&s.Rule)
		o.text("\n\t%s\n", s.Why)
		for j := range s.Routes {
			c := &s.Routes[j]
			sub := newIPOut(ipFormat{oneline: true})
			sub.route(&IPFilter{Table: "all"}, &c.Route)
			o.text("\t%s: %s\n", strings.TrimSpace(sub.String()), c.Why)
		}
	}
	if e.Way == nil {
		o.text("%s\n", e.Error)
		return
	}
	o.route(&IPFilter{Table: "all"}, e.Way)
	o.text("\n")
}

func (o *ipOut) explanationJSON(e *IPExplanation) {
	o.beginObject("")
	o.beginArray("steps")
	for i := range e.Steps {
		s := &e.Steps[i]
		o.beginObject("")
		o.beginObject("rule")
		o.rule(&s.Rule)
		o.endObject()
		o.val("why", "", s.Why)
		o.val("answered", "", s.Answered)
		o.beginArray("routes")
		for j := range s.Routes {
			o.beginObject("")
			o.route(&IPFilter{Table: "all"}, &s.Routes[j].Route)
			o.val("why", "", s.Routes[j].Why)
			o.endObject()
		}
		o.endArray()
		o.endObject()
	}
	o.endArray()
	if e.Way != nil {
		o.beginObject("way")
		o.route(&IPFilter{Table: "all"}, e.Way)
		o.endObject()
	} else {
		o.val("error", "", e.Error)
	}
	o.endObject()
}
