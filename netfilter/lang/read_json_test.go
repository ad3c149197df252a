package lang

import (
	"strings"
	"testing"
)

// TestReadJSON reads what nft lists as JSON, of the rulesets that it reads again
// itself without loss: what is listed then is what is listed of its text.
func TestReadJSON(t *testing.T) {
	for _, name := range []string{"meta", "payload"} {
		t.Run(name, func(t *testing.T) {
			m := new(model)
			name = "testdata/ruleset/" + name
			cmds, err := ParseJSON(readFile(t, name+".json"), name+".json", Options{Env: m})
			if err != nil {
				t.Fatal(err)
			}
			for i := range cmds {
				m.apply(t, &cmds[i])
			}
			compareLines(t, name, Listing{Env: m}.Ruleset(m.tables), readFile(t, name+".again"))
		})
	}
}

// TestReadJSONWrong holds messages to those of the real nft.
func TestReadJSONWrong(t *testing.T) {
	for src, want := range map[string]string{
		`[]`:                          "Error: Expected object",
		`{"x": 1}`:                    "Error: Object item not found: nftables",
		`{"nftables": 5}`:             `Error: Value of property "nftables" must be an array.`,
		`{"nftables": [{"foo": {}}]}`: "Error: Unknown object passed to add command.",
		`{"nftables": [{"chain": {"family": "ip", "table": "t", "name": "a; flush ruleset"}}]}`:   "Error: Invalid name 'a; flush ruleset'",
		`{"nftables": [{"chain": {"family": "ip", "table": "nope", "name": "c"}}]}`:               "Error: No such file or directory",
		`{"nftables": [` + strings.Repeat(`{"add":`, 500) + `0` + strings.Repeat("}", 500) + `]}`: "Error: Unknown object passed to add command.",
	} {
		if _, err := ParseJSON(src, "x", Options{}); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", src, err, want)
		}
	}
}

// jsonLines returns the rules of testdata/rules.txt of a family as documents, each with
// its table and chain.
func jsonLines(t testing.TB, family string) (docs []string) {
	head := `{"nftables": [{"table": {"family": "` + family + `", "name": "t"}}, ` +
		`{"chain": {"family": "` + family + `", "table": "t", "name": "c"}}, `
	for _, l := range corpus(t)[family] {
		m := new(model)
		m.parse(t, "add table "+family+" t\nadd chain "+family+" t c\n", "setup")
		cmds, err := Parse("add rule "+family+" t c "+l.text+"\n", "line", Options{Env: m})
		if err != nil {
			continue
		}
		chain := m.tables[0].Chains[0]
		docs = append(docs, head+Listing{Env: m}.RuleJSON(m.tables[0], chain, cmds[0].RuleSpec)+"]}")
	}
	return docs
}

// TestReadJSONLines lists each rule, reads that, and lists the same again: but for sets
// of one element, which nft makes that element when it reads them.
func TestReadJSONLines(t *testing.T) {
	for _, family := range []string{"ip", "ip6", "inet", "arp", "bridge"} {
		for _, doc := range jsonLines(t, family) {
			again := rereadJSON(t, doc)
			if third := rereadJSON(t, again); third != again || !strings.Contains(doc, `"set": [`) && again != doc {
				t.Errorf("%s\nis read as %s\nand then %s", doc, again, third)
			}
		}
	}
}

// rereadJSON reads a document with one rule and lists it.
func rereadJSON(t *testing.T, doc string) string {
	m := new(model)
	cmds, err := ParseJSON(doc, "doc", Options{Env: m})
	if err != nil {
		t.Fatalf("%s: %v", doc, err)
	}
	for i := range cmds {
		m.apply(t, &cmds[i])
	}
	chain := m.tables[0].Chains[0]
	head, _, _ := strings.Cut(doc, `{"rule"`)
	return head + Listing{Env: m}.RuleJSON(m.tables[0], chain, chain.Rules[0]) + "]}"
}

// FuzzParseJSON reads any text. What is read is listed, and read again the same.
func FuzzParseJSON(f *testing.F) {
	for _, doc := range jsonLines(f, "inet") {
		f.Add(doc)
	}
	f.Fuzz(func(t *testing.T, src string) {
		m := new(model)
		cmds, err := ParseJSON(src, "x", Options{Env: m})
		if err != nil {
			return
		}
		for i := range cmds {
			if !m.can(&cmds[i]) {
				return
			}
			m.apply(t, &cmds[i])
		}
		Listing{Env: m}.RulesetJSON(m.tables)
		Listing{Env: m}.Ruleset(m.tables)
	})
}
