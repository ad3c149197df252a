package knit_test

import (
	"bytes"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/control"
	"github.com/knitnet/knit/control/server"
	"github.com/knitnet/knit/std"
)

const commandsPage = "docs/commands.md"

// notVerbs are the commands of the tool that are not in the table of verbs.
var notVerbs = []string{"run", "up", "version"}

// TestDocsCommandsComplete: the page has a section for every command, and none for
// others.
func TestDocsCommandsComplete(t *testing.T) {
	text, err := os.ReadFile(commandsPage)
	if err != nil {
		t.Fatal(err)
	}
	want := slices.Clone(notVerbs)
	for _, v := range control.Verbs() {
		want = append(want, v.About().Name)
	}
	var got []string
	for _, m := range regexp.MustCompile(`(?m)^## ([a-z]+)$`).FindAllSubmatch(text, -1) {
		got = append(got, string(m[1]))
	}
	for _, name := range want {
		if !slices.Contains(got, name) {
			t.Errorf("%s has no section %q", commandsPage, name)
		}
	}
	for _, name := range got {
		if !slices.Contains(want, name) {
			t.Errorf("%s has a section %q, which is no command", commandsPage, name)
		}
	}
}

var (
	consoles = regexp.MustCompile("(?ms)^```console\n(.*?)^```$")
	rulesets = regexp.MustCompile("(?ms)^```nft\n(.*?)^```$")
	shells   = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")
	mac      = regexp.MustCompile(`\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b`)
	duration = regexp.MustCompile(`(?:\d+\.){3}\d+|\b\d+\.\d+(?: ms\b|/)`)
	total    = regexp.MustCompile(`\btime \d+ms\b`)
	nodeID   = regexp.MustCompile(`fe80::[0-9a-f:]+`)
)

// TestDocsCommands types what a page types into one kernel, in order, and compares what
// it prints.
func TestDocsCommands(t *testing.T) {
	for _, page := range []string{commandsPage, "docs/vrf.md"} {
		t.Run(page, func(t *testing.T) { typePage(t, page) })
	}
}

func typePage(t *testing.T, page string) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	k, err := knit.New(knit.Config{Modules: std.Modules()})
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	s := server.New(k, server.Config{})
	fresh := consoles.ReplaceAllFunc(text, func(block []byte) []byte {
		shown := string(consoles.FindSubmatch(block)[1])
		var got strings.Builder
		for line := range strings.Lines(shown) {
			if typed, ok := strings.CutPrefix(line, "$ knit "); ok {
				got.WriteString(line)
				got.WriteString(typeCommand(t, s, typed))
			}
		}
		if got.String() != shown && !*updateDocs {
			t.Errorf("%s shows\n%sthe commands print\n%s\nif that is meant, go test -run Docs -update-docs . writes it", page, shown, got.String())
		}
		return []byte("```console\n" + got.String() + "```")
	})
	if *updateDocs && !bytes.Equal(fresh, text) {
		if err := os.WriteFile(page, fresh, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// typeCommand runs a command line and returns what a terminal would show, without
// what differs from run to run.
func typeCommand(t *testing.T, s *server.Server, line string) string {
	t.Helper()
	words := splitLine(t, line)
	var out bytes.Buffer
	control.Run(t.Context(), s, &control.Console{Stdout: &out, Stderr: &out}, words...)
	shown := uptime.ReplaceAllString(out.String(), "[    0.000000]")
	shown = duration.ReplaceAllStringFunc(shown, func(m string) string {
		if strings.Count(m, ".") == 3 {
			return m // an address
		}
		return "0.042" + strings.TrimLeft(m, "0123456789.")
	})
	shown = total.ReplaceAllString(shown, "time 0ms")
	shown = mac.ReplaceAllStringFunc(shown, func(m string) string {
		if strings.Trim(m, "f:") == "" {
			return m // broadcast
		}
		return "02:00:00:00:00:01"
	})
	return nodeID.ReplaceAllString(shown, "fe80::1")
}

func splitLine(t *testing.T, line string) (words []string) {
	t.Helper()
	commands, err := control.ParseScript(commandsPage, line)
	if err != nil || len(commands) != 1 {
		t.Fatalf("%q: %v", line, err)
	}
	for _, w := range commands[0] {
		words = append(words, w.Text)
	}
	return words
}

// TestDocsShell: what pages tell to type, and is not run, is at least understood.
func TestDocsShell(t *testing.T) {
	n := 0
	anyFile := func(string) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("")), nil }
	console := &control.Console{Open: anyFile}
	for _, page := range docPages(t) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range shells.FindAllSubmatch(text, -1) {
			for line := range strings.Lines(string(block[1])) {
				typed, ok := strings.CutPrefix(line, "knit ")
				if !ok {
					continue
				}
				words := splitLine(t, typed)
				if slices.Contains(notVerbs, words[0]) {
					continue
				}
				n++
				if _, err := control.Prepare(console, words); err != nil {
					t.Errorf("%s: %s: %v", page, strings.TrimSpace(line), err)
				}
			}
		}
	}
	t.Logf("%d commands", n)
}

// TestDocsRulesets loads the rulesets that the pages show, each into an empty kernel.
func TestDocsRulesets(t *testing.T) {
	n := 0
	for _, page := range docPages(t) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range rulesets.FindAllSubmatch(text, -1) {
			n++
			if said := loadRuleset(t, block[1]); said != "" {
				t.Errorf("%s: %s", page, said)
			}
		}
	}
	if n == 0 {
		t.Error("no page shows a ruleset")
	}
}

// loadRuleset returns what nft says of a ruleset, which is nothing if all is well.
func loadRuleset(t *testing.T, ruleset []byte) string {
	t.Helper()
	k, err := knit.New(knit.Config{Modules: std.Modules()})
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	var out bytes.Buffer
	c := &control.Console{Stdin: bytes.NewReader(ruleset), Stdout: &out, Stderr: &out}
	control.Run(t.Context(), server.New(k, server.Config{}), c, "nft", "-f", "-")
	return out.String()
}
