package lang

import (
	"errors"
	"testing"
)

// FuzzParse: whatever is read ends without a panic, errors have a place that can be
// written, and what was understood can be listed and is understood again.
func FuzzParse(f *testing.F) {
	// Small seeds: a whole ruleset takes so long that little is tried.
	for family, lines := range corpus(f) {
		for _, l := range lines {
			f.Add("table " + family + " t {\n\tchain c {\n\t\t" + l.text + "\n\t}\n}\n")
		}
	}
	inputs, _ := wrongCases(f)
	for _, in := range inputs {
		f.Add(in)
	}
	f.Fuzz(func(t *testing.T, src string) {
		if len(src) > 1<<14 {
			return
		}
		cmds, err := Parse(src, "fuzz", Options{Env: new(model)})
		if err != nil {
			var list Errors
			if !errors.As(err, &list) || list.Error() == "" {
				t.Fatalf("a strange error: %#v", err)
			}
			return
		}
		m := new(model)
		for i := range cmds {
			if !m.can(&cmds[i]) {
				return
			}
			m.apply(t, &cmds[i])
		}
		Listing{Env: m}.RulesetJSON(m.tables)
		first := Listing{Env: m}.Ruleset(m.tables)
		if _, err := Parse(first, "listing", Options{Env: new(model)}); err != nil {
			t.Logf("%q is listed as\n%s\nwhich is not understood: %v", src, first, err)
		}
	})
}
