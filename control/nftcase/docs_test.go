package nftcase_test

import (
	"bytes"
	"regexp"
	"testing"
)

// TestDocs: the example of the documentation passes, with the coverage that it shows.
func TestDocs(t *testing.T) {
	page := read(t, "../../docs/netfilter.md")
	rules := regexp.MustCompile("(?ms)^```nft\n(.*?)^```$").FindStringSubmatch(page)
	cases := regexp.MustCompile("(?ms)^```cases\n(.*?)^```$").FindStringSubmatch(page)
	if rules == nil || cases == nil {
		t.Fatal("the page has no example")
	}
	rep := run(t, rules[1], cases[1])
	var b bytes.Buffer
	if err := rep.WriteText(&b, false); err != nil {
		t.Fatal(err)
	}
	if !rep.OK() {
		t.Errorf("%s", b.String())
	}
	for _, want := range []string{
		"\n6 of 8 rules held for some packet\n", "       6  rules:10 inet gateway forward: ct state established,related accept\n", "\n12 passed, 0 failed\n",
		"\nrules that these cases do not reach:\n          rules:4 inet gateway input: ct state established,related accept\n          rules:5 inet gateway input: iifname \"lan\" accept\n",
	} {
		if !bytes.Contains(b.Bytes(), []byte(want)) {
			t.Errorf("the report lacks %q:\n%s", want, b.String())
		}
	}
}
