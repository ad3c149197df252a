package module

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// modprobe -r takes along what only the module needed.
func TestRemoveDeps(t *testing.T) {
	r, _ := newRegistry(t, spec("hello", "tcp", "log"), spec("tcp", "ip4"), spec("ip4", "arp"), spec("arp"), spec("log"), spec("udp", "ip4"))
	must(t, r.Modprobe(ctx, "hello"))
	must(t, r.Modprobe(ctx, "udp"))
	must(t, r.Remove(ctx, "hello", RemoveOptions{Deps: true}))
	wantNames(t, r, "udp ip4 arp")
	must(t, r.Remove(ctx, "udp", RemoveOptions{}))
	wantNames(t, r, "ip4 arp")
	wantErr(t, r.Remove(ctx, "udp", RemoveOptions{}), ErrNotLoaded, "Module udp is not currently loaded")
	wantErr(t, r.Remove(ctx, "nope", RemoveOptions{}), ErrNotFound, "")
}

func TestRemoveByAlias(t *testing.T) {
	a, b, c := spec("a"), spec("b"), spec("c")
	a.Alias, b.Alias, c.Alias = []string{"x-*"}, []string{"x-1"}, []string{"x-1"}
	r, _ := newRegistry(t, a, b, c)
	must(t, r.Modprobe(ctx, "a"))
	must(t, r.Modprobe(ctx, "c"))
	must(t, r.Remove(ctx, "x-1", RemoveOptions{})) // b is not loaded: no error
	wantNames(t, r, "")
	wantErr(t, r.Remove(ctx, "x-1", RemoveOptions{}), ErrNotLoaded, "")
}

// drainable is a module that records what draining tells it.
func drainable(events *[]string, c **Context) Spec {
	s := spec("m")
	s.Init = func(ctx *Context) error {
		*c = ctx
		ctx.OnDrain(func() { *events = append(*events, "drain") })
		ctx.OnResume(func() { *events = append(*events, "resume") })
		return nil
	}
	return s
}

// --wait refuses new users and unloads when the last one has left.
func TestRemoveWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events []string
		var c *Context
		r, err := New(Config{}, drainable(&events, &c), spec("holder", "m"), spec("late", "m"))
		must(t, err)
		must(t, r.Modprobe(ctx, "holder"))
		u := c.Users("socket")
		u.Get()
		u.Get()
		done := make(chan error, 1)
		begin := time.Now()
		go func() { done <- r.Remove(ctx, "m", RemoveOptions{Wait: time.Minute}) }()
		synctest.Wait()
		if len(events) != 1 || u.Get() {
			t.Fatalf("draining: events %v, or it takes a new user", events)
		}
		if err := r.Modprobe(ctx, "m"); err == nil {
			t.Error("Modprobe of a draining module succeeded")
		}
		wantErr(t, r.Unload(ctx, "m"), syscall.EBUSY, "module m is being loaded or unloaded: device or resource busy")
		wantErr(t, r.Load(ctx, "late"), syscall.EBUSY, "")
		if info, _ := r.Loaded("m"); info.State != Live || info.Refs != 3 {
			t.Errorf("draining: state %v, refs %d; want Live, 3", info.State, info.Refs)
		}
		time.Sleep(time.Second)
		u.Put()
		u.Put()
		time.Sleep(time.Second)
		must(t, r.Unload(ctx, "holder"))
		must(t, <-done)
		if d := time.Since(begin); d != 2*time.Second {
			t.Errorf("drain ended after %v, want 2s: as soon as the last one left", d)
		}
		if len(events) != 1 {
			t.Errorf("events %v, want one drain", events)
		}
	})
}

