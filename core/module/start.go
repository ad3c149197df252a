package module

import (
	"context"
	"fmt"

	"github.com/knitnet/knit/core/klog"
)

// start runs Init and makes the module live, and pins it, or undoes it.
func (o *op) start(m *loaded) error {
	r := o.r
	err := m.runInit(o.ctx)
	if err == nil {
		err = o.goLive(m)
	}
	if err == nil {
		return nil
	}
	r.cfg.Log.Printk(klog.Err, m.spec.Name, "init failed: %v", err)
	r.mu.Lock()
	m.setState(Unloading)
	r.mu.Unlock()
	m.scope.skipDrain()
	m.uses.refuse()
	_ = r.takeDown(m) // the reason for the failure matters more
	r.undoRequested(m)
	return &LoadError{m.spec.Name, err}
}

// runInit calls Init on a goroutine of its own, so that one that panics or
// calls runtime.Goexit does not take the caller along.
func (m *loaded) runInit(ctx context.Context) error {
	stop := context.AfterFunc(ctx, m.cancel)
	defer stop()
	result := make(chan error, 1)
	go func() {
		err := fmt.Errorf("%w: Init ended its goroutine", ErrPanic)
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("%w: %v", ErrPanic, p)
				m.log().Oops("Init", p)
			}
			result <- err
		}()
		err = m.spec.Init(&Context{m})
	}()
	err := <-result
	if err == nil && !stop() {
		err = ctx.Err() // Init has not noticed that its context ended
	}
	return err
}

// goLive makes a module whose Init has succeeded live, if it has kept its
// promises.
func (o *op) goLive(m *loaded) error {
	r := o.r
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range m.spec.Exports {
		if s, ok := r.symbols[name]; !ok || s.owner != m {
			return fmt.Errorf("declares symbol %s but does not export it", name)
		}
	}
	m.setState(Live)
	o.pin(m) // before anybody can unload it
	return nil
}

// log returns the module's voice.
func (m *loaded) log() *klog.Logger { return m.r.cfg.Log.Module(m.spec.Name) }

// contain runs f, a function of the module, and logs a panic instead of
// letting it end the process.
func (m *loaded) contain(what string, f func()) {
	defer func() {
		if p := recover(); p != nil {
			m.log().Oops(what, p)
		}
	}()
	f()
}
