package rcu

import (
	"sync"
	"testing"
)

func TestValueZero(t *testing.T) {
	var v Value[[]int]
	first := v.Load()
	if first == nil || len(*first) != 0 {
		t.Fatalf("Load of a zero Value = %v, want a pointer to nothing", first)
	}
	if v.Load() != first {
		t.Fatal("two readers of a zero Value see different snapshots")
	}
}

// An Update leaves the snapshot that a reader holds as it was.
func TestValueSnapshot(t *testing.T) {
	var v Value[[]int]
	v.Store([]int{1})
	old := v.Load()
	v.Update(func(old []int) []int { return append(old[:len(old):len(old)], 2) })
	if len(*old) != 1 || len(*v.Load()) != 2 {
		t.Fatalf("old %v, new %v; want [1], [1 2]", *old, *v.Load())
	}
}

// Concurrent updates are not lost.
func TestValueUpdates(t *testing.T) {
	var v Value[int]
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				v.Update(func(n int) int { return n + 1 })
				_ = *v.Load()
			}
		})
	}
	wg.Wait()
	if got := *v.Load(); got != 800 {
		t.Fatalf("after 800 updates the value is %d", got)
	}
}

func TestValueLoadDoesNotAllocate(t *testing.T) {
	var v Value[int]
	v.Load()
	if n := testing.AllocsPerRun(1000, func() { v.Load() }); n != 0 {
		t.Fatalf("%v allocations per Load, want 0", n)
	}
}
