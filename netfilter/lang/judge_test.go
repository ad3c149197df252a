package lang

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

var update = flag.Bool("update", false, "let the real nft write the files of testdata/ruleset anew")

// rulesets returns the names of the rulesets of testdata, without their suffix.
func rulesets(t testing.TB) (names []string) {
	t.Helper()
	files, err := filepath.Glob("testdata/ruleset/*.nft")
	if err != nil || len(files) == 0 {
		t.Fatal("no rulesets:", err)
	}
	for _, f := range files {
		names = append(names, strings.TrimSuffix(f, ".nft"))
	}
	return names
}

func readFile(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// realNFT runs a shell script in a network namespace of its own, which has the real
// nft.
func realNFT(t testing.TB, script, input string) (stdout, stderr string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("a network namespace needs root")
	}
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("no nft to compare with")
	}
	if out, _ := exec.Command("nft", "--version").Output(); !strings.Contains(string(out), "v1.0.6 ") {
		t.Skipf("the model is nft 1.0.6, this is %s", out)
	}
	cmd := exec.Command("sh", "-c", script)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	cmd.Stdin = strings.NewReader(input)
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	if err := cmd.Run(); err != nil && e.Len() == 0 {
		t.Skip("no network namespace: ", err)
	}
	return o.String(), e.String()
}

var (
	handle = regexp.MustCompile(`"handle": \d+`)
	// dormant is the flag of a table in JSON, where nft 1.0.6 writes what happens to be
	// in its memory.
	dormant = regexp.MustCompile(`("table": \{[^}]*"flags": )"[^"]*"`)
)

// TestJudge holds the listings in testdata, which the other tests compare with, to
// what the real nft lists.
func TestJudge(t *testing.T) {
	for _, name := range rulesets(t) {
		for _, c := range []struct{ input, flag, output string }{
			{".nft", "", ".list"}, {".nft", "-j", ".json"}, {".list", "", ".again"},
			{".nft", "-n", ".numeric"}, {".nft", "-s", ".stateless"}, {".nft", "-S", ".services"}, {".nft", "-t", ".terse"},
		} {
			suffix := c.output
			got, stderr := realNFT(t, "nft -f - && nft "+c.flag+" list ruleset", readFile(t, name+c.input))
			if stderr != "" && !strings.HasPrefix(stderr, "warning: ") {
				t.Errorf("%s: nft says %s", name, stderr)
				continue
			}
			got = dormant.ReplaceAllString(handle.ReplaceAllString(got, `"handle": 0`), `$1"dormant"`)
			if *update {
				if err := os.WriteFile(name+suffix, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			compareLines(t, name+suffix, got, readFile(t, name+suffix))
		}
	}
}

// compareLines reports the lines that differ, a few of them: what only want has with
// `-`, what only got has with `+`.
func compareLines(t *testing.T, name, got, want string) {
	t.Helper()
	g, w := strings.SplitAfter(got, "\n"), strings.SplitAfter(want, "\n")
	var out strings.Builder
	bad := 0
	for len(g) > 0 || len(w) > 0 {
		switch skip := meet(g, w); {
		case len(g) > 0 && len(w) > 0 && g[0] == w[0]:
			g, w = g[1:], w[1:]
			continue
		case len(w) > 0 && (len(g) == 0 || skip > 0):
			out.WriteString("-" + strings.TrimSuffix(w[0], "\n") + "\n")
			w = w[1:]
		default:
			out.WriteString("+" + strings.TrimSuffix(g[0], "\n") + "\n")
			g = g[1:]
		}
		if bad++; bad > 60 {
			out.WriteString("and more\n")
			break
		}
	}
	if out.Len() > 0 {
		t.Errorf("%s:\n%s", name, out.String())
	}
}

// meet returns which side to go on with so that the texts come together again: 1 for
// want, -1 for got.
func meet(got, want []string) int {
	for n := range 200 {
		for i := range n + 1 {
			if j := n - i; i < len(got) && j < len(want) && got[i] == want[j] {
				if j > 0 {
					return 1
				}
				return -1
			}
		}
	}
	return 1
}
