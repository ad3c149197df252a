package module

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/knitnet/knit/core/rcu"
)

// part is one module of the hammer: it exports a value that is valid only
// while the module is loaded.
type part struct {
	alive atomic.Int32
	inits atomic.Int32
	frees atomic.Int32
}

// hammerSpecs builds a graph in which each module imports from the next two
// and asks, in its Init, for yet another one. Some Inits fail now and then.
func hammerSpecs(t *testing.T, parts []part, inits *atomic.Int32) []Spec {
	var specs []Spec
	for i := range parts {
		s := Spec{Name: fmt.Sprint("m", i), Alias: []string{fmt.Sprint("alias-", i)}, Exports: []string{fmt.Sprint("sym", i)}}
		for d := i + 1; d <= i+2 && d < len(parts); d++ {
			s.Imports = append(s.Imports, fmt.Sprint("sym", d))
		}
		s.Init = func(c *Context) error {
			p := &parts[i]
			p.inits.Add(1)
			inits.Add(1)
			runtime.Gosched()
			if n := p.alive.Add(1); n != 1 {
				t.Errorf("%s: %d instances", c.Name(), n)
			}
			c.Free(func() {
				p.alive.Add(-1)
				p.frees.Add(1)
			})
			c.Go(func(ctx context.Context) { <-ctx.Done() })
			for _, sym := range s.Imports {
				d, err := Import[*part](c, sym)
				if err != nil {
					t.Error(err)
					return err
				}
				if d.alive.Load() != 1 {
					t.Errorf("%s: dependency %s is not alive", c.Name(), sym)
				}
				c.Free(func() {
					if d.alive.Load() != 1 {
						t.Errorf("%s: dependency %s went first", c.Name(), sym)
					}
				})
			}
			if rand.IntN(4) == 0 {
				_ = c.Request(fmt.Sprint("alias-", rand.IntN(len(parts)))) // may be a cycle
			}
			if rand.IntN(8) == 0 {
				return errors.New("bad luck")
			}
			return Export(c, fmt.Sprint("sym", i), p)
		}
		specs = append(specs, s)
	}
	return specs
}

// TestHammer loads and unloads from many goroutines at once. No module may be
// there twice, outlive what it depends on, or be left over.
func TestHammer(t *testing.T) {
	const enough = 200 // Inits
	before := runtime.NumGoroutine()
	var inits atomic.Int32
	parts := make([]part, 7)
	var period rcu.Period
	r, err := New(Config{Grace: period.Wait, LoadTimeout: 5 * time.Second}, hammerSpecs(t, parts, &inits)...)
	must(t, err)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for inits.Load() < enough {
				hammerOnce(r, fmt.Sprint("m", rand.IntN(len(parts))))
				period.Enter().Exit()
			}
		})
	}
	wg.Wait()
	for _, m := range r.Modules() { // nothing holds on to what nobody uses
		if err := r.Unload(ctx, m.Name); err != nil {
			t.Errorf("at the end: %v", err)
		}
	}
	must(t, r.Shutdown(ctx))
	wantNames(t, r, "")
	if len(r.Symbols()) != 0 {
		t.Errorf("symbols left: %v", r.Symbols())
	}
	for i := range parts {
		if a, n, f := parts[i].alive.Load(), parts[i].inits.Load(), parts[i].frees.Load(); a != 0 || n != f {
			t.Errorf("m%d: %d alive, %d inits, %d frees", i, a, n, f)
		}
	}
	waitGoroutines(t, before)
}

func hammerOnce(r *Registry, name string) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	switch rand.IntN(7) {
	case 0, 1, 2:
		_ = r.Modprobe(ctx, name)
	case 3:
		_ = r.Load(ctx, name)
	case 4:
		for _, m := range r.Modules() { // newest first, so that most go
			_ = r.Unload(ctx, m.Name)
		}
	case 5:
		_ = r.Remove(ctx, name, RemoveOptions{Deps: true, Wait: time.Millisecond})
	case 6:
		time.AfterFunc(50*time.Microsecond, cancel)
		_ = r.Modprobe(ctx, name)
	}
	_ = FormatLsmod(r.Modules())
}

// waitGoroutines waits until no more goroutines run than before; the last
// steps of those that have signalled their end may still be under way.
func waitGoroutines(t *testing.T, before int) {
	t.Helper()
	for range 1000 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(time.Millisecond)
	}
	buf := make([]byte, 1<<16)
	t.Errorf("goroutines: %d before, %d after\n%s", before, runtime.NumGoroutine(), buf[:runtime.Stack(buf, true)])
}

// TestUsersHammer takes and leaves uses while the module is unloaded: a user
// that got in is never in a module that has been freed.
func TestUsersHammer(t *testing.T) {
	var current atomic.Pointer[Users]
	var alive atomic.Bool
	m := spec("m")
	m.Init = func(c *Context) error {
		alive.Store(true)
		current.Store(c.Users("socket"))
		c.Free(func() { alive.Store(false) })
		return nil
	}
	r, err := New(Config{}, m)
	must(t, err)
	must(t, r.Modprobe(ctx, "m"))
	var stop atomic.Bool
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for !stop.Load() {
				if u := current.Load(); u.Get() {
					if !alive.Load() {
						t.Error("a user in a module that was freed")
					}
					u.Put()
				}
				runtime.Gosched()
			}
		})
	}
	for unloads := 0; unloads < 200; {
		if r.Remove(ctx, "m", RemoveOptions{Wait: time.Second}) == nil {
			unloads++
			must(t, r.Modprobe(ctx, "m"))
		}
	}
	stop.Store(true)
	wg.Wait()
	must(t, r.Shutdown(ctx))
}
