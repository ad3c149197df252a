package module

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

func TestAliasAndBlacklist(t *testing.T) {
	cubic, bbr := spec("cubic"), spec("bbr")
	cubic.Alias = []string{"tcp-cc-cubic", "tcp-cc-any"}
	bbr.Alias = []string{"tcp-cc-bb[!a]", "tcp-cc-any"}
	r, _ := newRegistry(t, cubic, bbr)
	must(t, r.Request(ctx, "tcp_cc-bbr")) // - and _ are equal
	wantNames(t, r, "bbr")
	wantErr(t, r.Request(ctx, "tcp-cc-bba"), ErrNotFound, "Module tcp-cc-bba not found")
	r.Blacklist("cubic")
	wantErr(t, r.Request(ctx, "tcp-cc-cubic"), ErrNotFound, "Module tcp-cc-cubic not found (cubic is blacklisted)")
	must(t, r.Request(ctx, "tcp-cc-any")) // the other one has the alias too
	wantNames(t, r, "bbr")
	must(t, r.Modprobe(ctx, "cubic")) // by its own name it may be loaded
	wantNames(t, r, "cubic bbr")
}

// The real modprobe's patterns: fnmatch(3), - and _ equal outside brackets.
func TestMatchAlias(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"net-pf-2-proto-6", "net_pf_2_proto_6", true},
		{"net-pf-2-proto-6", "net-pf-2-proto-60", false},
		{"tcp-cc-*", "tcp-cc-", true},
		{"tcp-cc-*", "tcp-cc-a/b", true}, // no special slash
		{"rtnl-link-tu?", "rtnl-link-tun", true},
		{"a[0-9]b", "a5b", true},
		{"a[!0-9]b", "a5b", false},
		{"a[!0-9]b", "axb", true},
		{"a/b", "a/b", true},
	} {
		if got, err := matchAlias(c.pattern, c.name); got != c.want || err != nil {
			t.Errorf("matchAlias(%q, %q) = %v, %v; want %v", c.pattern, c.name, got, err, c.want)
		}
	}
}

func TestSoftdeps(t *testing.T) {
	bad := spec("bad", "baddep")
	bad.Init = func(*Context) error { return errors.New("no") }
	tcp := spec("tcp", "ip")
	tcp.Softdep = Softdep{Pre: []string{"missing", "bad", "pre"}, Post: []string{"cubic", "tcp"}}
	r, _ := newRegistry(t, tcp, spec("ip"), spec("pre"), spec("cubic", "tcp"), bad, spec("baddep"), spec("hello", "tcp"))
	must(t, r.Modprobe(ctx, "hello"))
	wantNames(t, r, "hello cubic tcp pre ip") // bad and what it had brought are gone

	wantErr(t, r.Remove(ctx, "tcp", RemoveOptions{Deps: true}), ErrInUse, "Module tcp is in use by: cubic hello")
	wantNames(t, r, "hello cubic tcp pre ip") // refused, so nothing changed
	must(t, r.Unload(ctx, "hello"))
	must(t, r.Remove(ctx, "tcp", RemoveOptions{Deps: true}))
	wantNames(t, r, "")
}

// Softdeps may point at each other and at a module that needs the one in
// progress.
func TestSoftdepLoops(t *testing.T) {
	a, b := spec("a"), spec("b")
	a.Softdep.Pre = []string{"b", "user"}
	b.Softdep = Softdep{Pre: []string{"a"}, Post: []string{"a"}}
	r, _ := newRegistry(t, a, b, spec("user", "a"))
	must(t, r.Modprobe(ctx, "a"))
	for _, name := range []string{"a", "b", "user"} {
		if _, ok := r.Loaded(name); !ok {
			t.Errorf("%s is not loaded: %s", name, names(r))
		}
	}
}

// Two calls that load the same module share one Init.
func TestConcurrentModprobe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var inits atomic.Int32
		hold := make(chan struct{})
		m := spec("m", "dep")
		m.Init = func(*Context) error {
			inits.Add(1)
			<-hold
			return nil
		}
		r, err := New(Config{}, m, spec("dep"), spec("other", "dep"))
		must(t, err)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if err := r.Modprobe(ctx, "m"); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		must(t, r.Modprobe(ctx, "other")) // an Init that blocks stops nobody else
		if info, _ := r.Loaded("m"); info.State != Loading {
			t.Errorf("state %v, want Loading", info.State)
		}
		close(hold)
		wg.Wait()
		if n := inits.Load(); n != 1 {
			t.Errorf("Init ran %d times", n)
		}
	})
}

