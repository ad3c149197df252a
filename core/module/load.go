package module

import (
	"context"
	"errors"
	"slices"
	"syscall"

	"github.com/knitnet/knit/core/klog"
)

// Load loads one module, as insmod: its dependencies must be live, or it fails
// with ErrUnknownSymbol; aliases and softdeps do not count. args are name=value. A
// module that is there already is EEXIST. While Init runs, the end of ctx ends
// the module's context too, and the load fails.
func (r *Registry) Load(ctx context.Context, name string, args ...string) error {
	key := canonical(name)
	r.mu.Lock()
	known := r.specs[key] != nil
	r.mu.Unlock()
	if !known {
		return &NotFoundError{Name: name}
	}
	o := r.newOp(ctx)
	fresh, err := o.ensure(key, args)
	if err == nil && !fresh {
		err = &LoadError{key, syscall.EEXIST}
	}
	o.end(nil) // a single module has undone itself
	return err
}

// Modprobe loads a module, or all that have the alias, with dependencies and
// softdeps first. A module that is loaded already is a success, and args are
// then without effect. On error everything that this call loaded is undone,
// unless somebody else has begun to use it.
//
// Called from inside an Init it should get the Context's context, so that a
// module that waits for itself is found out.
func (r *Registry) Modprobe(ctx context.Context, nameOrAlias string, args ...string) error {
	keys, err := r.Resolve(nameOrAlias)
	if err != nil {
		return err
	}
	o := r.newOp(ctx)
	for _, key := range keys {
		o.args[key] = args
	}
	for _, key := range keys {
		if err = o.load(key); err != nil {
			break
		}
	}
	o.end(err)
	return err
}

// Request asks for the module behind an alias because something is not there,
// as Linux's request_module: "tcp-cc-cubic", "rtnl-link-veth". It is Modprobe
// without arguments, and may be called from any control or socket path, also
// inside an Init (see Modprobe), but never inside a packet's walk.
func (r *Registry) Request(ctx context.Context, alias string) error {
	return r.Modprobe(ctx, alias)
}

// An op is one call of Load or Modprobe.
type op struct {
	r      *Registry
	ctx    context.Context
	frame  *frame // of the Init it was called from, or nil
	flow   *flow
	args   map[string][]string
	seen   map[string]bool // modules whose softdeps have been looked at
	loaded []*loaded       // by this call, in order
	pinned map[*loaded]bool
}

func (r *Registry) newOp(ctx context.Context) *op {
	r.mu.Lock()
	defer r.mu.Unlock()
	o := &op{
		r: r, ctx: ctx, frame: r.frameOf(ctx),
		args: map[string][]string{}, seen: map[string]bool{}, pinned: map[*loaded]bool{},
	}
	if o.frame != nil {
		o.flow = o.frame.m.flow
	} else {
		o.flow = &flow{waiting: map[*flow]int{}}
	}
	return o
}

// load loads key and all that it needs.
func (o *op) load(key string) error {
	order, err := o.r.plan(key)
	if err != nil {
		return err
	}
	for _, k := range order {
		if err := o.one(k); err != nil {
			return err
		}
	}
	return nil
}

// one loads a module whose dependencies have been loaded, with its softdeps.
func (o *op) one(key string) error {
	if o.seen[key] || o.pinLive(key) {
		_, err := o.ensure(key, o.args[key])
		return err
	}
	o.seen[key] = true
	spec, _ := o.r.Lookup(key)
	o.try(spec.Softdep.Pre)
	if _, err := o.ensure(key, o.args[key]); err != nil {
		return err
	}
	o.try(spec.Softdep.Post)
	return nil
}

// try loads softdeps; what fails is undone and forgotten.
func (o *op) try(names []string) {
	for _, name := range names {
		keys, err := o.r.Resolve(name)
		if err != nil {
			continue
		}
		for _, key := range keys {
			mark := len(o.loaded)
			if o.seen[key] {
				continue // in progress further up, or done
			}
			if err := o.load(key); err != nil {
				o.undo(mark)
			}
		}
	}
}

