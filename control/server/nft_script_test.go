package server_test

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/knitnet/knit/control"
	"github.com/knitnet/knit/control/server"
)

// A scriptStep is a command of testdata/nft/*.txt, where it stands behind `$ `, with its
// input behind `| `. What it prints follows, standard error last, and `? n` if its status
// is n and not 0. `$ write FILE` writes its input to a file of the directory that the
// script runs in.
type scriptStep struct{ command, input, want string }

func readScript(t *testing.T, name string) (steps []scriptStep) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		switch n := len(steps) - 1; {
		case strings.HasPrefix(line, "$ "):
			steps = append(steps, scriptStep{command: strings.TrimSpace(line[2:])})
		case n >= 0 && strings.HasPrefix(line, "| "):
			steps[n].input += line[2:]
		case n >= 0:
			steps[n].want += line
		}
	}
	return steps
}

func scripts(t *testing.T) []string {
	t.Helper()
	names, err := filepath.Glob("testdata/nft/*.txt")
	if err != nil || len(names) == 0 {
		t.Fatal("no scripts:", err)
	}
	return names
}

// shellWords splits a command where a shell would, as far as the scripts need it.
func shellWords(s string) (words []string) {
	word, quoted, open := "", false, false
	for _, c := range s {
		switch {
		case c == '\'':
			quoted, open = !quoted, true
		case c == ' ' && !quoted:
			if open {
				words = append(words, word)
			}
			word, open = "", false
		default:
			word, open = word+string(c), true
		}
	}
	if open {
		words = append(words, word)
	}
	return words
}

// TestNFTScripts runs each command and compares what it prints and its status.
func TestNFTScripts(t *testing.T) {
	for _, name := range scripts(t) {
		steps := readScript(t, name)
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			t.Chdir(t.TempDir())
			s := newServer(t)
			for _, step := range steps {
				if got := runStep(t, s, step); got != step.want {
					t.Errorf("$ %s\nknit:\n%snft:\n%s", step.command, got, step.want)
				}
			}
		})
	}
}

// generations are what `nft -e` ends with: how often there was a change, and who made it.
var generations = regexp.MustCompile(`(?m)^# new generation \d+ by process \d+ \(\w+\)\n`)

func runStep(t *testing.T, s *server.Server, step scriptStep) string {
	t.Helper()
	words := shellWords(step.command)
	if words[0] == "write" {
		if err := os.MkdirAll(filepath.Dir(words[1]), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(words[1], []byte(step.input), 0o600); err != nil {
			t.Fatal(err)
		}
		return ""
	}
	r := runInput(s, step.input, words...)
	out := generations.ReplaceAllString(r.Stdout, "") + r.Stderr
	if r.Status != 0 {
		out += "? " + strconv.Itoa(r.Status) + "\n"
	}
	return out
}

// runInput runs one command that has an input.
func runInput(s *server.Server, input string, words ...string) result {
	var out, errs strings.Builder
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c := control.OS()
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader(input), &out, &errs
	status := s.Run(ctx, c, words...)
	return result{out.String(), errs.String(), status}
}
