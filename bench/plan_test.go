package main

import (
	"regexp"
	"testing"

	"github.com/knitnet/knit/bench/report"
)

func TestEveryMeasurementHasItsOwnName(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range cells(plan()) {
		if seen[c.String()] {
			t.Errorf("two measurements are called %v", c)
		}
		seen[c.String()] = true
		found, err := find(plan(), c.String())
		if err != nil || found.String() != c.String() {
			t.Errorf("find(%v) = %v, %v", c, found, err)
		}
	}
	if _, err := find(plan(), "Stream1500/nobody"); err == nil {
		t.Error("found a measurement that does not exist")
	}
}

func TestChooseKeepsWhatMatches(t *testing.T) {
	all := []contest{
		{Heading: report.Heading{Name: "Stream"}, contenders: []contender{{label: "x"}, {label: "y"}}},
		{Heading: report.Heading{Name: "Idle"}, contenders: []contender{{label: "y"}}},
	}
	for pattern, want := range map[string][]string{
		"":          {"Stream/x", "Stream/y", "Idle/y"},
		"/y":        {"Stream/y", "Idle/y"},
		"^Stream/x": {"Stream/x"},
		"nothing":   nil,
	} {
		got := cells(choose(all, regexp.MustCompile(pattern)))
		if len(got) != len(want) {
			t.Errorf("%q chose %v, want %v", pattern, got, want)
			continue
		}
		for i := range want {
			if got[i].String() != want[i] {
				t.Errorf("%q chose %v, want %v", pattern, got, want)
			}
		}
	}
}
