package cc_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/knitnet/knit/transport/tcp/cc"
)

type fake struct{ cc.Algorithm }

func makeFake() cc.Algorithm { return fake{} }

// The oldest congestion control is the default until somebody chooses; a choice
// outlives the module.
func TestTableDefault(t *testing.T) {
	var table cc.Table
	if _, _, ok := table.Default(); ok {
		t.Error("an empty table has a default")
	}
	undoA := register(t, &table, "a")
	undoB := register(t, &table, "b")
	expect := func(want ...string) {
		t.Helper()
		if got := table.Names(); !slices.Equal(got, want) {
			t.Errorf("names %v, want %v", got, want)
		}
		if name, _, _ := table.Default(); name != want[0] {
			t.Errorf("default %q, want %q", name, want[0])
		}
	}
	expect("a", "b")
	if err := table.SetDefault("b"); err != nil {
		t.Fatal(err)
	}
	expect("b", "a")
	undoB()
	expect("a")
	if err := table.SetDefault("b"); !errors.Is(err, cc.ErrNotFound) {
		t.Errorf("SetDefault: %v", err)
	}
	undoB = register(t, &table, "b")
	expect("b", "a")
	undoA()
	undoB()
	if names := table.Names(); len(names) != 0 {
		t.Errorf("names %v at the end", names)
	}
}

func register(t *testing.T, table *cc.Table, name string) func() {
	t.Helper()
	undo, err := table.Register(name, makeFake)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := table.Lookup(name); !ok {
		t.Errorf("%s is not found", name)
	}
	if _, err := table.Register(name, makeFake); !errors.Is(err, cc.ErrExists) {
		t.Errorf("twice: %v", err)
	}
	return undo
}

// Who watches hears of a removal when the name is gone already, and may use the
// table.
func TestTableWatch(t *testing.T) {
	var table cc.Table
	undo := register(t, &table, "a")
	var heard []string
	stop := table.Watch(func(name string) {
		if _, ok := table.Lookup(name); ok {
			t.Errorf("%s is still there", name)
		}
		heard = append(heard, name)
	})
	undo()
	undo = register(t, &table, "b")
	stop()
	undo()
	if !slices.Equal(heard, []string{"a"}) {
		t.Errorf("heard %v", heard)
	}
}

// RFC 5681 §3.1 and RFC 3465 §2: slow start grows by the bytes acknowledged, up
// to the threshold; then one segment for each window.
func TestGrow(t *testing.T) {
	w := cc.Window{Cwnd: 10_000, Ssthresh: 15_000, MSS: 1000}
	if left := w.GrowSlowStart(3000); left != 0 || w.Cwnd != 13_000 {
		t.Errorf("%d left, cwnd %d", left, w.Cwnd)
	}
	if left := w.GrowSlowStart(3000); left != 1000 || w.Cwnd != 15_000 || w.SlowStart() {
		t.Errorf("%d left, cwnd %d", left, w.Cwnd)
	}
	var credit uint32
	for range 15 {
		w.GrowLinear(&credit, 1000)
	}
	if w.Cwnd != 16_000 || credit != 0 {
		t.Errorf("cwnd %d, credit %d", w.Cwnd, credit)
	}
	w.Set(1)
	if w.Cwnd != 1000 {
		t.Errorf("cwnd %d below a segment", w.Cwnd)
	}
	w.Set(1 << 31)
	if w.Cwnd != cc.MaxWindow {
		t.Errorf("cwnd %d above the maximum", w.Cwnd)
	}
	if h := w.Half(3000); h != 2000 {
		t.Errorf("half of 3000 is %d, want 2 segments (RFC 5681 §3.1 equation 4)", h)
	}
}
