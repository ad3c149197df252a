package nat_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestPageNamesTests: the page that says which requirement of an RFC which test defends
// names tests that are there, and all of those that are named after a requirement.
func TestPageNamesTests(t *testing.T) {
	page, err := os.ReadFile("../../docs/netfilter.md")
	if err != nil {
		t.Fatal(err)
	}
	var tests strings.Builder
	for _, dir := range []string{".", "../nat64", "../nat64/internal/xlat", "../defrag", "../../internal/stuntest"} {
		files, err := filepath.Glob(dir + "/*_test.go")
		if err != nil || len(files) == 0 {
			t.Fatalf("%s has no tests: %v", dir, err)
		}
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			tests.Write(b)
		}
	}
	named := map[string]bool{}
	for _, m := range regexp.MustCompile("`(Test[A-Z]\\w*)`").FindAllSubmatch(page, -1) {
		named[string(m[1])] = true
		if !strings.Contains(tests.String(), "func "+string(m[1])+"(t *testing.T)") {
			t.Errorf("the page names %s, which is no test", m[1])
		}
	}
	for _, m := range regexp.MustCompile(`func (TestRFC\w+)\(`).FindAllStringSubmatch(tests.String(), -1) {
		if !named[m[1]] {
			t.Errorf("the page does not name %s", m[1])
		}
	}
}
