package lang

import (
	"fmt"
	"strings"
	"testing"

	"github.com/knitnet/knit/netfilter/rule"
)

// A line is a rule of testdata/rules.txt: a family, and statements.
type line struct{ family, text string }

// TestLines holds each line of testdata/rules.txt to the real nft: taken or refused
// alike, with the same message, and listed the same, as text and as JSON.
func TestLines(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the real nft once for each of many rules")
	}
	byFamily := map[string][]line{}
	for s := range strings.Lines(readFile(t, "testdata/rules.txt")) {
		family, text, ok := strings.Cut(strings.TrimSpace(s), " ")
		if ok && family != "#" {
			byFamily[family] = append(byFamily[family], line{family, text})
		}
	}
	for family, lines := range byFamily {
		t.Run(family, func(t *testing.T) {
			got := linesOfNFT(t, family, lines)
			for i, l := range lines {
				if want := linesOfLang(t, i, l); got[i] != want {
					t.Errorf("%s\nnft:  %s\nlang: %s", l.text, got[i], want)
				}
			}
		})
	}
}

// setup is what the rules of a family use, with a chain for each of n rules.
func setup(t *testing.T, family string, n int) string {
	s := strings.ReplaceAll(readFile(t, "testdata/setup.nft"), "FAMILY", family)
	if family == "bridge" || family == "arp" {
		s = "table " + family + " t {\n\tchain other { }\n}\n"
	}
	for i := range n {
		s += fmt.Sprintf("add chain %s t %s\n", family, chainOf(i))
	}
	return s
}

func chainOf(i int) string { return fmt.Sprintf("c%04d", i) }

const separator = "-----\n"

// linesOfNFT returns what the real nft makes of each rule: messages, or listings.
func linesOfNFT(t *testing.T, family string, lines []line) []string {
	var script strings.Builder
	script.WriteString("nft -f - <<'EOF'\n" + setup(t, family, len(lines)) + "EOF\n")
	for i, l := range lines {
		script.WriteString("nft -f - 2>&1 <<'EOF'\n" + lineCommand(i, l) + "EOF\necho '" + separator[:5] + "'\n")
	}
	script.WriteString("nft list ruleset; echo '" + separator[:5] + "'; nft -j list ruleset\n")
	out, stderr := realNFT(t, "sh -s", script.String())
	parts := strings.Split(out, separator)
	if len(parts) != len(lines)+2 {
		t.Fatalf("%d answers for %d rules: %s", len(parts)-2, len(lines), stderr)
	}
	text, json := parts[len(lines)], handle.ReplaceAllString(parts[len(lines)+1], `"handle": 0`)
	for i := range lines {
		if parts[i] == "" {
			parts[i] = chainText(text, i) + chainJSON(json, i)
		}
	}
	return parts[:len(lines)]
}

func lineCommand(i int, l line) string {
	return "add rule " + l.family + " t " + chainOf(i) + " " + l.text + "\n"
}

// chainText cuts the i-th chain out of a listing.
func chainText(listing string, i int) string {
	_, s, _ := strings.Cut(listing, "\tchain "+chainOf(i)+" {\n")
	s, _, _ = strings.Cut(s, "\t}\n")
	return s
}

// chainJSON cuts the rules of the i-th chain out of a JSON listing.
func chainJSON(listing string, i int) string {
	_, s, _ := strings.Cut(listing, `"chain": "`+chainOf(i)+`", "handle": 0, `)
	s, _, _ = strings.Cut(s, `, {"rule": {`)
	return strings.TrimSuffix(strings.TrimSpace(s), "]}") + "\n"
}

// linesOfLang returns what this package makes of a rule.
func linesOfLang(t *testing.T, i int, l line) string {
	m := new(model)
	m.parse(t, setup(t, l.family, 0)+"add chain "+l.family+" t "+chainOf(i)+"\n", "setup")
	cmds, err := Parse(lineCommand(i, l), "/dev/stdin", Options{Env: m})
	if err != nil {
		return err.Error() + "\n"
	}
	m.apply(t, &cmds[0])
	listing := Listing{Env: m}
	return chainText(listing.Ruleset(m.tables), i) + chainJSON(handle.ReplaceAllString(listing.RulesetJSON([]*rule.Table{m.tables[0]}), `"handle": 0`), i)
}
