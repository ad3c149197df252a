package lang

import (
	"strings"
	"testing"
)

// TestForeign: statements that nothing here performs are understood, and refused in one
// line that names them; what is no such statement is a syntax error.
func TestForeign(t *testing.T) {
	for rule, want := range map[string]string{
		"queue":                        "Operation not supported",
		"queue num 1-3 bypass,fanout":  "Operation not supported",
		"queue flags bypass to 1":      "Operation not supported",
		"synproxy mss 1460 wscale 7":   "Operation not supported",
		"synproxy timestamp sack-perm": "Operation not supported",
		"queue flags bypass,":          "syntax error, unexpected newline, expecting bypass or fanout",
		"synproxy mss":                 "syntax error, unexpected newline, expecting number",
	} {
		m := new(model)
		m.parse(t, "add table ip t\nadd chain ip t c\n", "pre")
		_, err := Parse("add rule ip t c "+rule+"\n", "x", Options{Env: m})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Count(err.Error(), "Error: ") != 1 {
			t.Errorf("%s: %v", rule, err)
		}
	}
}