// pinLive pins a module if it is live.
func (o *op) pinLive(key string) bool {
	o.r.mu.Lock()
	defer o.r.mu.Unlock()
	m := o.r.live[key]
	if m == nil || m.state != Live || m.draining {
		return false
	}
	o.pin(m)
	return true
}

// pin keeps a live module from being unloaded until this call ends. r.mu is
// held.
func (o *op) pin(m *loaded) {
	if !o.pinned[m] {
		o.pinned[m] = true
		m.pins++
	}
}

// ensure makes a module live: it loads it, or waits for whoever does. fresh
// reports that this call loaded it.
func (o *op) ensure(key string, args []string) (fresh bool, err error) {
	m, err := o.claim(key, args)
	if m == nil || err != nil {
		return false, err
	}
	if err := o.start(m); err != nil {
		return false, err
	}
	o.loaded = append(append(o.loaded, o.r.takeRequested(m)...), m)
	return true, nil
}

// claim puts the module into the table as Loading and returns it for this
// call to start, or returns nil once the module is live by another call.
func (o *op) claim(key string, args []string) (*loaded, error) {
	r := o.r
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		m := r.live[key]
		switch {
		case m == nil:
			return o.beginNew(key, args)
		case m.draining:
			return nil, &LoadError{key, m.busy()}
		case m.state == Live:
			o.pin(m)
			return nil, nil
		case m.state == Loading:
			if err := o.mayWait(m); err != nil {
				return nil, err
			}
			if err := o.wait(m, m.ready); err != nil {
				return nil, err
			}
		default:
			if err := o.wait(m, m.done); err != nil {
				return nil, err
			}
		}
	}
}

// beginNew checks the parameters and begins a load. r.mu is held.
func (o *op) beginNew(key string, args []string) (*loaded, error) {
	r := o.r
	if r.closed {
		return nil, &LoadError{key, ErrShutdown}
	}
	if err := o.ctx.Err(); err != nil {
		return nil, &LoadError{key, err}
	}
	vs, err := newValues(r.specs[key], slices.Concat(r.options[key], args))
	if err != nil {
		r.logParam(key, err)
		return nil, &LoadError{key, err}
	}
	return r.begin(r.specs[key], vs, o.frame, o.flow)
}

// end releases what the call has pinned and, after an error, undoes it.
func (o *op) end(err error) {
	if err != nil {
		o.undo(0)
	}
	o.r.mu.Lock()
	defer o.r.mu.Unlock()
	for m := range o.pinned {
		o.unpin(m)
	}
	if o.frame != nil && o.frame.m.state == Loading {
		o.frame.m.requested = append(o.frame.m.requested, o.loaded...)
	}
}

// takeRequested hands over what m's Init has loaded to the call that loaded
// m, which undoes both if it fails later.
func (r *Registry) takeRequested(m *loaded) []*loaded {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := m.requested
	m.requested = nil
	return list
}

// undoRequested unloads what the failed Init of m has loaded.
func (r *Registry) undoRequested(m *loaded) {
	r.undoAll(r.takeRequested(m))
}

// unpin takes pin back. r.mu is held.
func (o *op) unpin(m *loaded) {
	if o.pinned[m] {
		delete(o.pinned, m)
		m.pins--
		m.uses.wake()
	}
}

// undo unloads what this call has loaded since mark, last first, except what
// others have begun to use.
func (o *op) undo(mark int) {
	late := o.loaded[mark:]
	o.loaded = o.loaded[:mark:mark]
	o.r.mu.Lock()
	for _, m := range late {
		o.unpin(m)
	}
	o.r.mu.Unlock()
	o.r.undoAll(late)
}

// undoAll unloads those of the modules that are unused, last first.
func (r *Registry) undoAll(list []*loaded) {
	for _, m := range slices.Backward(list) {
		r.mu.Lock()
		err := m.retire()
		r.mu.Unlock()
		if err == nil {
			_ = r.takeDown(m) // a stuck goroutine is in dmesg
		}
	}
}

// logParam puts a parameter error into dmesg, in Linux's words.
func (r *Registry) logParam(module string, err error) {
	var e *ParamError
	if errors.As(err, &e) {
		r.cfg.Log.Printk(klog.Err, module, "%s", e.msg)
	}
}
