package lang

import (
	"os"
	"strings"
	"testing"
)

// Each case of testdata/wrong.txt is a line of input that begins with `> `, and what
// nft says about it behind the ruleset of testdata/wrong.pre. What the kernel refuses
// and not nft itself is not among them.
func wrongCases(t testing.TB) (inputs, wants []string) {
	t.Helper()
	for _, part := range strings.Split(readFile(t, "testdata/wrong.txt"), "> ")[1:] {
		input, want, _ := strings.Cut(part, "\n")
		inputs, wants = append(inputs, input), append(wants, want)
	}
	return inputs, wants
}

// TestWrong compares message, place and carets.
func TestWrong(t *testing.T) {
	inputs, wants := wrongCases(t)
	for i, in := range inputs {
		m := new(model)
		m.parse(t, readFile(t, "testdata/wrong.pre"), "pre")
		_, err := Parse(in+"\n", "/dev/stdin", Options{Env: m})
		got := ""
		if err != nil {
			got = err.Error() + "\n"
		}
		if got != wants[i] {
			t.Errorf("%s\ngot:\n%swant:\n%s", in, got, wants[i])
		}
	}
}

// TestJudgeWrong asks the real nft whether it still says so.
func TestJudgeWrong(t *testing.T) {
	pre := readFile(t, "testdata/wrong.pre")
	inputs, wants := wrongCases(t)
	var out strings.Builder
	for i, in := range inputs {
		_, got := realNFT(t, "nft -f -; exec nft -f - <<'END'\n"+in+"\nEND\n", pre)
		if strings.Contains(got, "Could not process rule: ") || strings.Contains(got, "name resolution") {
			got = "(not nft itself)\n"
		}
		if *update {
			if got == "(not nft itself)\n" {
				continue
			}
			out.WriteString("> " + in + "\n" + got)
		} else if got != wants[i] {
			t.Errorf("%s\nnft says:\n%sthe file says:\n%s", in, got, wants[i])
		}
	}
	if *update {
		if err := os.WriteFile("testdata/wrong.txt", []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
