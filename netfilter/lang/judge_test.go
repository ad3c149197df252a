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
func rulesets(t *testing.T) (names []string) {
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

var handle = regexp.MustCompile(`"handle": \d+`)

// TestJudge holds the listings in testdata, which the other tests compare with, to
// what the real nft lists.
func TestJudge(t *testing.T) {
	for _, name := range rulesets(t) {
		for suffix, flag := range map[string]string{".list": "", ".json": "-j"} {
			got, stderr := realNFT(t, "nft -f - && nft "+flag+" list ruleset", readFile(t, name+".nft"))
			if stderr != "" && !strings.HasPrefix(stderr, "warning: ") {
				t.Errorf("%s: nft says %s", name, stderr)
				continue
			}
			got = handle.ReplaceAllString(got, `"handle": 0`)
			if *update {
				if err := os.WriteFile(name+suffix, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			compareLines(t, name+suffix, got, readFile(t, name+suffix))
		}
	}
}

// compareLines reports the lines that differ, a few of them.
func compareLines(t *testing.T, name, got, want string) {
	t.Helper()
	g, w := strings.SplitAfter(got, "\n"), strings.SplitAfter(want, "\n")
	bad := 0
	for i := range max(len(g), len(w)) {
		var a, b string
		if i < len(g) {
			a = g[i]
		}
		if i < len(w) {
			b = w[i]
		}
		if a == b {
			continue
		}
		if bad++; bad > 20 {
			t.Errorf("%s: and more", name)
			return
		}
		t.Errorf("%s:%d:\n got %q\nwant %q", name, i+1, a, b)
	}
}
