package nftcase

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// A Result is what happened at one line.
type Result struct {
	Position
	Case string `json:"case,omitempty"`
	Text string `json:"text"`
	Pass bool   `json:"pass"`
	// Problems say what was expected and what came, in one line each.
	Problems []string `json:"problems,omitempty"`
	// Got is what became of the packets.
	Got []string `json:"got,omitempty"`
	// Trace is the rules that held, in order.
	Trace []Event `json:"trace,omitempty"`
}

func (r *Result) problem(format string, args ...any) {
	r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
}

// done notes what became of a packet.
func (r *Result) done(o *outcome) {
	r.Got = append(r.Got, o.String())
	r.Trace = append(r.Trace, o.events...)
}

// A Rule is a rule of the ruleset and how often it held, in all cases together.
type Rule struct {
	At     *Position `json:"at,omitempty"`
	Family string    `json:"family"`
	Table  string    `json:"table"`
	Chain  string    `json:"chain"`
	Handle uint64    `json:"handle"`
	Text   string    `json:"rule"`
	Hits   uint64    `json:"hits"`
	// Never says why no packet can match the rule; empty if one perhaps can.
	Never string `json:"never,omitempty"`
}

func (r *Rule) where() string {
	s := fmt.Sprintf("%s %s %s", r.Family, r.Table, r.Chain)
	if r.At != nil {
		return r.At.String() + " " + s
	}
	return fmt.Sprintf("%s handle %d", s, r.Handle)
}

// A Report is what a run has found.
type Report struct {
	Results []Result `json:"results"`
	// Rules is the ruleset as it was loaded.
	Rules  []Rule `json:"rules"`
	Passed int    `json:"passed"`
	Failed int    `json:"failed"`

	cover *coverage
}

// OK reports whether nothing failed.
func (r *Report) OK() bool { return r.Failed == 0 }

func (r *Report) finish() {
	r.Rules = r.cover.rules
	if r.Results == nil { // in JSON a list, too
		r.Results = []Result{}
	}
	if r.Rules == nil {
		r.Rules = []Rule{}
	}
	for i := range r.Results {
		if r.Results[i].Pass {
			r.Passed++
		} else {
			r.Failed++
		}
	}
}

// WriteJSON writes the report as one document.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(r)
}

// WriteText writes the report for people: a line for each line of the table, what
// went wrong with the trace of the rules that held, the rules that were not reached,
// and a summary. With traces, those of lines that passed are written too.
func (r *Report) WriteText(w io.Writer, traces bool) error {
	p := &printer{w: w}
	for i := range r.Results {
		p.result(&r.Results[i], traces)
	}
	p.coverage(r.Rules)
	p.printf("\n%d passed, %d failed\n", r.Passed, r.Failed)
	return p.err
}

// A printer writes until there is an error.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}

func (p *printer) result(r *Result, traces bool) {
	word := "ok  "
	if !r.Pass {
		word = "FAIL"
	}
	p.printf("%s %v: %s\n", word, r.Position, r.Text)
	for _, s := range r.Problems {
		p.printf("\t%s\n", strings.ReplaceAll(s, "\n", "\n\t")) // nft's messages have lines
	}
	if r.Pass && !traces {
		return
	}
	for _, s := range r.Got {
		p.printf("\tgot: %s\n", s)
	}
	for i := range r.Trace {
		p.printf("\ttrace: %s\n", r.Trace[i].String())
	}
}

// coverage lists the rules that need a look.
func (p *printer) coverage(rules []Rule) {
	if len(rules) == 0 {
		return
	}
	reached := 0
	for i := range rules {
		if rules[i].Hits > 0 {
			reached++
		}
	}
	p.printf("\n%d of %d rules held for some packet\n", reached, len(rules))
	for i := range rules {
		if x := &rules[i]; x.Hits > 0 {
			p.printf("%8d  %s: %s\n", x.Hits, x.where(), x.Text)
		}
	}
	p.list("rules that these cases do not reach:", rules, func(x *Rule) bool { return x.Hits == 0 && x.Never == "" })
	p.list("rules that no packet can match:", rules, func(x *Rule) bool { return x.Never != "" })
}

func (p *printer) list(title string, rules []Rule, f func(*Rule) bool) {
	if !slices.ContainsFunc(rules, func(x Rule) bool { return f(&x) }) {
		return
	}
	p.printf("\n%s\n", title)
	for i := range rules {
		if x := &rules[i]; f(x) {
			p.printf("          %s: %s\n", x.where(), x.Text)
			if x.Never != "" {
				p.printf("             %s\n", x.Never)
			}
		}
	}
}
