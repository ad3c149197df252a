package module

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"syscall"
)

// A symbol is a value that one module makes available to others. A nil owner
// is the kernel itself ("vmlinux").
type symbol struct {
	owner *loaded
	value any
}

// Provide makes a value of the kernel itself available to all modules; they
// need not declare it. It fails with EEXIST if the name is taken.
func (r *Registry) Provide(name string, value any) error {
	return r.export(nil, name, value)
}

func (r *Registry) export(owner *loaded, name string, value any) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s, taken := r.symbols[name]; taken {
		return fmt.Errorf("export %s: %w: owned by %s", name, syscall.EEXIST, s.ownerName())
	}
	r.symbols[name] = symbol{owner, value}
	return nil
}

func (r *Registry) unexport(owner *loaded, name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.symbols[name].owner == owner {
		delete(r.symbols, name)
	}
}

func (s symbol) ownerName() string {
	if s.owner == nil {
		return "vmlinux"
	}
	return s.owner.spec.Name
}

// Export makes v available to other modules under name until the module is
// unloaded. It fails with EEXIST if the name is taken.
func Export[T any](c *Context, name string, v T) error {
	if err := c.m.r.export(c.m, name, v); err != nil {
		return err
	}
	c.Cleanup(func() { c.m.r.unexport(c.m, name) })
	return nil
}

// A Personal symbol is another one for each module: Import returns For's result
// instead. For is called concurrently; the result has the symbol's type.
type Personal interface{ For(importer string) any }

// Import returns the symbol name. Its owner must be the kernel or a declared
// dependency of the module, by Depends or Imports, so that no symbol outlives
// its owner. It fails with ErrUnknownSymbol if nobody exports it, and with an
// ENOEXEC if the type is another one.
func Import[T any](c *Context, name string) (T, error) {
	var zero T
	s, err := c.m.r.lookupSymbol(c.m, name)
	if err != nil {
		return zero, err
	}
	if p, ok := s.value.(Personal); ok {
		s.value = p.For(c.Name())
	}
	v, ok := s.value.(T)
	if !ok {
		return zero, fmt.Errorf("import %s: %w: it is a %T, not a %v", name, syscall.ENOEXEC, s.value, reflect.TypeFor[T]())
	}
	return v, nil
}

func (r *Registry) lookupSymbol(m *loaded, name string) (symbol, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, ok := r.symbols[name]
	if !ok {
		return symbol{}, fmt.Errorf("import: %w", &symbolError{name})
	}
	if s.owner != nil && s.owner != m && !slices.Contains(m.deps, s.owner) {
		return symbol{}, fmt.Errorf("import %s: %w: %s must list it in Imports, or %s in Depends",
			name, syscall.EACCES, m.spec.Name, s.owner.spec.Name)
	}
	return s, nil
}

// A Symbol says who exports what, as a line of /proc/kallsyms.
type Symbol struct {
	Name  string
	Owner string // a module, or "vmlinux" for the kernel itself
}

// Symbols returns all symbols, sorted by name.
func (r *Registry) Symbols() []Symbol {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []Symbol
	for name, s := range r.symbols {
		list = append(list, Symbol{name, s.ownerName()})
	}
	slices.SortFunc(list, func(a, b Symbol) int { return strings.Compare(a.Name, b.Name) })
	return list
}
