package module

import (
	"context"
	"slices"
)

// loaded is one instance of a module, from the moment its load begins.
type loaded struct {
	r      *Registry
	spec   *Spec
	values *values
	uses   uses
	scope  scope
	ctx    context.Context
	cancel context.CancelFunc

	// Guarded by r.mu.
	state    State
	draining bool                 // Live, but takes no new users and holders
	deps     []*loaded            // held until this module is gone
	holders  map[*loaded]struct{} // modules that hold this one
	pins     int                  // loads under way that need this one to stay
	borrowed map[*loaded]int      // of deps: how often those are borrowed that are no declared dependency
	flow     *flow                // the call that loads it

	// requested are the modules that its Init has loaded by name or alias.
	// Only loads made by that Init append, and only before it has ended.
	requested []*loaded

	ready chan struct{} // closed when it is no longer Loading
	done  chan struct{} // closed when it is gone
}

// begin puts a module into the table as Loading. Its dependencies must be
// live; they are held from here on. r.mu is held.
func (r *Registry) begin(spec *Spec, vs *values, from *frame, fl *flow) (*loaded, error) {
	deps, err := r.liveDeps(spec)
	if err != nil {
		return nil, err
	}
	m := &loaded{
		r: r, spec: spec, values: vs, state: Loading, deps: deps, holders: map[*loaded]struct{}{},
		flow: fl, ready: make(chan struct{}), done: make(chan struct{}),
	}
	vs.contain = m.contain
	m.uses.init()
	m.scope.init(m)
	m.ctx, m.cancel = context.WithCancel(context.WithValue(context.Background(), frameKey{}, &frame{m: m, parent: from}))
	for _, d := range deps {
		d.holders[m] = struct{}{}
	}
	r.live[spec.Name] = m
	r.order = append(r.order, m)
	return m, nil
}

// unlink takes a module that has been undone out of the table.
func (r *Registry) unlink(m *loaded) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range m.deps {
		delete(d.holders, m)
		d.uses.wake()
	}
	delete(r.live, m.spec.Name)
	r.order = slices.DeleteFunc(r.order, func(o *loaded) bool { return o == m })
	close(m.done)
}

// setState is the only way to leave Loading. r.mu is held.
func (m *loaded) setState(s State) {
	if m.state == Loading {
		close(m.ready)
	}
	m.state = s
}

// inUse describes who holds m. r.mu is held.
func (m *loaded) inUse() *InUseError {
	return &InUseError{Module: m.spec.Name, Holders: m.holderNames(), Users: m.uses.list(), Loading: m.pins > 0}
}

// holderNames returns the names of the holders, sorted. r.mu is held.
func (m *loaded) holderNames() []string {
	var names []string
	for h := range m.holders {
		names = append(names, h.spec.Name)
	}
	slices.Sort(names)
	return names
}
