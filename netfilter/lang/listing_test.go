package lang

import (
	"strings"
	"testing"
)

// TestListing compares the listing of each ruleset with the real one.
func TestListing(t *testing.T) {
	for _, name := range rulesets(t) {
		t.Run(name, func(t *testing.T) {
			m := new(model)
			m.parse(t, readFile(t, name+".nft"), name+".nft")
			compareLines(t, name+".list", Listing{Env: m}.Ruleset(m.tables), readFile(t, name+".list"))
		})
	}
}

// TestListingJSON compares `-j` with the real one.
func TestListingJSON(t *testing.T) {
	lines := strings.NewReplacer(`, {"rule"`, "\n"+`{"rule"`, `, {"set": {"f`, "\n"+`{"set": {"f`, `, {"map": {"f`, "\n"+`{"map": {"f`,
		`, {"chain"`, "\n"+`{"chain"`, `, {"counter": {"f`, "\n"+`{"counter": {"f`)
	for _, name := range rulesets(t) {
		t.Run(name, func(t *testing.T) {
			m := new(model)
			m.parse(t, readFile(t, name+".nft"), name+".nft")
			compareLines(t, name+".json", lines.Replace(Listing{Env: m}.RulesetJSON(m.tables)), lines.Replace(readFile(t, name+".json")))
		})
	}
}

// TestListingAgain lists what was listed, which is nearly the same: nft makes sets of
// one interval that interval. The third time it is the same.
func TestListingAgain(t *testing.T) {
	for _, name := range rulesets(t) {
		t.Run(name, func(t *testing.T) {
			again := readFile(t, name+".again")
			for _, suffix := range []string{".list", ".again"} {
				m := new(model)
				m.parse(t, readFile(t, name+suffix), name+suffix)
				compareLines(t, name+suffix, Listing{Env: m}.Ruleset(m.tables), again)
			}
		})
	}
}

// TestListingOptions compares listings with options with the real ones.
func TestListingOptions(t *testing.T) {
	for suffix, l := range map[string]Listing{
		".numeric": {Numeric: true}, ".stateless": {Stateless: true}, ".services": {Services: true}, ".terse": {Terse: true},
	} {
		for _, name := range rulesets(t) {
			t.Run(name+suffix, func(t *testing.T) {
				m := new(model)
				m.parse(t, readFile(t, name+".nft"), name+".nft")
				l.Env = m
				compareLines(t, name+suffix, l.Ruleset(m.tables), readFile(t, name+suffix))
			})
		}
	}
}
