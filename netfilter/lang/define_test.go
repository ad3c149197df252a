package lang

import (
	"fmt"
	"strings"
	"testing"
)

// TestDefineInclude reads variables and files, which are listed as what they stand
// for.
func TestDefineInclude(t *testing.T) {
	const src = `define lan = 10.0.0.0/8
define ports = { 22, 80 }
include "more.nft"
table ip t {
	define local = 5
	chain c {
		ip saddr $lan tcp dport $ports accept
		meta mark $local
		udp dport $included drop
		iifname $given
	}
}
`
	opts := Options{
		Include: func(string) ([]File, error) { return []File{{Name: "more.nft", Text: "define included = 53\n"}}, nil },
		Define:  map[string]string{"given": "eth0"},
	}
	cmds, err := Parse(src, "main.nft", opts)
	if err != nil {
		t.Fatal(err)
	}
	m := new(model)
	for i := range cmds {
		m.apply(t, &cmds[i])
	}
	compareLines(t, "listing", Listing{}.Ruleset(m.tables), `table ip t {
	chain c {
		ip saddr 10.0.0.0/8 tcp dport { 22, 80 } accept
		meta mark 0x00000005
		udp dport 53 drop
		iifname "eth0"
	}
}
`)
}

// TestIncludeLimit ends a file that includes itself.
func TestIncludeLimit(t *testing.T) {
	self := File{Name: "self.nft", Text: "include \"self.nft\"\n"}
	opts := Options{Include: func(string) ([]File, error) { return []File{self}, nil }}
	if _, err := Parse(self.Text, self.Name, opts); err == nil {
		t.Fatal("no error")
	}
}

// TestNestingLimit ends expressions that are nested without end.
func TestNestingLimit(t *testing.T) {
	src := make([]byte, 0, 1<<20)
	src = append(src, "add rule ip t c meta mark set "...)
	for range 1 << 19 {
		src = append(src, '(')
	}
	if _, err := Parse(string(src), "deep", Options{}); err == nil {
		t.Fatal("no error")
	}
}

// TestVariableLimit ends definitions that double each other, in rules and in sets.
func TestVariableLimit(t *testing.T) {
	for _, use := range []string{"add rule ip t c tcp dport $v29", "add element ip t s $v29", "add rule ip t c tcp flags $f29"} {
		var src strings.Builder
		src.WriteString("add table ip t\nadd chain ip t c\nadd set ip t s { type inet_service; }\ndefine v0 = { 1, 2 }\ndefine f0 = 1, 2\n")
		for i := range 29 {
			fmt.Fprintf(&src, "define v%d = { $v%d, $v%d }\ndefine f%d = $f%d, $f%d\n", i+1, i, i, i+1, i, i)
		}
		src.WriteString(use + "\n")
		_, err := Parse(src.String(), "double", Options{})
		if err == nil || !strings.Contains(err.Error(), "variables stand for too much") {
			t.Errorf("%s: %v", use, err)
		}
	}
}

// TestVariableOfItself ends a priority whose variable holds the name of a variable: it is
// no name of a priority, and not looked up once more.
func TestVariableOfItself(t *testing.T) {
	_, err := Parse("define a = \"$a\"\nadd table ip t\nadd chain ip t c { type filter hook input priority $a; }\n", "self", Options{})
	if err == nil || !strings.Contains(err.Error(), "invalid priority expression value in this context.") {
		t.Error(err)
	}
}
