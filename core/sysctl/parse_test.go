package sysctl

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

// linuxNumbers is what a setting of Linux that takes any 32-bit number makes of a
// text; "" stands for EINVAL. TestAgainstLinux compares.
var linuxNumbers = map[string]string{
	"0": "0", "5": "5", "-5": "-5", "0x10": "16", "0X1f": "31", "010": "8", "-0x10": "-16", " 7 ": "7", "\t7\n": "7",
	"+5": "", "5x": "", "x": "", "08": "", "0x": "", "--5": "", "1_0": "", "0b1": "", "0o7": "", "- 5": "", "5,6": "",
}

func TestParseInt(t *testing.T) {
	for text, want := range linuxNumbers {
		n, err := ParseInt(strings.TrimSpace(text))
		switch {
		case want == "" && !errors.Is(err, syscall.EINVAL):
			t.Errorf("ParseInt(%q) = %d, %v, want EINVAL", text, n, err)
		case want != "" && (err != nil || strconv.FormatInt(n, 10) != want):
			t.Errorf("ParseInt(%q) = %d, %v, want %s", text, n, err, want)
		}
	}
}

func FuzzParseInt(f *testing.F) {
	for text := range linuxNumbers {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, err := ParseInt(text)
		if err != nil {
			return
		}
		if again, err := ParseInt(strconv.FormatInt(n, 10)); err != nil || again != n {
			t.Fatalf("ParseInt(%q) = %d, which parses as %d, %v", text, n, again, err)
		}
		list := []uint64{0}
		if err := ParseUints(list, text, 0, math.MaxInt64); n >= 0 && (err != nil || list[0] != uint64(n)) {
			t.Fatalf("ParseUints(%q) = %d, %v, want %d", text, list[0], err, n)
		}
	})
}

// TestChanged: what was set and is not what it was comes in the order of the last
// change; a setting that is registered anew has not changed.
func TestChanged(t *testing.T) {
	var table Table
	var a, b, c atomic.Int64
	mustRegister(t, &table, Int("a", &a, 0, 9))
	undo, err := table.Register(Int("b", &b, 0, 9))
	if err != nil {
		t.Fatal(err)
	}
	mustRegister(t, &table, Int("c", &c, 0, 9))
	set := func(name, text string) {
		t.Helper()
		if err := table.Set(name, text); err != nil {
			t.Fatal(err)
		}
	}
	want := func(want string) {
		t.Helper()
		var got []string
		for _, s := range table.Changed() {
			got = append(got, s.Name+"="+s.Value)
		}
		if g := strings.Join(got, " "); g != want {
			t.Errorf("changed %q, want %q", g, want)
		}
	}
	want("")
	set("c", "1")
	set("a", "2")
	set("b", "3")
	want("c=1 a=2 b=3")
	set("c", "4")
	want("a=2 b=3 c=4")
	set("a", "0") // what it was
	want("b=3 c=4")
	if err := table.Set("c", "99"); err == nil {
		t.Fatal("99 was taken")
	}
	c.Store(5) // the value of now counts
	want("b=3 c=5")
	undo()
	want("c=5")
	mustRegister(t, &table, Int("b", &b, 0, 9))
	want("c=5")
}