// request_module inside Init works, and is undone with the load that it was
// part of.
func TestRequestInsideInit(t *testing.T) {
	fail := false
	outer, inner := spec("outer"), spec("inner", "innerdep")
	inner.Alias = []string{"net-pf-2"}
	outer.Init = func(c *Context) error {
		if err := c.Request("net-pf-2"); err != nil {
			return err
		}
		if fail {
			return errors.New("no")
		}
		return nil
	}
	top := spec("top", "outer")
	top.Init = func(*Context) error { return errors.New("no") }
	r, _ := newRegistry(t, outer, inner, spec("innerdep"), top)
	must(t, r.Modprobe(ctx, "outer"))
	wantNames(t, r, "inner innerdep outer")
	must(t, r.Unload(ctx, "outer"))
	must(t, r.Remove(ctx, "inner", RemoveOptions{Deps: true}))
	wantNames(t, r, "")

	if r.Modprobe(ctx, "top") == nil {
		t.Fatal("top loaded")
	}
	wantNames(t, r, "") // undone: outer, and what its Init had loaded
	fail = true
	if r.Modprobe(ctx, "outer") == nil {
		t.Fatal("outer loaded")
	}
	wantNames(t, r, "")
}

// An Init that asks, through another module, for itself is refused instead of
// waiting for ever.
func TestRequestItself(t *testing.T) {
	a, c := spec("a"), spec("c")
	a.Init = func(ctx *Context) error { return ctx.Request("b") }
	c.Init = func(ctx *Context) error { return ctx.Request("a") }
	r, _ := newRegistry(t, a, spec("b", "c"), c)
	err := r.Modprobe(ctx, "a")
	wantErr(t, err, ErrCycle, "")
	if !strings.Contains(err.Error(), "module a: dependency cycle: a -> c -> a") {
		t.Errorf("error = %v", err)
	}
	wantNames(t, r, "")
}

// Two loads whose Inits ask for each other's module: one of them is refused,
// and neither waits for ever.
func TestRequestCrosswise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var both sync.WaitGroup
		both.Add(2)
		a, b := spec("a"), spec("b")
		var refused atomic.Int32
		ask := func(other string) func(*Context) error {
			return func(c *Context) error {
				both.Done()
				both.Wait()
				err := c.Request(other)
				if errors.Is(err, ErrCycle) {
					refused.Add(1)
					return nil
				}
				return err
			}
		}
		a.Init, b.Init = ask("b"), ask("a")
		r, err := New(Config{}, a, b)
		must(t, err)
		var wg sync.WaitGroup
		for _, name := range []string{"a", "b"} {
			wg.Go(func() {
				if err := r.Modprobe(ctx, name); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := refused.Load(); n != 1 {
			t.Errorf("%d requests refused, want 1", n)
		}
	})
}

// A request with a context from nowhere cannot be recognised, but ends.
func TestRequestItselfWithoutContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := spec("a")
		a.Init = func(c *Context) error { return c.Registry().Request(ctx, "a") }
		r, err := New(Config{}, a)
		must(t, err)
		if err := r.Modprobe(ctx, "a"); err == nil {
			t.Error("a waited for itself and was loaded")
		}
		wantNames(t, r, "")
	})
}

// Imports find the module that exports the symbol, and hold it.
func TestSymbols(t *testing.T) {
	tcp := spec("tcp")
	tcp.Exports = []string{"tcp_listen"}
	tcp.Init = func(c *Context) error { return Export(c, "tcp_listen", 42) }
	var value int
	hello := spec("hello")
	hello.Imports = []string{"tcp_listen", "clock"}
	hello.Init = func(c *Context) (err error) {
		if _, err := Import[string](c, "clock"); err != nil {
			return err
		}
		value, err = Import[int](c, "tcp_listen")
		return err
	}
	r, log := newRegistry(t, tcp, hello, Spec{Name: "lost", Imports: []string{"nowhere"}, Init: idle})
	wantErr(t, r.Modprobe(ctx, "hello"), ErrUnknownSymbol, "could not insert 'hello': Unknown symbol in module: clock")
	must(t, r.Provide("clock", "tick"))
	defer r.unexport(nil, "clock")
	must(t, r.Modprobe(ctx, "hello"))
	wantNames(t, r, "hello tcp")
	if value != 42 {
		t.Errorf("imported %d, want 42", value)
	}
	wantErr(t, r.Unload(ctx, "tcp"), ErrInUse, "Module tcp is in use by: hello")
	wantErr(t, r.Modprobe(ctx, "lost"), ErrUnknownSymbol, "")
	if want := "hello: Unknown symbol clock (err -2)\nlost: Unknown symbol nowhere (err -2)\n"; dmesg(log) != want {
		t.Errorf("dmesg:\n%s", dmesg(log))
	}
}

