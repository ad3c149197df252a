package rcu

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A walk that began before Wait is waited for, one that begins later is not.
func TestWaitForEarlierWalksOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Period
		early := p.Enter()
		var over atomic.Bool
		go func() {
			p.Wait()
			over.Store(true)
		}()
		time.Sleep(time.Second)
		if over.Load() {
			t.Fatal("Wait returned although an earlier walk is under way")
		}
		late := p.Enter()
		early.Exit()
		time.Sleep(time.Second)
		if !over.Load() {
			t.Fatal("Wait does not return although only a later walk is under way")
		}
		late.Exit()
	})
}

// Every one of the stripes counts, and so does a walk that ends on another
// goroutine than it began on.
func TestWaitSeesEveryStripe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Period
		for i := range p.stripes {
			n := &p.stripes[i].n[p.gen.Load()&1]
			n.Add(1)
			over := make(chan struct{})
			go func() {
				p.Wait()
				close(over)
			}()
			time.Sleep(time.Second)
			select {
			case <-over:
				t.Fatalf("Wait does not look at stripe %d", i)
			default:
			}
			go Walk{n}.Exit()
			<-over
		}
	})
}

// A walk that was counted in a generation that has just ended is counted
// again in the new one, where the next Wait sees it.
func TestEnterDuringFlip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Period
		stale := p.gen.Load()
		p.Wait() // between reading the generation and counting in it
		w := p.enter(stale)
		over := make(chan struct{})
		go func() {
			p.Wait()
			close(over)
		}()
		time.Sleep(time.Second)
		select {
		case <-over:
			t.Error("Wait does not see the walk")
		default:
		}
		w.Exit()
		<-over
	})
}

// A walk may begin inside another one, also after a Wait has begun.
func TestWalksNest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Period
		outer := p.Enter()
		over := make(chan struct{})
		go func() {
			p.Wait()
			close(over)
		}()
		time.Sleep(time.Second) // Wait has begun
		p.Enter().Exit()
		outer.Exit()
		<-over
	})
}

// Callers of Wait that come while one runs all return, and not before the
// walks that each of them has to wait for.
func TestWaitersShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Period
		first := p.Enter()
		var returned atomic.Int32
		wait := func() {
			p.Wait()
			returned.Add(1)
		}
		go wait()
		time.Sleep(time.Second)
		second := p.Enter()
		go wait()
		time.Sleep(time.Second)
		first.Exit()
		time.Sleep(time.Second)
		if n := returned.Load(); n != 1 {
			t.Fatalf("%d waiters returned, want 1: the second walk is under way", n)
		}
		second.Exit()
		time.Sleep(time.Second)
		if n := returned.Load(); n != 2 {
			t.Fatalf("%d waiters returned, want 2", n)
		}
	})
}

// noWait makes TestHammer free without a grace period.
const noWait = "RCU_TEST_NO_WAIT"

// TestHammer frees a module's data while walkers look at it.
func TestHammer(t *testing.T) {
	var p Period
	var hook atomic.Pointer[[]int] // the module's table
	data := []int{1}
	hook.Store(&data)
	var stop atomic.Bool
	var walks atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for !stop.Load() {
				w := p.Enter()
				h := hook.Load()
				runtime.Gosched() // the writer unhooks and, without Wait, frees
				if h != nil {
					_ = (*h)[0]
				}
				w.Exit()
				walks.Add(1)
			}
		})
	}
	for i := range 300 {
		for seen := walks.Load(); walks.Load() < seen+8; {
			runtime.Gosched()
		}
		hook.Store(nil) // unhook
		if os.Getenv(noWait) == "" {
			p.Wait() // grace period
		}
		data[0] = i // free: nobody looks any more
		hook.Store(&data)
	}
	stop.Store(true)
	wg.Wait()
}

// TestHammerCanFail runs TestHammer without the grace period: the race
// detector must complain, or TestHammer would prove nothing.
func TestHammerCanFail(t *testing.T) {
	if !raceEnabled {
		t.Skip("the race detector is not compiled in: run with -race")
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestHammer$")
	cmd.Env = append(os.Environ(), noWait+"=1")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "DATA RACE") {
		t.Fatalf("no race found without the grace period: %v\n%s", err, out)
	}
}

func TestWalkDoesNotAllocate(t *testing.T) {
	var p Period
	if n := testing.AllocsPerRun(1000, func() { p.Enter().Exit() }); n != 0 {
		t.Fatalf("%v allocations per walk, want 0", n)
	}
}

func BenchmarkWalk(b *testing.B) {
	var p Period
	b.Run("alone", func(b *testing.B) {
		for b.Loop() {
			p.Enter().Exit()
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				p.Enter().Exit()
			}
		})
	})
}
