package lang

import "testing"

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