func TestSymbolMistakes(t *testing.T) {
	owner := spec("owner")
	owner.Init = func(c *Context) error { return Export(c, "sym", 1) }
	try := func(f func(c *Context) error, deps ...string) Spec {
		s := spec("try", deps...)
		s.Init = f
		return s
	}
	importAs := func(c *Context) error { _, err := Import[int](c, "sym"); return err }
	for _, c := range []struct {
		spec Spec
		want string
	}{
		{try(importAs), "could not insert 'try': import sym: permission denied: try must list it in Imports, or owner in Depends"},
		{try(func(c *Context) error { _, err := Import[error](c, "sym"); return err }, "owner"),
			"could not insert 'try': import sym: exec format error: it is a int, not a error"},
		{try(func(c *Context) error { return Export(c, "sym", 2) }), "could not insert 'try': export sym: file exists: owned by owner"},
		{Spec{Name: "try", Exports: []string{"other"}, Init: idle}, "could not insert 'try': declares symbol other but does not export it"},
	} {
		r, _ := newRegistry(t, owner, c.spec)
		must(t, r.Modprobe(ctx, "owner"))
		if err := r.Modprobe(ctx, "try"); err == nil || err.Error() != c.want {
			t.Errorf("error\n %v\nwant\n %s", err, c.want)
		}
		wantNames(t, r, "owner")
	}
}

// The program that embeds the kernel finds symbols without being a module.
func TestFind(t *testing.T) {
	m := spec("m")
	m.Init = func(c *Context) error {
		c.Log().Notice("ready")
		return c.Register(func() {}, Export(c, "sym", 7))
	}
	r, log := newRegistry(t, m)
	if _, ok := Find[int](r, "sym"); ok {
		t.Error("Find finds a symbol of a module that is not loaded")
	}
	must(t, r.Modprobe(ctx, "m"))
	if v, ok := Find[int](r, "sym"); v != 7 || !ok {
		t.Errorf("Find = %v, %v; want 7", v, ok)
	}
	if _, ok := Find[string](r, "sym"); ok {
		t.Error("Find returns a symbol of another type")
	}
	if got := dmesg(log); got != "m: ready\n" {
		t.Errorf("dmesg %q", got)
	}
}

// Register passes on the error of a registration, and undoes one that worked.
func TestRegister(t *testing.T) {
	var undone []string
	register := func(name string, err error) (func(), error) {
		return func() { undone = append(undone, name) }, err
	}
	why := errors.New("taken")
	m := spec("m")
	m.Init = func(c *Context) error {
		for _, name := range []string{"a", "b"} {
			if err := c.Register(register(name, nil)); err != nil {
				return err
			}
		}
		return c.Register(register("c", why))
	}
	r, _ := newRegistry(t, m)
	wantErr(t, r.Modprobe(ctx, "m"), why, "")
	if got := strings.Join(undone, " "); got != "b a" {
		t.Errorf("undone %q, want b a", got)
	}
}

// A dependency that has been loaded stays until the load that needs it is done.
func TestLoadUnderWayHoldsDependencies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		b := spec("b")
		b.Init = func(*Context) error { <-hold; return nil }
		r, err := New(Config{}, spec("a"), b, spec("top", "a", "b"))
		must(t, err)
		done := make(chan error, 1)
		go func() { done <- r.Modprobe(ctx, "top") }()
		synctest.Wait()
		wantErr(t, r.Unload(ctx, "a"), ErrInUse, "Module a is in use by a load under way")
		close(hold)
		must(t, <-done)
		wantNames(t, r, "top b a")
		must(t, r.Remove(ctx, "top", RemoveOptions{Deps: true}))
		wantNames(t, r, "")
	})
}
