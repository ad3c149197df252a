package module

import (
	"context"
	"errors"
	"slices"
	"time"
)

// RemoveOptions are the options of `modprobe -r`. The zero value removes one
// module, at once or not at all.
type RemoveOptions struct {
	// Wait is how long to wait until the module's holders and users are gone;
	// new ones are refused meanwhile. Zero means not at all.
	Wait time.Duration

	// Deps also removes the dependencies that nobody holds any more.
	Deps bool
}

// Remove unloads a module, as `modprobe -r`: its softdeps behind it first,
// then the module, then, if asked for, what it depended on and nobody else
// uses. A name that is an alias stands for the loaded modules behind it. Only
// failing to remove the module itself is an error, the same as Unload's; when
// the wait ends in vain the module is live as before.
func (r *Registry) Remove(ctx context.Context, nameOrAlias string, opt RemoveOptions) error {
	keys, err := r.Resolve(nameOrAlias)
	if err != nil {
		return err
	}
	var removed bool
	for _, key := range slices.Backward(keys) {
		err := r.removeOne(ctx, key, opt)
		if errors.Is(err, ErrNotLoaded) && len(keys) > 1 {
			continue
		}
		if err != nil {
			return err
		}
		removed = true
	}
	if !removed {
		return &NotLoadedError{nameOrAlias}
	}
	return nil
}

func (r *Registry) removeOne(ctx context.Context, key string, opt RemoveOptions) error {
	r.mu.Lock()
	m := r.live[key]
	r.mu.Unlock()
	if m == nil {
		return &NotLoadedError{key}
	}
	if err := r.blocked(m); err != nil && opt.Wait <= 0 {
		return err
	}
	freed := r.removeSoft(ctx, m.spec.Softdep.Post)
	if err := r.removeModule(ctx, key, opt.Wait); err != nil {
		return err
	}
	freed = append(freed, m.deps...)
	freed = append(freed, r.removeSoft(ctx, m.spec.Softdep.Pre)...)
	if opt.Deps {
		r.removeUnused(ctx, freed)
	}
	return nil
}

// blocked returns why m could not be removed even without the softdeps behind
// it, so that a refusal leaves those alone too.
func (r *Registry) blocked(m *loaded) error {
	soft := map[string]bool{}
	for _, name := range m.spec.Softdep.Post {
		keys, _ := r.Resolve(name) // one that is not there blocks nothing
		for _, key := range keys {
			soft[key] = true
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	others := slices.ContainsFunc(m.holderNames(), func(h string) bool { return !soft[h] })
	if others || m.uses.count() > 0 {
		return m.inUse()
	}
	return nil
}

func (r *Registry) removeModule(ctx context.Context, key string, wait time.Duration) error {
	err := r.Unload(ctx, key)
	if wait > 0 && errors.Is(err, ErrInUse) {
		return r.drain(ctx, key, wait)
	}
	return err
}

// removeUnused removes those of deps that nobody holds, last first, and then
// what they depended on.
func (r *Registry) removeUnused(ctx context.Context, deps []*loaded) {
	for _, d := range slices.Backward(deps) {
		if r.Unload(ctx, d.spec.Name) == nil {
			r.removeUnused(ctx, d.deps)
		}
	}
}

// removeSoft removes the softdeps that are loaded and unused, and returns what
// these held.
func (r *Registry) removeSoft(ctx context.Context, names []string) (freed []*loaded) {
	for _, name := range slices.Backward(names) {
		keys, err := r.Resolve(name)
		if err != nil {
			continue
		}
		for _, key := range keys {
			r.mu.Lock()
			m := r.live[key]
			r.mu.Unlock()
			if m != nil && r.Unload(ctx, key) == nil {
				freed = append(freed, m.deps...)
			}
		}
	}
	return freed
}

// Shutdown unloads all modules, newest first, whether or not they have users,
// and refuses every later load: the kernel ends. Modules that are being loaded
// are waited for. The error joins those of the modules that did not end.
func (r *Registry) Shutdown(ctx context.Context) error {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	var errs []error
	stuck := map[*loaded]bool{}
	for {
		m, wait := r.nextDown(stuck)
		if m == nil {
			return errors.Join(errs...)
		}
		if wait != nil {
			if err := waitFor(ctx, wait, r.cfg.StopTimeout+r.cfg.LoadTimeout); err != nil {
				stuck[m] = true
				errs = append(errs, m.busy())
			}
			continue
		}
		if err := r.takeDown(m); err != nil {
			stuck[m] = true
			errs = append(errs, err)
		}
	}
}

// nextDown retires the newest module, or says what to wait for first. It
// passes over those that are stuck and what they hold.
func (r *Registry) nextDown(stuck map[*loaded]bool) (m *loaded, wait <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range slices.Backward(r.order) {
		switch {
		case stuck[m]:
		case m.state == Loading:
			return m, m.ready
		case m.state == Unloading:
			return m, m.done
		case heldBy(m, stuck):
			stuck[m] = true
		default:
			m.setState(Unloading)
			m.uses.refuse()
			return m, nil
		}
	}
	return nil, nil
}

func heldBy(m *loaded, stuck map[*loaded]bool) bool {
	for h := range m.holders {
		if stuck[h] {
			return true
		}
	}
	return false
}

func waitFor(ctx context.Context, ch <-chan struct{}, d time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	select {
	case <-ch:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
