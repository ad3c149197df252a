package module

import (
	"fmt"
	"slices"
	"strings"
	"syscall"

	"github.com/knitnet/knit/core/klog"
)

// plan lists key and all that it needs, each after its own dependencies: an
// order in which they can be loaded. deps returns what one module needs.
func plan(key string, deps func(key string) ([]string, error)) ([]string, error) {
	p := planner{deps: deps, done: map[string]bool{}}
	if err := p.visit(key); err != nil {
		return nil, err
	}
	return p.order, nil
}

type planner struct {
	deps  func(string) ([]string, error)
	order []string
	done  map[string]bool
	path  []string // from the module asked for to the one being visited
}

func (p *planner) visit(key string) error {
	if p.done[key] {
		return nil
	}
	if i := slices.Index(p.path, key); i >= 0 {
		return cycleError(p.path[0], append(p.path[i:], key))
	}
	p.path = append(p.path, key)
	list, err := p.deps(key)
	if err != nil {
		return err
	}
	for _, d := range list {
		if err := p.visit(d); err != nil {
			return err
		}
	}
	p.path = p.path[:len(p.path)-1]
	p.done[key] = true
	p.order = append(p.order, key)
	return nil
}

func cycleError(module string, path []string) error {
	return fmt.Errorf("module %s: %w: %s", module, ErrCycle, strings.Join(path, " -> "))
}

// plan is the order in which to load key, and whether that can be done at all.
func (r *Registry) plan(key string) ([]string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return plan(key, func(key string) ([]string, error) {
		return r.depsOf(r.specs[key])
	})
}

// depsOf returns the modules that spec needs, by name and by symbol, all of
// them available. r.mu is held.
func (r *Registry) depsOf(spec *Spec) ([]string, error) {
	var keys []string
	add := func(key string) {
		if key != spec.Name && !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	for _, d := range spec.Depends {
		key := canonical(d)
		if r.specs[key] == nil {
			return nil, &LoadError{spec.Name, fmt.Errorf("depends on %s: %w", d, &NotFoundError{Name: d})}
		}
		if key == spec.Name {
			return nil, cycleError(key, []string{key, key})
		}
		add(key)
	}
	for _, name := range spec.Imports {
		key, ok := r.exporter(name)
		if !ok {
			return nil, r.unknownSymbol(spec.Name, name)
		}
		if key != "" {
			add(key)
		}
	}
	return keys, nil
}

// exporter returns the module that exports a symbol: the one that does it now,
// else the first that declares it. It is empty for symbols of the kernel.
func (r *Registry) exporter(name string) (key string, ok bool) {
	if s, ok := r.symbols[name]; ok {
		if s.owner == nil {
			return "", true
		}
		return s.owner.spec.Name, true
	}
	for _, key := range r.added {
		if slices.Contains(r.specs[key].Exports, name) {
			return key, true
		}
	}
	return "", false
}

// unknownSymbol logs, as Linux does, what is missing and returns the error.
func (r *Registry) unknownSymbol(module, symbol string) error {
	r.cfg.Log.Printk(klog.Err, module, "Unknown symbol %s (err %d)", symbol, -int(syscall.ENOENT))
	return &LoadError{module, &symbolError{symbol}}
}

// liveDeps returns the live modules that spec needs. r.mu is held.
func (r *Registry) liveDeps(spec *Spec) ([]*loaded, error) {
	keys, err := r.depsOf(spec)
	if err != nil {
		return nil, err
	}
	var deps []*loaded
	for _, key := range keys {
		d := r.live[key]
		if d != nil && d.draining {
			return nil, &LoadError{spec.Name, d.busy()}
		}
		if d == nil || d.state != Live {
			return nil, r.unknownSymbol(spec.Name, key)
		}
		deps = append(deps, d)
	}
	return deps, nil
}
