package cc

import (
	"errors"
	"fmt"
	"slices"
	"sync"
)

// ErrExists says that a name is already registered.
var ErrExists = errors.New("congestion control exists")

// ErrNotFound says that no congestion control has the name.
var ErrNotFound = errors.New("no such congestion control")

// A Table holds the congestion controls that are loaded, by name. The zero
// value is empty and ready. Safe for concurrent use.
type Table struct {
	mu sync.Mutex
	// entries are in order of registration.
	entries []entry
	// chosen is the default's name; while it is empty or not registered, the
	// oldest entry stands in, so that loading one more changes nothing.
	chosen   string
	watchers []*func(name string)
}

type entry struct {
	name  string
	build func() Algorithm
}

// Register adds a constructor under name. undo removes it and then tells the
// watchers, which move live connections away; it may be called once.
func (t *Table) Register(name string, build func() Algorithm) (undo func(), err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.index(name) >= 0 {
		return nil, fmt.Errorf("register %s: %w", name, ErrExists)
	}
	t.entries = append(slices.Clip(t.entries), entry{name, build})
	return func() { t.remove(name) }, nil
}

// Lookup returns the constructor registered under name.
func (t *Table) Lookup(name string) (build func() Algorithm, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := t.index(name); i >= 0 {
		return t.entries[i].build, true
	}
	return nil, false
}

// Names lists the registered names, the default first and then in order of
// registration, as net.ipv4.tcp_available_congestion_control shows them.
func (t *Table) Names() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var names []string
	d := t.standard()
	for i, e := range t.entries {
		if i == d {
			names = slices.Insert(names, 0, e.name)
		} else {
			names = append(names, e.name)
		}
	}
	return names
}

// Default returns the congestion control of new connections. ok is false when
// the table is empty.
func (t *Table) Default() (name string, build func() Algorithm, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := t.standard(); i >= 0 {
		return t.entries[i].name, t.entries[i].build, true
	}
	return "", nil, false
}

// SetDefault makes name the default. The choice stays when the module goes
// and comes back; in between the oldest entry stands in.
func (t *Table) SetDefault(name string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.index(name) < 0 {
		return fmt.Errorf("set default: %s: %w", name, ErrNotFound)
	}
	t.chosen = name
	return nil
}

// Watch calls f, without the table's lock, after each removal with the name
// that went. TCP uses it to move that algorithm's connections to the default.
// stop ends it.
func (t *Table) Watch(f func(name string)) (stop func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	w := &f
	t.watchers = append(slices.Clip(t.watchers), w)
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.watchers = slices.DeleteFunc(slices.Clone(t.watchers), func(o *func(string)) bool { return o == w })
	}
}

func (t *Table) remove(name string) {
	t.mu.Lock()
	t.entries = slices.DeleteFunc(slices.Clone(t.entries), func(e entry) bool { return e.name == name })
	watchers := t.watchers
	t.mu.Unlock()
	for _, w := range watchers {
		(*w)(name)
	}
}

func (t *Table) index(name string) int {
	return slices.IndexFunc(t.entries, func(e entry) bool { return e.name == name })
}

// standard returns the index of the default, or -1.
func (t *Table) standard() int {
	if i := t.index(t.chosen); i >= 0 {
		return i
	}
	return min(0, len(t.entries)-1)
}
