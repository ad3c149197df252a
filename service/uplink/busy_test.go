package uplink

import "testing"

// TestBusyList: flows come in the order in which they went, without an allocation,
// and nobody waits once the list is closed.
func TestBusyList(t *testing.T) {
	var l busyList
	l.init()
	flows := make([]flow, 3)
	n := testing.AllocsPerRun(100, func() {
		for i := range flows {
			l.push(&flows[i])
		}
		for i := range flows {
			if f := l.pop(); f != &flows[i] {
				t.Fatalf("pop %d is another flow", i)
			}
		}
	})
	if n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
	l.push(&flows[0])
	l.close()
	l.push(&flows[1])
	if f := l.pop(); f != nil {
		t.Error("a closed list has a flow")
	}
}
