package lang

import (
	"slices"
	"testing"

	"github.com/knitnet/knit/netfilter/rule"
)

// A model is a ruleset to which commands are applied one after the other, without
// any of the checks that a real one makes. It is the Env of what is parsed next.
type model struct{ tables []*rule.Table }

func (m *model) Table(f rule.Family, name string) *rule.Table {
	for _, t := range m.tables {
		if t.Family == f && t.Name == name {
			return t
		}
	}
	return nil
}

func (m *model) InterfaceIndex(name string) (uint32, bool) { return 1, name == "lo" }

func (m *model) InterfaceName(i uint32) (string, bool) { return "lo", i == 1 }

// parse applies what a text says.
func (m *model) parse(t testing.TB, text, name string) {
	t.Helper()
	cmds, err := Parse(text, name, Options{Env: m})
	if err != nil {
		t.Fatalf("%v", err)
	}
	for i := range cmds {
		m.apply(t, &cmds[i])
	}
}

// can reports whether the model can apply a command.
func (m *model) can(c *Command) bool {
	if c.Verb != Add && c.Verb != Create || c.Kind != Table && m.Table(c.Family, c.Table) == nil {
		return false
	}
	return c.Kind != Rule || slices.ContainsFunc(m.Table(c.Family, c.Table).Chains, func(ch *rule.Chain) bool { return ch.Name == c.Name })
}

func (m *model) apply(t testing.TB, c *Command) {
	t.Helper()
	if c.Verb != Add && c.Verb != Create && c.Verb != Insert {
		t.Fatalf("the model has no %v", c.Verb)
	}
	tab := m.Table(c.Family, c.Table)
	if c.Kind == Table {
		if tab == nil {
			m.tables = append(m.tables, c.TableSpec)
		}
		return
	}
	if tab == nil {
		t.Fatalf("no table %v %s", c.Family, c.Table)
	}
	switch c.Kind {
	case Chain:
		tab.Chains = append(tab.Chains, c.ChainSpec)
	case Set, Map:
		tab.Sets = append(tab.Sets, c.SetSpec)
	case Object:
		tab.Objects = append(tab.Objects, c.ObjectSpec)
	case Flowtable:
		tab.Flowtables = append(tab.Flowtables, c.FlowtableSpec)
	case Element:
		for _, s := range tab.Sets {
			if s.Name == c.Name {
				s.Elems = append(s.Elems, c.Elems...)
			}
		}
	case Rule:
		i := slices.IndexFunc(tab.Chains, func(ch *rule.Chain) bool { return ch.Name == c.Name })
		if i < 0 {
			t.Fatalf("no chain %s", c.Name)
		}
		tab.Chains[i].Rules = append(tab.Chains[i].Rules, c.RuleSpec)
	}
}

// TestCorpusParses reads all that the real nft takes.
func TestCorpusParses(t *testing.T) {
	for _, name := range rulesets(t) {
		for _, suffix := range []string{".nft", ".list"} {
			t.Run(name+suffix, func(t *testing.T) { new(model).parse(t, readFile(t, name+suffix), name+suffix) })
		}
	}
}
