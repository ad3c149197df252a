package nftcase

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/netfilter/lang"
	"github.com/knitnet/knit/netfilter/rule"
	"github.com/knitnet/knit/network/neigh"
)

type rulePtr = rule.Rule

// Options are how Run runs.
type Options struct {
	// Open returns the content of a capture that a table names. Nil: there is none.
	Open func(name string) ([]byte, error)
}

// A runner runs the lines of one case.
type runner struct {
	ctx     context.Context
	options Options
	kernel  *knit.Kernel
	tables  []*neigh.Table
	rules   netfilter.WatchedRuleset
	devices map[string]*link.Device
	places  map[*rule.Rule]Position
	flows   map[string]*flow

	cover *coverage
	held  map[*rule.Rule]uint64 // in this case

	// What the packet that is under way has met.
	injected []byte
	events   []Event
	seen     []seen
}

// An Event is a rule that held for a packet, or a policy that decided.
type Event struct {
	Hook    string    `json:"hook"`
	Family  string    `json:"family"`
	Table   string    `json:"table"`
	Chain   string    `json:"chain"`
	Rule    string    `json:"rule,omitempty"` // empty: the policy
	Handle  uint64    `json:"handle,omitempty"`
	Comment string    `json:"-"`
	At      *Position `json:"at,omitempty"`
	Verdict string    `json:"verdict"`
	// Answer: it was not the packet itself but what the kernel answered.
	Answer bool `json:"answer,omitempty"`
}

// String returns the event as a line of a trace.
func (e *Event) String() string {
	var b strings.Builder
	if e.Answer {
		b.WriteString("(answer) ")
	}
	fmt.Fprintf(&b, "%s %s %s", e.Family, e.Table, e.Chain)
	if e.Rule == "" {
		fmt.Fprintf(&b, " policy (verdict %s)", e.Verdict)
		return b.String()
	}
	fmt.Fprintf(&b, " rule %s (verdict %s)", e.Rule, e.Verdict)
	if e.At != nil {
		fmt.Fprintf(&b, " at %v", *e.At)
	}
	return b.String()
}

// Run runs all cases of a table, each on a kernel of its own with the same rules.
// The error is what is wrong with the rules (*RulesError) or the table (*Error), or
// that of ctx; a case that fails is none.
func Run(ctx context.Context, rules *netfilter.NFTRequest, t *Table, o Options) (*Report, error) {
	rep := &Report{cover: &coverage{}}
	for _, c := range t.Cases {
		if err := runCase(ctx, rules, t, c, o, rep); err != nil {
			return nil, err
		}
	}
	if len(t.Cases) == 0 {
		if err := runCase(ctx, rules, t, &Case{}, o, rep); err != nil {
			return nil, err
		}
	}
	rep.finish()
	return rep, nil
}

func runCase(ctx context.Context, rules *netfilter.NFTRequest, t *Table, c *Case, o Options, rep *Report) (err error) {
	r := newRunner(ctx, o, rep.cover)
	defer func() {
		if e := r.close(); err == nil {
			err = e
		}
	}()
	if err := r.start(t, rules); err != nil {
		return err
	}
	rep.cover.learn(r)
	for _, l := range c.Lines {
		if err := ctx.Err(); err != nil {
			return err
		}
		res := r.line(l)
		res.Case = c.Title
		rep.Results = append(rep.Results, res)
	}
	return nil
}

func newRunner(ctx context.Context, o Options, c *coverage) *runner {
	return &runner{
		ctx: ctx, options: o, cover: c, devices: map[string]*link.Device{}, places: map[*rule.Rule]Position{},
		flows: map[string]*flow{}, held: map[*rule.Rule]uint64{},
	}
}

// line runs a line and fills in what belongs to every result.
func (r *runner) line(l *Line) Result {
	r.events = nil
	res := l.step.run(r, l)
	res.Position, res.Text = l.Position, l.Text
	res.Pass = len(res.Problems) == 0
	return res
}

// event is told of each rule that holds.
func (r *runner) event(e netfilter.RuleEvent) {
	x := Event{
		Hook: e.Hook.String(), Family: e.Table.Family.String(), Table: e.Table.Name, Chain: e.Chain, Verdict: e.Verdict,
	}
	n := e.Packet.Len()
	b := make([]byte, n)
	e.Packet.CopyOut(0, b)
	x.Answer = answers(b) != "" && answers(r.injected) == ""
	if e.Rule != nil {
		r.held[e.Rule]++
		r.cover.hit(e.Rule)
		x.Rule, x.Handle, x.Comment = r.ruleText(e.Table, e.Rule), e.Rule.Handle, e.Rule.Comment
		if p, ok := r.places[e.Rule]; ok {
			x.At = &p
		}
	}
	r.events = append(r.events, x)
}

func (r *runner) ruleText(t *rule.Table, x *rule.Rule) string {
	l := lang.Listing{Stateless: true, Env: names{r}}
	return strings.TrimSpace(l.Rule(t.Family, x))
}

// names knows the kernel's devices, for listings.
type names struct{ r *runner }

func (names) Table(rule.Family, string) *rule.Table { return nil }

func (n names) InterfaceIndex(name string) (uint32, bool) {
	if d := n.r.devices[name]; d != nil {
		return uint32(d.Index()), true
	}
	return 0, false
}

func (n names) InterfaceName(index uint32) (string, bool) {
	for name, d := range n.r.devices {
		if uint32(d.Index()) == index {
			return name, true
		}
	}
	return "", false
}

func (s *wait) run(r *runner, _ *Line) (res Result) {
	r.kernel.Clock.Advance(s.d)
	return res
}

func (s *command) run(r *runner, _ *Line) (res Result) {
	if err := r.nft(s.text); err != nil {
		res.problem("%v", err)
	}
	return res
}

// elapsed is how long the case has run, in its own time.
func (r *runner) elapsed() time.Duration { return time.Duration(r.kernel.Clock.Now()) }
