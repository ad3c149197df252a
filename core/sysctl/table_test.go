package sysctl

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

func mustRegister(t testing.TB, table *Table, e Entry) func() {
	t.Helper()
	undo, err := table.Register(e)
	if err != nil {
		t.Fatal(err)
	}
	return undo
}

// The words and the errno are those of the sysctl tool.
func TestErrors(t *testing.T) {
	var table Table
	var n atomic.Int64
	mustRegister(t, &table, Int("net.ipv4.ttl", &n, 1, 255))
	mustRegister(t, &table, String("kernel.osrelease", func() string { return "1" }, nil))
	for _, c := range []struct {
		name, text string
		is         error
		begin      string
	}{
		{"net.nope", "1", syscall.ENOENT, "cannot stat /proc/sys/net/nope: No such file or directory"},
		{"net.nope", "1", fs.ErrNotExist, "cannot stat"},
		{"net.nope", "1", ErrNotFound, "cannot stat"},
		{"net.ipv4.ttl", "0", syscall.EINVAL, `setting key "net.ipv4.ttl": invalid argument: "0", want an integer from 1 to 255`},
		{"net/ipv4/ttl", "x", syscall.EINVAL, `setting key "net.ipv4.ttl": invalid argument`},
		{"net.ipv4.ttl", "99999999999999999999", syscall.EINVAL, `setting key`},
		{"kernel.osrelease", "2", syscall.EACCES, `permission denied on key "kernel.osrelease"`},
	} {
		err := table.Set(c.name, c.text)
		if !errors.Is(err, c.is) || !strings.HasPrefix(err.Error(), c.begin) {
			t.Errorf("Set(%s, %s) = %v, want %v with text %s", c.name, c.text, err, c.is, c.begin)
		}
	}
	if n.Load() != 0 {
		t.Errorf("a refused Set changed the value to %d", n.Load())
	}
}

// Both separators work; the second kind belongs to a part (sysctl(8)).
func TestSeparators(t *testing.T) {
	var table Table
	var b atomic.Bool
	mustRegister(t, &table, Bool("net.ipv4.conf.eth0/100.forwarding", &b))
	for _, name := range []string{"net.ipv4.conf.eth0/100.forwarding", "net/ipv4/conf/eth0.100/forwarding"} {
		if err := table.Set(name, "1\n"); err != nil {
			t.Fatal(err)
		}
		if v, err := table.Get(name); v != "1" || err != nil {
			t.Errorf("Get(%s) = %q, %v; want 1", name, v, err)
		}
	}
	if err := table.Set("net.ipv4.conf.eth0.100.forwarding", "1"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a dot within a part is a separator: %v", err)
	}
}

func TestRegister(t *testing.T) {
	var table Table
	var n, m atomic.Int64
	undo := mustRegister(t, &table, Int("a.b", &n, 0, 9))
	if _, err := table.Register(Int("a/b", &m, 0, 9)); !errors.Is(err, syscall.EEXIST) {
		t.Errorf("second Register = %v, want EEXIST", err)
	}
	undo()
	if _, err := table.Get("a.b"); !errors.Is(err, ErrNotFound) {
		t.Errorf("Get after undo = %v", err)
	}
	mustRegister(t, &table, Int("a.b", &m, 0, 9))
	undo() // must not remove its successor
	if _, err := table.Get("a.b"); err != nil {
		t.Errorf("a second undo removed the successor: %v", err)
	}
	for _, bad := range []string{"", ".", "a.", ".a", "a..b", "a b", "a.b=c", "a\nb"} {
		if _, err := table.Register(Int(bad, &n, 0, 1)); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("Register(%q) = %v, want EINVAL", bad, err)
		}
	}
}

func TestUints(t *testing.T) {
	var table Table
	v := []*atomic.Uint64{new(atomic.Uint64), new(atomic.Uint64), new(atomic.Uint64)}
	ordered := func(list []uint64) error {
		if !slices.IsSorted(list) {
			return fmt.Errorf("%w: must ascend", syscall.EINVAL)
		}
		return nil
	}
	mustRegister(t, &table, Uints("net.ipv4.tcp_rmem", v, 1, math.MaxInt32, ordered))
	set := func(text, want string, ok bool) {
		t.Helper()
		err := table.Set("net.ipv4.tcp_rmem", text)
		if (err == nil) != ok || err != nil && !errors.Is(err, syscall.EINVAL) {
			t.Errorf("Set(%q) = %v", text, err)
		}
		if got, _ := table.Get("net.ipv4.tcp_rmem"); got != want {
			t.Errorf("after Set(%q): %q, want %q", text, got, want)
		}
	}
	set("4096 131072\t6291456\n", "4096\t131072\t6291456", true)
	set("1 2", "1\t2\t6291456", true) // as Linux: the third stays
	set("", "1\t2\t6291456", false)
	set("1 2 3 4", "1\t2\t6291456", false)
	set("1 x 3", "1\t2\t6291456", false)
	set("0 2 3", "1\t2\t6291456", false)
	set("3 2 1", "1\t2\t6291456", false)
}

func TestList(t *testing.T) {
	var table Table
	var n atomic.Int64
	for _, name := range []string{"net.ipv42.x", "net.ipv4.b", "net.ipv4.a", "kernel.x"} {
		mustRegister(t, &table, Int(name, &n, 0, 1))
	}
	names := func(prefix string) string {
		var s []string
		for _, e := range table.List(prefix) {
			s = append(s, e.Name+"="+e.Value)
		}
		return strings.Join(s, " ")
	}
	for prefix, want := range map[string]string{
		"":           "kernel.x=0 net.ipv4.a=0 net.ipv4.b=0 net.ipv42.x=0",
		"net.ipv4":   "net.ipv4.a=0 net.ipv4.b=0",
		"net/ipv4/":  "net.ipv4.a=0 net.ipv4.b=0",
		"net.ipv4.a": "net.ipv4.a=0",
		"nope":       "",
	} {
		if got := names(prefix); got != want {
			t.Errorf("List(%q) = %s, want %s", prefix, got, want)
		}
	}
}

// A setting never leaves its range, whatever is written.
func FuzzSet(f *testing.F) {
	f.Add("1 2 3")
	f.Add("-7")
	f.Fuzz(func(t *testing.T, text string) {
		var table Table
		var n atomic.Int64
		u := []*atomic.Uint64{new(atomic.Uint64), new(atomic.Uint64)}
		mustRegister(t, &table, Int("n", &n, -5, 5))
		mustRegister(t, &table, Uints("u", u, 0, 9, nil))
		for _, name := range []string{"n", "u"} {
			if err := table.Set(name, text); err != nil && !errors.Is(err, syscall.EINVAL) {
				t.Fatalf("Set(%s, %q) = %v", name, text, err)
			}
			value, _ := table.Get(name)
			if err := table.Set(name, value); err != nil {
				t.Fatalf("%s does not take its own value %q: %v", name, value, err)
			}
		}
		if v := n.Load(); v < -5 || v > 5 || u[0].Load() > 9 || u[1].Load() > 9 {
			t.Fatalf("Set(%q) left the range", text)
		}
	})
}

// The canonical name of any name is canonical, and swapping is its own inverse.
func FuzzCanonical(f *testing.F) {
	f.Add("net/ipv4/conf/eth0.100/forwarding")
	f.Fuzz(func(t *testing.T, name string) {
		c := Canonical(name)
		if valid(c) && Canonical(pathOf(c)) != c && strings.Contains(c, ".") {
			t.Fatalf("%q -> %q -> %q", name, c, Canonical(pathOf(c)))
		}
	})
}
