package nftcase

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// An outcome is what became of a packet.
type outcome struct {
	verdict string
	out     []seen // the packet where it came out, perhaps several times
	answer  string // what its sender was told
	reason  string // why the kernel dropped it, if no rule did
	input   []byte // the packet as it was sent
	events  []Event
}

// watch sends a packet by calling send, and returns what became of it.
func (r *runner) watch(b []byte, send func()) *outcome {
	r.injected, r.seen = b, nil
	from := len(r.events)
	before := map[string]uint64{}
	for _, d := range r.kernel.Pool.Drops.List() {
		before[d.Reason] = d.Count
	}
	send()
	o := &outcome{input: b, events: r.events[from:]}
	for _, s := range r.seen {
		if what := answers(s.b); what != "" && answers(b) == "" {
			o.answer = what
			continue
		}
		o.out = append(o.out, s)
	}
	switch {
	case len(o.out) > 0 && !o.refused():
		o.verdict = accept
	case o.answer != "":
		o.verdict = reject
	default:
		o.verdict = drop
	}
	for _, d := range r.kernel.Pool.Drops.List() {
		if d.Count > before[d.Reason] && o.verdict != accept {
			o.reason = strings.ToLower(strings.TrimPrefix(d.Reason, "SKB_DROP_REASON_"))
		}
	}
	return o
}

// refused reports whether a rule has dropped the packet: what came out is a copy that
// another rule has sent (`dup`).
func (o *outcome) refused() bool {
	return slices.ContainsFunc(o.events, func(e Event) bool { return !e.Answer && e.Verdict == drop })
}

// decided are the events of rules and policies that ended the packet's way through a
// base chain with the verdict that it got in the end.
func (o *outcome) decided() (out []*Event) {
	want := drop
	if o.verdict == accept {
		want = accept
	}
	for i := range o.events {
		if e := &o.events[i]; !e.Answer && (e.Verdict == want || e.Verdict == "stolen") {
			out = append(out, e)
		}
	}
	return out
}

// String returns the outcome in the words of a table.
func (o *outcome) String() string {
	var b strings.Builder
	b.WriteString(o.verdict)
	if o.verdict == accept {
		for i, s := range o.out {
			if i > 0 {
				b.WriteString(" and")
			}
			fmt.Fprintf(&b, " to %v as %s", s.at, s.describe())
		}
		return b.String()
	}
	if o.answer != "" {
		b.WriteString(" with " + o.answer)
	}
	d := o.decided()
	switch {
	case len(d) > 0 && d[len(d)-1].Rule == "":
		b.WriteString(" by policy of chain " + d[len(d)-1].Chain)
	case len(d) > 0:
		b.WriteString(" by " + d[len(d)-1].name())
	case o.reason != "":
		b.WriteString(" by the kernel: " + o.reason)
	}
	return b.String()
}

// name is a rule's place, or its handle if it has none.
func (e *Event) name() string {
	if e.At != nil {
		return fmt.Sprintf("%v (%s)", *e.At, e.Rule)
	}
	return fmt.Sprintf("%s %s %s handle %d (%s)", e.Family, e.Table, e.Chain, e.Handle, e.Rule)
}

// means reports whether r means the rule of an event.
func (r ruleRef) means(e *Event) bool {
	switch r.kind {
	case "handle":
		return e.Rule != "" && strconv.FormatUint(e.Handle, 10) == r.value
	case "comment":
		return e.Rule != "" && e.Comment == r.value
	case "line":
		return e.At != nil && strconv.Itoa(e.At.Line) == r.value
	}
	return e.Chain == r.value
}

// check compares an outcome with what was expected.
func (x *expect) check(o *outcome, res *Result) {
	if o.verdict != x.verdict {
		res.problem("want %s, got %v", x.verdict, o)
		return
	}
	if x.with != "" && x.with != o.answer {
		res.problem("want an answer with %s, got %v", x.with, o)
	}
	x.checkRules(o, res)
	if o.verdict == accept {
		x.checkOut(o, res)
	}
}

func (x *expect) checkRules(o *outcome, res *Result) {
	d := o.decided()
	if o.verdict != accept && len(d) > 0 {
		d = d[len(d)-1:]
	}
	some := func(list []*Event, f func(*Event) bool) bool {
		for _, e := range list {
			if f(e) {
				return true
			}
		}
		return false
	}
	if x.policy && !some(d, func(e *Event) bool { return e.Rule == "" }) {
		res.problem("want the policy to decide, got %v", o)
	}
	for _, by := range x.by {
		if !some(d, by.means) {
			res.problem("want the verdict by %v, got %v", by, o)
		}
	}
	var all []*Event
	for i := range o.events {
		all = append(all, &o.events[i])
	}
	for _, hit := range x.hit {
		if !some(all, hit.means) {
			res.problem("want a rule with %v to hold, none did", hit)
		}
	}
}

// checkOut compares where a packet came out, and as what.
func (x *expect) checkOut(o *outcome, res *Result) {
	s := &o.out[0]
	if x.to != nil {
		found := false
		for i := range o.out {
			if o.out[i].at == *x.to {
				s, found = &o.out[i], true
			}
		}
		if !found {
			res.problem("want it to %v, got %v", *x.to, o)
			return
		}
	}
	src, dst := ends(s.b)
	if n := x.snat; n != nil && !n.fits(src.Addr(), src.Port()) {
		res.problem("want the source to become %v, got %v", n, src)
	}
	if n := x.dnat; n != nil && !n.fits(dst.Addr(), dst.Port()) {
		res.problem("want the destination to become %v, got %v", n, dst)
	}
	if from, to := ends(o.input); x.untouched && (from != src || to != dst) {
		res.problem("want it untouched, got %s", s.describe())
	}
	if x.mark != nil && *x.mark != s.mark {
		res.problem("want mark %#x, got %#x", *x.mark, s.mark)
	}
	if x.as != nil {
		x.checkFields(s, res)
		x.checkOptions(s, res)
	}
}

func (x *expect) checkFields(s *seen, res *Result) {
	for _, f := range x.as.fields {
		got := s.field(f.field)
		switch {
		case got == nil:
			res.problem("want %s %s %s, but the packet has none", f.field.Header, f.field.Name, text(f.field, f.value))
		case !bytes.Equal(got, f.value):
			res.problem("want %s %s %s, got %s", f.field.Header, f.field.Name, text(f.field, f.value), text(f.field, got))
		}
	}
}

// checkOptions compares TCP options, in the bits that were said, and the payload.
func (x *expect) checkOptions(s *seen, res *Result) {
	for at := 0; at < len(x.as.options); {
		kind, n := x.as.options[at], 1
		if kind > 1 {
			n = int(x.as.options[at+1])
		}
		want, said := x.as.options[at:at+n], x.as.said[at:at+n]
		at += n
		switch got := s.option(kind); {
		case got == nil:
			res.problem("want TCP option %d, but the packet has none", kind)
		case !sameBits(got, want, said):
			res.problem("want TCP option %x, got %x", want, got)
		}
	}
	if p := x.as.payload; p != nil && !bytes.Equal(p, s.payload()) {
		res.problem("want payload %x, got %x", p, s.payload())
	}
}

func sameBits(a, b, mask []byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if (a[i]^b[i])&mask[i] != 0 {
			return false
		}
	}
	return true
}

func (s *single) run(r *runner, _ *Line) (res Result) {
	o, err := r.inject(s.from, s.packet)
	if err != nil {
		res.problem("%v", err)
		return res
	}
	s.want.check(o, &res)
	res.done(o)
	return res
}
