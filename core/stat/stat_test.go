package stat

import (
	"slices"
	"sync"
	"testing"
)

// Goroutines must not all land on one stripe.
func TestStripesSpread(t *testing.T) {
	const goroutines = 64
	var mu sync.Mutex
	used := map[int]bool{}
	var wg sync.WaitGroup
	hold := make(chan struct{})
	var ready sync.WaitGroup
	ready.Add(goroutines)
	for range goroutines {
		wg.Go(func() {
			i := Stripe()
			mu.Lock()
			used[i] = true
			mu.Unlock()
			ready.Done()
			<-hold // keep the stack, so that the next goroutine has another
		})
	}
	ready.Wait()
	close(hold)
	wg.Wait()
	if len(used) < Stripes/8 {
		t.Fatalf("%d goroutines use %d stripes of %d", goroutines, len(used), Stripes)
	}
}

// TestStripedIsExactAtRest: what many goroutines add is there in the end.
func TestStripedIsExactAtRest(t *testing.T) {
	var c Striped
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				c.Add(3)
				c.Add(-1)
			}
		})
	}
	wg.Wait()
	if got := c.Load(); got != 16000 {
		t.Errorf("sum = %d, want 16000", got)
	}
}

func TestReasons(t *testing.T) {
	for r, name := range reasonNames {
		if name == "" {
			t.Errorf("reason %d has no name", r)
		}
	}
	var d Drops
	first, err := d.New("FIRST")
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := d.New("FIRST"); again != first {
		t.Errorf("the same name is %d and %d", first, again)
	}
	if known, _ := d.New("NO_SOCKET"); known != NoSocket {
		t.Errorf("a well-known name is %d, want %d", known, NoSocket)
	}
	for i := 0; err == nil; i++ {
		_, err = d.New("N" + string(rune('a'+i%26)) + string(rune('a'+i/26)))
	}
	d.Count(maxReasons + 5) // counts as not specified, and does not panic
	if got := d.Load(NotSpecified); got != 1 {
		t.Errorf("an unknown reason counted %d times as not specified, want 1", got)
	}
}

func TestSet(t *testing.T) {
	var s Set
	var c Counter
	undo, err := s.Add("Tcp", F("InSegs", &c))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Add("Tcp"); err == nil {
		t.Error("a name was taken twice")
	}
	if _, err := s.Add("Udp"); err != nil {
		t.Error(err)
	}
	c.Add(7)
	g, ok := s.Lookup("Tcp")
	if !ok || g.Fields[0].Load() != 7 {
		t.Errorf("Tcp = %v, %v", g, ok)
	}
	undo()
	var names []string
	for _, g := range s.Groups() {
		names = append(names, g.Name)
	}
	if !slices.Equal(names, []string{"Udp"}) {
		t.Errorf("groups %v, want Udp", names)
	}
}
