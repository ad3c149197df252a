package lang

import (
	"fmt"
	"syscall"

	"github.com/knitnet/knit/netfilter/rule"
)

// A guess finds the name that was meant by one that is not there.
type guess struct {
	name string
	best int
	text string
}

// try weighs a name; text is what the message calls it. Of equals the first counts.
func (g *guess) try(name, format string, args ...any) {
	d := distance(g.name, name)
	if d <= tolerance(g.name, name) && (g.text == "" || d < g.best) {
		g.best, g.text = d, fmt.Sprintf(format, args...)
	}
}

// tolerance is how far apart two names may be that are taken for each other: a third of
// their letters, none of a single letter.
func tolerance(a, b string) int {
	long, short := max(len(a), len(b)), min(len(a), len(b))
	switch {
	case long <= 1:
		return -1
	case long-short <= 1:
		return (long + 2) / 3
	}
	return (long + 4) / 3
}

// distance is how many letters must be added, removed, replaced or exchanged with their
// neighbours to make one name the other.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	var before, last, row [65]int
	for j := range len(b) + 1 {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}

// Missing returns the error nft prints if what a command names at a place is not there,
// with the name that may have been meant; tables are all that are there. It is nil if
// nothing is like it.
func Missing(tables []*rule.Table, c *Command, at Span) *Error {
	var text string
	switch at {
	case c.TableAt:
		text = guessTable(tables, c)
	case c.NameAt:
		text = guessName(tables, c)
	}
	if text == "" {
		return nil
	}
	return &Error{At: at, Msg: "No such file or directory; did you mean " + text + "?"}
}

// guessTable looks for a table whose name is like that of the command, or else for one
// that has a chain like the command's.
func guessTable(tables []*rule.Table, c *Command) string {
	g := guess{name: c.Table}
	for _, t := range tables {
		g.try(t.Name, "table ‘%s’ in family %s", t.Name, t.Family)
	}
	if g.text != "" || c.Name == "" || c.Kind != Chain && c.Kind != Rule || c.Verb <= Create && c.Kind == Chain {
		return g.text
	}
	g = guess{name: c.Name}
	for _, t := range tables {
		for _, ch := range t.Chains {
			g.try(ch.Name, "table ‘%s’ in family %s", t.Name, t.Family)
			if ch.Name == c.Name {
				return fmt.Sprintf("table ‘%s’ in family %s", t.Name, t.Family)
			}
		}
	}
	return g.text
}

func guessName(tables []*rule.Table, c *Command) string {
	g := guess{name: c.Name}
	for _, t := range tables {
		switch c.Kind {
		case Chain, Rule:
			for _, ch := range t.Chains {
				g.try(ch.Name, "chain ‘%s’ in table %s ‘%s’", ch.Name, t.Family, t.Name)
			}
		case Set, Map, Meter, Element:
			g.sets(t)
		case Object:
			for _, o := range t.Objects {
				g.try(o.Name, "obj ‘%s’ in table %s ‘%s’", o.Name, t.Family, t.Name)
			}
		}
	}
	return g.text
}

func (g *guess) sets(t *rule.Table) {
	for _, s := range t.Sets {
		kind := "set"
		if s.Map() {
			kind = "map"
		}
		g.try(s.Name, "%s ‘%s’ in table %s ‘%s’", kind, s.Name, t.Family, t.Name)
	}
}

// tables returns all tables, as far as the Env can tell.
func (ev *evaluator) allTables() (out []*rule.Table) {
	if e, ok := ev.src.opts.Env.(interface{ Tables() []*rule.Table }); ok {
		for _, t := range e.Tables() {
			if _, changed := ev.tables[tableKey{t.Family, t.Name}]; !changed {
				out = append(out, t)
			}
		}
	}
	for _, t := range ev.tables {
		if t != nil {
			out = append(out, t)
		}
	}
	return out
}

// absent reports that what a command names at a place is not there.
func (ev *evaluator) absent(c *command, at Span) error {
	if e := Missing(ev.allTables(), &c.Command, at); e != nil {
		return e
	}
	return ev.missing(at)
}

// absentChain reports that there is no chain of a name to go to, which Linux finds out.
func (ev *evaluator) absentChain(name string, at Span) error {
	c := &Command{Kind: Chain, Name: name, NameAt: at}
	if e := Missing(ev.allTables(), c, at); e != nil {
		return e
	}
	return Store(at, syscall.ENOENT)
}

// absentSet reports that there is no set of a name.
func (ev *evaluator) absentSet(name string, at Span) error {
	return ev.absent(&command{Command: Command{Kind: Set, Name: name, NameAt: at}}, at)
}
