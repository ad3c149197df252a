package server_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

var (
	nftSeed  = flag.Uint64("nft-seed", 1, "the first seed of the random rulesets")
	nftSeeds = flag.Int("nft-seeds", 6, "how many random rulesets are compared")
)

const nftSeparator = "-----\n"

// realNFT runs a shell script in a network namespace of its own that has the devices of
// newServer and the real nft.
func realNFT(t *testing.T, script string) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("a network namespace needs root")
	}
	if out, err := exec.Command("nft", "--version").Output(); err != nil || !strings.Contains(string(out), "v1.0.6 ") {
		t.Skipf("the model is nft 1.0.6, this is %q", out)
	}
	cmd := exec.Command("sh", "-c", "ip link add v0 type veth peer name v1 || exit 77\n"+script)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); err != nil && cmd.ProcessState.ExitCode() == 77 {
		t.Skip("no network namespace with devices: ", stderr.String())
	}
	return out.String()
}

// nftListings are the ways in which rulesets are compared.
var nftListings = [][]string{
	{"list", "ruleset"}, {"-a", "list", "ruleset"}, {"-n", "list", "ruleset"}, {"-nn", "list", "ruleset"}, {"-s", "list", "ruleset"},
	{"-S", "list", "ruleset"}, {"-t", "list", "ruleset"}, {"-y", "list", "ruleset"}, {"-p", "list", "ruleset"}, {"-T", "list", "ruleset"},
	{"-j", "list", "ruleset"}, {"-j", "-a", "list", "ruleset"}, {"-j", "-s", "list", "ruleset"}, {"-j", "-n", "list", "ruleset"}, {"-j", "-t", "list", "ruleset"},
}

// TestNFTRandomRulesets holds random rulesets to the real nft: what it takes is listed
// the same in every way that there is, and so is what was listed as JSON when it is
// read again.
func TestNFTRandomRulesets(t *testing.T) {
	for seed := *nftSeed; seed < *nftSeed+uint64(*nftSeeds); seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { compareRuleset(t, randomRuleset(seed)) })
	}
}

func compareRuleset(t *testing.T, text string) {
	dir := t.TempDir()
	file, again := filepath.Join(dir, "rules.nft"), filepath.Join(dir, "again.json")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	script := "nft -f " + file + " 2>&1\necho '" + nftSeparator[:5] + "'\n"
	for _, words := range nftListings {
		script += "nft " + strings.Join(words, " ") + "\necho '" + nftSeparator[:5] + "'\n"
	}
	script += "nft -j list ruleset > " + again + "; nft flush ruleset; nft -j -f " + again + " 2>&1; nft list ruleset\n"
	want := strings.Split(realNFT(t, script), nftSeparator)
	s := newServer(t)
	if got := run(s, "nft", "-f", file); got.Stderr+got.Stdout != want[0] {
		t.Fatalf("nft says %s\nknit says %s\nthe file is\n%s", want[0], got.Stderr+got.Stdout, text)
	}
	if want[0] != "" {
		t.Logf("refused: %s", want[0])
		return
	}
	for i, words := range nftListings {
		if words[1] == "-n" && strings.Contains(text, "arp") {
			continue // nft 1.0.6 writes the numbers of ARP's operations in JSON with their bytes turned round
		}
		got := run(s, append([]string{"nft"}, words...)...)
		compareListings(t, strings.Join(words, " "), got.Stdout+got.Stderr, want[i+1])
	}
	run(s, "nft", "flush", "ruleset")
	got := run(s, "nft", "-j", "-f", again)
	got.Stdout += strings.ReplaceAll(run(s, "nft", "list", "ruleset").Stdout, "\t\tcomment \"a set\"\n", "") // nft loses those
	compareListings(t, "read again", got.Stderr+got.Stdout, want[len(nftListings)+1])
}

// compareListings reports the lines, or JSON objects, that differ: those of nft alone
// with `-`, those of knit alone with `+`.
func compareListings(t *testing.T, name, got, want string) {
	t.Helper()
	if got == want {
		return
	}
	cut := func(s string) []string { return strings.Split(strings.ReplaceAll(s, `}}, {"`, "}},\n{\""), "\n") }
	g, w := cut(got), cut(want)
	// same[i][j] is how many lines g[i:] and w[j:] have in common, in order.
	same := make([][]int, len(g)+1)
	same[len(g)] = make([]int, len(w)+1)
	for i := len(g) - 1; i >= 0; i-- {
		same[i] = make([]int, len(w)+1)
		for j := len(w) - 1; j >= 0; j-- {
			if same[i][j] = max(same[i+1][j], same[i][j+1]); g[i] == w[j] {
				same[i][j] = same[i+1][j+1] + 1
			}
		}
	}
	var out strings.Builder
	for i, j := 0, 0; i < len(g) || j < len(w); {
		switch {
		case i < len(g) && j < len(w) && g[i] == w[j]:
			i, j = i+1, j+1
		case i == len(g) || j < len(w) && same[i][j+1] >= same[i+1][j]:
			out.WriteString("- " + w[j] + "\n")
			j++
		default:
			out.WriteString("+ " + g[i] + "\n")
			i++
		}
	}
	t.Errorf("nft %s\n%s", name, out.String())
}

var nftUpdate = flag.Bool("nft-update", false, "let the real nft write what the scripts of testdata/nft want")

// TestJudgeNFTScripts holds the scripts to the real nft.
func TestJudgeNFTScripts(t *testing.T) {
	for _, name := range scripts(t) {
		steps := readScript(t, name)
		var script, file strings.Builder
		script.WriteString("cd " + t.TempDir() + "\n")
		for _, step := range steps {
			input := " <<'END'\n" + step.input + "END\n"
			if words := shellWords(step.command); words[0] == "write" {
				fmt.Fprintf(&script, "mkdir -p $(dirname %[1]s); cat > %[1]s%[2]s", words[1], input)
			} else {
				script.WriteString(step.command + " 2>err" + input + "s=$?; cat err; [ $s = 0 ] || echo \"? $s\"\n")
			}
			script.WriteString("echo '" + nftSeparator[:5] + "'\n")
		}
		answers := strings.Split(realNFT(t, script.String()), nftSeparator)
		if len(answers) != len(steps)+1 {
			t.Fatalf("%s: %d answers to %d commands", name, len(answers)-1, len(steps))
		}
		for i, step := range steps {
			file.WriteString("$ " + step.command + "\n")
			for line := range strings.Lines(step.input) {
				file.WriteString("| " + line)
			}
			answers[i] = generations.ReplaceAllString(answers[i], "")
			file.WriteString(answers[i])
			if answers[i] != step.want && !*nftUpdate {
				t.Errorf("%s: $ %s\nnft says:\n%sthe file says:\n%s", name, step.command, answers[i], step.want)
			}
		}
		if *nftUpdate {
			if err := os.WriteFile(name, []byte(file.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}
