package lang

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/knitnet/knit/netfilter/rule"
)

var (
	seed      = flag.Uint64("seed", 1, "of the generated rules")
	generated = flag.Int("generated", 100, "how many rules to generate for each family")
)

// A line is a rule of testdata/rules.txt: a family, and statements.
type line struct{ family, text string }

// TestLines holds each line of testdata/rules.txt to the real nft: taken or refused
// alike, with the same message, and listed the same, as text and as JSON.
func TestLines(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the real nft once for each of many rules")
	}
	for family, lines := range corpus(t) {
		t.Run(family, func(t *testing.T) { compareRules(t, family, lines) })
	}
}

// corpus returns the rules of testdata/rules.txt by family.
func corpus(t testing.TB) map[string][]line {
	byFamily := map[string][]line{}
	for s := range strings.Lines(readFile(t, "testdata/rules.txt")) {
		family, text, ok := strings.Cut(strings.TrimSpace(s), " ")
		if ok && family != "#" {
			byFamily[family] = append(byFamily[family], line{family, text})
		}
	}
	return byFamily
}

// TestGenerated holds rules to the real nft that are put together of those of
// testdata/rules.txt: many make no sense, and are refused in the same words.
func TestGenerated(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the real nft once for each of many rules")
	}
	byFamily := corpus(t)
	for _, family := range slices.Sorted(maps.Keys(byFamily)) {
		t.Run(family, func(t *testing.T) {
			random := rand.New(rand.NewPCG(uint64(len(family)), *seed))
			parts := slices.DeleteFunc(slices.Clone(byFamily[family]), unruly)
			lines := make([]line, *generated)
			for i := range lines {
				text := parts[random.IntN(len(parts))].text
				for range random.IntN(3) {
					text += " " + parts[random.IntN(len(parts))].text
				}
				lines[i] = line{family, text}
			}
			compareRules(t, family, lines)
		})
	}
}

// unruly reports whether a rule is left alone, because nft 1.0.6 goes wrong when others
// stand beside it: fields of ether behind others are moved about and listed as fields
// that were never meant, ah and comp in front of TCP abort nft, sets of families lose
// the names of fields, raw bytes swallow the ports behind them, flags behind
// the window become a number, types of ICMP in front of TCP get lost, behind a device without
// Ethernet one error becomes two, and a meter can be made once.
func unruly(l line) bool {
	return slices.ContainsFunc([]string{"vlan", "ether ", "comp cpi", "ah spi", "{ ipv4, ipv6 }", "meter ", "@th,", "loopback", "icmp type {", "icmp id", "icmpv6 type 143", "tcp window"},
		func(s string) bool { return strings.Contains(l.text, s) })
}

// compareRules compares what the real nft and this package make of rules.
func compareRules(t *testing.T, family string, lines []line) {
	got := linesOfNFT(t, family, lines)
	for i, l := range lines {
		if want := linesOfLang(t, i, l); got[i] != want {
			t.Errorf("%s\nnft:  %s\nlang: %s", l.text, got[i], want)
		}
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