// The last user who leaves ends the drain, not a timer.
func TestRemoveWaitForUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events []string
		var c *Context
		r, err := New(Config{}, drainable(&events, &c))
		must(t, err)
		must(t, r.Modprobe(ctx, "m"))
		u := c.Users("socket")
		u.Get()
		begin := time.Now()
		time.AfterFunc(time.Second, u.Put)
		must(t, r.Remove(ctx, "m", RemoveOptions{Wait: time.Minute}))
		if d := time.Since(begin); d != time.Second {
			t.Errorf("drain ended after %v, want 1s", d)
		}
	})
}

// After the deadline the module is live as before.
func TestRemoveWaitInVain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events []string
		var c *Context
		r, err := New(Config{}, drainable(&events, &c))
		must(t, err)
		must(t, r.Modprobe(ctx, "m"))
		release, _ := c.Use("connection")
		err = r.Remove(ctx, "m", RemoveOptions{Wait: time.Second})
		wantErr(t, err, ErrInUse, "Module m is in use by 1 connection")
		if len(events) != 2 || events[1] != "resume" {
			t.Errorf("events %v, want drain resume", events)
		}
		if second, ok := c.Use("connection"); !ok {
			t.Error("the module takes no users after the drain was given up")
		} else {
			second()
		}
		release()
		must(t, r.Unload(ctx, "m"))
		if len(events) != 3 || events[2] != "drain" {
			t.Errorf("events %v, want a second drain", events)
		}
	})
}

// The kernel ends: users are not asked.
func TestShutdown(t *testing.T) {
	var events []string
	var c *Context
	r, err := New(Config{}, drainable(&events, &c), spec("a", "m"))
	must(t, err)
	must(t, r.Modprobe(ctx, "a"))
	c.Users("socket").Get()
	must(t, r.Shutdown(ctx))
	wantNames(t, r, "")
	wantErr(t, r.Modprobe(ctx, "a"), ErrShutdown, "could not insert 'm': the kernel is shut down")
	c.Users("socket").Put() // a late user does no harm
}

// A module that is stuck is reported, and what it holds is left alone.
func TestShutdownStuck(t *testing.T) {
	hold := make(chan struct{})
	m := spec("m", "dep")
	m.Init = func(c *Context) error {
		c.Go(func(context.Context) { <-hold })
		return nil
	}
	r, err := New(Config{StopTimeout: time.Millisecond}, m, spec("dep"), spec("free"))
	must(t, err)
	must(t, r.Modprobe(ctx, "m"))
	must(t, r.Modprobe(ctx, "free"))
	if err := r.Shutdown(ctx); !errors.Is(err, ErrStuck) {
		t.Errorf("Shutdown = %v, want ErrStuck", err)
	}
	wantNames(t, r, "m dep")
	close(hold)
}

// Shutdown waits for a load that is under way, and undoes it.
func TestShutdownWhileLoading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		m := spec("m")
		m.Init = func(*Context) error { <-hold; return nil }
		r, err := New(Config{}, m)
		must(t, err)
		go func() { _ = r.Modprobe(ctx, "m") }()
		synctest.Wait()
		done := make(chan error, 1)
		go func() { done <- r.Shutdown(ctx) }()
		synctest.Wait()
		close(hold)
		must(t, <-done)
		wantNames(t, r, "")
	})
}

// Shutdown does not wait for a drain; the drain notices.
func TestShutdownWhileDraining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events []string
		var c *Context
		r, err := New(Config{}, drainable(&events, &c))
		must(t, err)
		must(t, r.Modprobe(ctx, "m"))
		c.Users("socket").Get()
		done := make(chan error, 1)
		go func() { done <- r.Remove(ctx, "m", RemoveOptions{Wait: time.Hour}) }()
		synctest.Wait()
		begin := time.Now()
		must(t, r.Shutdown(ctx))
		wantErr(t, <-done, ErrNotLoaded, "")
		if d := time.Since(begin); d != 0 {
			t.Errorf("Shutdown and drain took %v", d)
		}
		if len(events) != 1 {
			t.Errorf("events %v, want one drain", events)
		}
	})
}
