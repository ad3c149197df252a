package module

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/knitnet/knit/core/klog"
)

// idle is an Init that does nothing.
func idle(*Context) error { return nil }

// spec returns a module that does nothing and depends on others.
func spec(name string, deps ...string) Spec { return Spec{Name: name, Depends: deps, Init: idle} }

// newRegistry returns a registry and its log. At the end of the test it is
// shut down, and nothing of it may be left.
func newRegistry(t testing.TB, specs ...Spec) (*Registry, *klog.Log) {
	t.Helper()
	log := klog.New(nil, 0)
	r, err := New(Config{Log: log}, specs...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Shutdown(context.Background()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if names(r) != "" || len(r.Symbols()) != 0 {
			t.Errorf("left after Shutdown: %s %v", names(r), r.Symbols())
		}
	})
	return r, log
}

// names lists the loaded modules, newest first.
func names(r *Registry) string {
	var s []string
	for _, m := range r.Modules() {
		s = append(s, m.Name)
	}
	return strings.Join(s, " ")
}

// dmesg returns the log's messages without times, one a line.
func dmesg(l *klog.Log) string {
	var b strings.Builder
	for _, e := range l.Since(0) {
		if e.Module != "" {
			b.WriteString(e.Module + ": ")
		}
		b.WriteString(e.Text + "\n")
	}
	return b.String()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantNames(t testing.TB, r *Registry, want string) {
	t.Helper()
	if got := names(r); got != want {
		t.Fatalf("loaded: %q, want %q", got, want)
	}
}

func wantErr(t testing.TB, err, is error, text string) {
	t.Helper()
	if !errors.Is(err, is) {
		t.Fatalf("error = %v, want %v", err, is)
	}
	if text != "" && err.Error() != text {
		t.Fatalf("error text\n %s\nwant\n %s", err, text)
	}
}

var ctx = context.Background()

func TestModprobeLoadsDependencies(t *testing.T) {
	r, _ := newRegistry(t, spec("hello", "tcp"), spec("tcp", "ip4", "ip-common"), spec("ip4", "ip_common"), spec("ip_common"))
	must(t, r.Modprobe(ctx, "hello"))
	wantNames(t, r, "hello tcp ip4 ip_common")
	must(t, r.Modprobe(ctx, "hello")) // already loaded is a success
	info, _ := r.Loaded("ip-common")
	if info.Refs != 2 || strings.Join(info.Holders, ",") != "ip4,tcp" {
		t.Errorf("ip_common: refs %d, holders %v; want 2, ip4 tcp", info.Refs, info.Holders)
	}
}

// insmod loads one module only and does not look for its dependencies.
func TestLoadIsInsmod(t *testing.T) {
	r, log := newRegistry(t, spec("hello", "tcp"), spec("tcp"))
	err := r.Load(ctx, "hello")
	wantErr(t, err, ErrUnknownSymbol, "could not insert 'hello': Unknown symbol in module: tcp")
	wantErr(t, err, syscall.ENOENT, "")
	if got := dmesg(log); got != "hello: Unknown symbol tcp (err -2)\n" {
		t.Errorf("dmesg: %s", got)
	}
	must(t, r.Load(ctx, "tcp"))
	must(t, r.Load(ctx, "hello"))
	wantErr(t, r.Load(ctx, "hello"), syscall.EEXIST, "could not insert 'hello': file exists")
	wantErr(t, r.Load(ctx, "nope"), ErrNotFound, "Module nope not found")
}

// rmmod's words; who holds the module is named.
func TestUnloadInUse(t *testing.T) {
	var c *Context
	tcp := spec("tcp")
	tcp.Init = func(ctx *Context) error { c = ctx; return nil }
	r, _ := newRegistry(t, tcp, spec("hello", "tcp"), spec("ftp", "tcp"))
	must(t, r.Modprobe(ctx, "hello"))
	must(t, r.Modprobe(ctx, "ftp"))
	wantErr(t, r.Unload(ctx, "tcp"), ErrInUse, "Module tcp is in use by: ftp hello")
	release, ok := c.Use("socket")
	if !ok {
		t.Fatal("Use refused on a live module")
	}
	u := c.Users("device")
	u.Get()
	u.Get()
	wantErr(t, r.Unload(ctx, "tcp"), syscall.EBUSY, "Module tcp is in use by: ftp hello and by 2 devices, 1 socket")
	must(t, r.Unload(ctx, "hello"))
	must(t, r.Unload(ctx, "ftp"))
	wantErr(t, r.Unload(ctx, "tcp"), ErrInUse, "Module tcp is in use by 2 devices, 1 socket")
	release()
	release() // once only
	u.Put()
	u.Put()
	must(t, r.Unload(ctx, "tcp"))
	if _, ok := c.Use("socket"); ok || u.Get() {
		t.Error("a module that is gone takes a user")
	}
	wantErr(t, r.Unload(ctx, "tcp"), ErrNotLoaded, "Module tcp is not currently loaded")
}

func TestCycle(t *testing.T) {
	r, _ := newRegistry(t, spec("a", "b"), spec("b", "a"), spec("x", "d", "a"), spec("d"), spec("self", "self"))
	wantErr(t, r.Modprobe(ctx, "a"), ErrCycle, "module a: dependency cycle: a -> b -> a")
	wantErr(t, r.Modprobe(ctx, "x"), ErrCycle, "module x: dependency cycle: a -> b -> a")
	wantErr(t, r.Modprobe(ctx, "self"), ErrCycle, "module self: dependency cycle: self -> self")
	wantNames(t, r, "") // nothing was begun
}

// What the module had done is undone, last first, and what the call had loaded
// goes too, except what was there before.
func TestFailedInitIsUndone(t *testing.T) {
	var steps []string
	step := func(s string) func() { return func() { steps = append(steps, s) } }
	why := errors.New("no luck")
	bad := spec("bad", "dep", "kept")
	bad.Init = func(c *Context) error {
		c.Cleanup(step("first"))
		c.Free(step("free"))
		c.Own("socket", step("release"))
		c.Cleanup(step("second"))
		c.OnDrain(step("drain")) // never live: no work to finish
		must(t, Export(c, "sym", 1))
		return why
	}
	r, log := newRegistry(t, bad, spec("dep"), spec("kept"))
	must(t, r.Modprobe(ctx, "kept"))
	wantErr(t, r.Modprobe(ctx, "bad"), why, "could not insert 'bad': no luck")
	if got := strings.Join(steps, " "); got != "second first release free" {
		t.Errorf("undone: %s", got)
	}
	wantNames(t, r, "kept")
	if got := dmesg(log); got != "bad: init failed: no luck\nbad: reclaimed 1 socket\n" {
		t.Errorf("dmesg:\n%s", got)
	}
}

func TestPanicIsContained(t *testing.T) {
	undone := false
	crash := spec("crash", "dep")
	crash.Init = func(c *Context) error {
		c.Cleanup(func() { undone = true })
		c.Cleanup(func() { panic("in cleanup") })
		_ = c.Uint("port") // not declared
		return nil
	}
	leaver := spec("leaver")
	leaver.Init = func(*Context) error { runtime.Goexit(); return nil } // as t.FailNow does
	r, log := newRegistry(t, crash, spec("dep"), leaver)
	err := r.Modprobe(ctx, "crash")
	wantErr(t, err, ErrPanic, `could not insert 'crash': panic: module crash: parameter "port" is not declared`)
	if !undone {
		t.Error("what the module did before the panic was not undone")
	}
	wantNames(t, r, "")
	got := dmesg(log)
	for _, want := range []string{"crash: BUG: panic in Init: module crash", "module_test.go:", "crash: BUG: panic in a cleanup: in cleanup"} {
		if !strings.Contains(got, want) {
			t.Errorf("dmesg has no %q:\n%s", want, got)
		}
	}
	wantErr(t, r.Modprobe(ctx, "leaver"), ErrPanic, "")
}

// Phases: drain, unregister, grace period, goroutines, reclaim, free.
func TestUnloadOrder(t *testing.T) {
	var steps []string
	step := func(s string) func() { return func() { steps = append(steps, s) } }
	m := spec("m")
	m.Init = func(c *Context) error {
		c.Free(step("free1"))
		c.Free(step("free2"))
		c.Cleanup(step("cleanup1"))
		early := c.Undo(step("early"))
		c.Cleanup(step("cleanup2"))
		c.Own("timer", step("release"))
		done := c.Own("timer", step("done"))
		c.OnDrain(step("drain"))
		c.Track("packet", func() int { return 3 })
		c.Go(func(ctx context.Context) {
			<-ctx.Done()
			step("goroutine")()
			c.Cleanup(step("late")) // registered after its phase: undone at once
		})
		done()
		early()
		early()
		return nil
	}
	log := klog.New(nil, 0)
	r, err := New(Config{Log: log, Grace: step("grace")}, m)
	must(t, err)
	must(t, r.Modprobe(ctx, "m"))
	must(t, r.Unload(ctx, "m"))
	want := "done early drain cleanup2 cleanup1 grace goroutine late release free2 free1"
	if got := strings.Join(steps, " "); got != want {
		t.Errorf("steps\n %s\nwant\n %s", got, want)
	}
	if got, want := dmesg(log), "m: reclaimed 1 timer\nm: left behind 3 packets\n"; got != want {
		t.Errorf("dmesg %q, want %q", got, want)
	}
}

// A module whose goroutine does not end stays Unloading, takes no users, and
// goes when the goroutine ends after all.
func TestStuckGoroutine(t *testing.T) {
	hold := make(chan struct{})
	freed := make(chan struct{})
	m := spec("m", "dep")
	m.Init = func(c *Context) error {
		c.Go(func(context.Context) { <-hold })
		c.Free(func() { close(freed) })
		return nil
	}
	log := klog.New(nil, 0)
	r, err := New(Config{Log: log, StopTimeout: time.Millisecond}, m, spec("dep"))
	must(t, err)
	must(t, r.Modprobe(ctx, "m"))
	wantErr(t, r.Unload(ctx, "m"), ErrStuck, "module m: goroutines do not end")
	if info, _ := r.Loaded("m"); info.State != Unloading || info.Goroutines != 1 {
		t.Errorf("state %v with %d goroutines, want Unloading with 1", info.State, info.Goroutines)
	}
	if got, want := dmesg(log), "m: 1 goroutine does not end within 1ms; the module stays Unloading\n"; got != want {
		t.Errorf("dmesg %q, want %q", got, want)
	}
	wantErr(t, r.Unload(ctx, "m"), syscall.EBUSY, "")
	wantErr(t, r.Unload(ctx, "dep"), ErrInUse, "")
	select {
	case <-freed:
		t.Error("freed under a running goroutine")
	default:
	}
	close(hold)
	<-freed
	must(t, r.Modprobe(ctx, "m")) // waits until the old instance is gone
}

// The goroutine of a module waits for something that only unloading releases.
func TestReclaimUnblocksGoroutine(t *testing.T) {
	closed := make(chan struct{})
	m := spec("m")
	m.Init = func(c *Context) error {
		c.Own("socket", func() { close(closed) })
		c.Go(func(context.Context) { <-closed })
		return nil
	}
	r, log := newRegistry(t, m)
	must(t, r.Modprobe(ctx, "m"))
	must(t, r.Unload(ctx, "m"))
	if got := dmesg(log); got != "m: reclaimed 1 socket\n" {
		t.Errorf("dmesg: %s", got)
	}
}

func TestPanicInGoroutine(t *testing.T) {
	m := spec("m")
	m.Init = func(c *Context) error {
		c.Go(func(context.Context) { panic("oops") })
		return nil
	}
	r, log := newRegistry(t, m)
	must(t, r.Modprobe(ctx, "m"))
	must(t, r.Unload(ctx, "m"))
	if got := dmesg(log); !strings.HasPrefix(got, "m: BUG: panic in a goroutine: oops\n") {
		t.Errorf("dmesg: %s", got)
	}
}

// A module cannot wait for its own end.
func TestUnloadItself(t *testing.T) {
	result := make(chan error, 1)
	m := spec("m")
	m.Init = func(c *Context) error {
		c.Go(func(ctx context.Context) { result <- c.Registry().Unload(ctx, "m") })
		return nil
	}
	r, _ := newRegistry(t, m)
	must(t, r.Modprobe(ctx, "m"))
	wantErr(t, <-result, syscall.EDEADLK, "module m: cannot unload itself: resource deadlock avoided")
}

func TestCancelledLoad(t *testing.T) {
	started := make(chan struct{})
	slow := spec("slow", "dep")
	slow.Init = func(c *Context) error {
		close(started)
		<-c.Context().Done()
		return c.Context().Err()
	}
	r, _ := newRegistry(t, slow, spec("dep"))
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		<-started
		cancel()
	}()
	wantErr(t, r.Modprobe(ctx, "slow"), context.Canceled, "")
	wantNames(t, r, "")
	wantErr(t, r.Modprobe(ctx, "dep"), context.Canceled, "")
}

func TestMalformedSpecs(t *testing.T) {
	for what, s := range map[string]Spec{
		"no name":    {Init: idle},
		"space":      {Name: "a b", Init: idle},
		"no Init":    {Name: "a"},
		"bad alias":  {Name: "a", Init: idle, Alias: []string{"x["}},
		"twice":      {Name: "a", Init: idle, Params: []Param{Bool("a-b", false, ""), Int("a_b", 0, "")}},
		"bad range":  {Name: "a", Init: idle, Params: []Param{Uint("p", 0, "").Range(1, "x")}},
		"bad bounds": {Name: "a", Init: idle, Params: []Param{Int("p", 0, "").Range(2, 1)}},
		"default":    {Name: "a", Init: idle, Params: []Param{Int("p", 0, "").Range(1, 2)}},
		"no order":   {Name: "a", Init: idle, Params: []Param{String("p", "", "").Range("a", "b")}},
	} {
		if _, err := New(Config{}, s); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
	_, err := New(Config{}, spec("a-b"), spec("a_b"))
	wantErr(t, err, syscall.EEXIST, "")
}
