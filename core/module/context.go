package module

import (
	"context"

	"github.com/knitnet/knit/core/klog"
)

// A Context is a module's handle on the kernel, from Init until it is
// unloaded. Its methods may be called concurrently and on any goroutine of the
// module, also after Init has returned.
type Context struct{ m *loaded }

// Name returns the module's name.
func (c *Context) Name() string { return c.m.spec.Name }

// Log returns the module's voice in dmesg.
func (c *Context) Log() *klog.Logger { return c.m.log() }

// Context returns a context that ends when the module is unloaded and, while
// Init runs, when the call that loads it is cancelled. Pass it on to calls
// that may autoload a module.
func (c *Context) Context() context.Context { return c.m.ctx }

// Registry returns the registry that the module is loaded in.
func (c *Context) Registry() *Registry { return c.m.r }

// Request autoloads the module behind an alias (see Registry.Request); it is
// safe inside Init.
func (c *Context) Request(alias string) error { return c.m.r.Request(c.m.ctx, alias) }

// Cleanup registers a function that unregisters something, to run in the first
// phase of unloading or when Init fails: last in, first out, before the grace
// period. Packets may still be inside the module then, so it must not free
// what they use: see Free. When that phase is over already, undo runs at once.
func (c *Context) Cleanup(undo func()) { c.m.scope.cleanups.add("", undo) }

// Undo is Cleanup for something that may also end earlier: the returned
// function runs undo, at most once in all.
func (c *Context) Undo(undo func()) (now func()) { return c.m.scope.cleanups.add("", undo) }

// Free registers a function to run at the very end of unloading, last in,
// first out: no packet is inside the module any more and its goroutines have
// ended.
func (c *Context) Free(f func()) { c.m.scope.frees.add("", f) }

// Own records that the module holds a resource of this kind, a singular noun
// such as "socket" or "timer". The module releases it with done, which calls
// release at most once. What it has not released at unload is released then
// and reported in dmesg: "hello: reclaimed 2 sockets, 1 timer".
func (c *Context) Own(kind string, release func()) (done func()) {
	return c.m.scope.owned.add(kind, release)
}

// Track lets n be asked at the end of unloading how many things of this kind
// are still there, such as packets. A number other than zero is reported in
// dmesg: "hello: left behind 3 packets".
func (c *Context) Track(kind string, n func() int) {
	s := &c.m.scope
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gauges = append(s.gauges, gauge{kind, n})
}

// Go runs f on a goroutine of the module. Unloading ends ctx and waits for f
// to return; a module whose goroutines do not end stays Unloading and says so
// in dmesg. A panic ends f and is an entry in dmesg. It reports false, and
// does not run f, when the module's goroutines are being stopped already.
func (c *Context) Go(f func(ctx context.Context)) bool {
	return c.m.scope.spawn(func() { f(c.m.ctx) })
}

// OnDrain calls f when the module begins to be unloaded, and with `modprobe -r
// --wait` while its users are still there: a service stops accepting, and lets
// those who are served finish. New users are refused by then.
func (c *Context) OnDrain(f func()) {
	s := &c.m.scope
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onDrain = append(s.onDrain, f)
}

// OnResume calls f when draining was given up because the deadline passed:
// the module stays live, and a service accepts again.
func (c *Context) OnResume(f func()) {
	s := &c.m.scope
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onResume = append(s.onResume, f)
}
