// Package sysctl is the table of named settings that the sysctl tool reads and
// writes, as Linux's /proc/sys.
package sysctl

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// ErrNotFound is in the chain of the error for a name that nobody registered.
var ErrNotFound = errors.New("no such sysctl")

// A NotFoundError says that there is no setting of that name, in the words of
// the sysctl tool. It is ErrNotFound and syscall.ENOENT.
type NotFoundError struct{ Name string }

func (e *NotFoundError) Error() string {
	return "cannot stat /proc/sys/" + pathOf(e.Name) + ": No such file or directory"
}

// Is reports whether target is ErrNotFound, ENOENT or what ENOENT stands for.
func (e *NotFoundError) Is(target error) bool {
	return target == ErrNotFound || target == syscall.ENOENT || syscall.ENOENT.Is(target)
}

// A SetError says why a setting was not changed.
type SetError struct {
	Name string // canonical
	Err  error
}

// Error begins with the words of the sysctl tool.
func (e *SetError) Error() string {
	if errors.Is(e.Err, syscall.EACCES) || errors.Is(e.Err, syscall.EPERM) {
		return fmt.Sprintf("permission denied on key %q", e.Name)
	}
	return fmt.Sprintf("setting key %q: %v", e.Name, e.Err)
}

// Unwrap returns the reason.
func (e *SetError) Unwrap() error { return e.Err }

// A Table holds the settings of one kernel. The zero Table is empty and ready
// to use; all methods may be called concurrently. Get and Set functions run
// without the table's lock, so they may use the table; one that is running
// when its entry is removed runs to its end.
type Table struct {
	// Oops, unless it is nil, is told of Get and Set functions that panic, which
	// then counts as an empty value and as EIO. It is set before the first use.
	Oops func(name string, reason any)

	mu      sync.RWMutex
	entries map[string]*entry // by canonical name
	sets    uint64            // how often a setting was changed
}

// An entry is an Entry in the table.
type entry struct {
	Entry

	// change is held while Set runs, so that two changes of one setting do not mix.
	change sync.Mutex

	// The last change by number, 0 if there was none, and what the value was before
	// the first; guarded by Table.mu.
	changed uint64
	before  string
}

// Register adds an entry. undo removes it, and is harmless when called again.
// It fails with EEXIST if the name is taken and EINVAL if it is malformed.
func (t *Table) Register(e Entry) (undo func(), err error) {
	name := Canonical(e.Name)
	if !valid(name) || e.Get == nil {
		return nil, fmt.Errorf("sysctl: register %q: %w", e.Name, syscall.EINVAL)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.entries[name] != nil {
		return nil, fmt.Errorf("sysctl: register %q: %w", e.Name, syscall.EEXIST)
	}
	if t.entries == nil {
		t.entries = map[string]*entry{}
	}
	e.Name = name
	mine := &entry{Entry: e}
	t.entries[name] = mine
	return func() { t.remove(name, mine) }, nil
}

// remove takes the entry out, unless another has taken its place.
func (t *Table) remove(name string, e *entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.entries[name] == e {
		delete(t.entries, name)
	}
}

func (t *Table) find(name string) (*entry, error) {
	canonical := Canonical(name)
	t.mu.RLock()
	defer t.mu.RUnlock()
	if e := t.entries[canonical]; e != nil {
		return e, nil
	}
	return nil, &NotFoundError{canonical}
}

// Get returns the value of a setting, or a *NotFoundError.
func (t *Table) Get(name string) (string, error) {
	e, err := t.find(name)
	if err != nil {
		return "", err
	}
	return t.get(e), nil
}

// get reads an entry.
func (t *Table) get(e *entry) (value string) {
	if t.Oops != nil {
		defer func() {
			if reason := recover(); reason != nil {
				t.Oops(e.Name, reason)
			}
		}()
	}
	return e.Get()
}

// set writes an entry.
func (t *Table) set(e *entry, text string) (err error) {
	if t.Oops != nil {
		defer func() {
			if reason := recover(); reason != nil {
				t.Oops(e.Name, reason)
				err = syscall.EIO
			}
		}()
	}
	return e.Set(text)
}

// Set changes a setting. It returns a *NotFoundError, or a *SetError that
// wraps EACCES if the setting is read-only and EINVAL if it does not take the
// text. A setting that cannot be changed keeps its value.
func (t *Table) Set(name, text string) error {
	e, err := t.find(name)
	if err != nil {
		return err
	}
	if e.Set == nil {
		return &SetError{e.Name, syscall.EACCES}
	}
	e.change.Lock()
	defer e.change.Unlock()
	before := t.get(e)
	if err := t.set(e, text); err != nil {
		return &SetError{e.Name, err}
	}
	t.note(e, before)
	return nil
}

// note remembers that e was changed.
func (t *Table) note(e *entry, before string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e.changed == 0 {
		e.before = before
	}
	t.sets++
	e.changed = t.sets
}

// A Setting is one line of `sysctl -a`.
type Setting struct {
	Name     string // canonical
	Value    string
	Writable bool
	Before   string // from Changed: what it was at first
}

// List returns the setting called prefix, or those below it, sorted by name;
// an empty prefix means all. Parts of a name are compared whole: net.ipv4 is
// not a prefix of net.ipv42.
func (t *Table) List(prefix string) []Setting {
	prefix = strings.TrimSuffix(Canonical(prefix), ".")
	t.mu.RLock()
	var found []*entry
	for name, e := range t.entries {
		if prefix == "" || name == prefix || strings.HasPrefix(name, prefix+".") {
			found = append(found, e)
		}
	}
	t.mu.RUnlock()
	slices.SortFunc(found, func(a, b *entry) int { return strings.Compare(a.Name, b.Name) })
	list := make([]Setting, len(found))
	for i, e := range found {
		list[i] = Setting{Name: e.Name, Value: t.get(e), Writable: e.Set != nil}
	}
	return list
}

// Changed returns the settings that Set has given another value than they had
// before, in the order in which they were last set: setting them again in this
// order brings a new kernel there, also where one setting changes others, as
// conf.all.forwarding does. A setting that is registered anew begins unchanged.
func (t *Table) Changed() []Setting {
	type change struct {
		*entry
		number uint64
		before string
	}
	var changes []change
	t.mu.RLock()
	for _, e := range t.entries {
		if e.changed != 0 {
			changes = append(changes, change{e, e.changed, e.before})
		}
	}
	t.mu.RUnlock()
	slices.SortFunc(changes, func(a, b change) int { return cmp.Compare(a.number, b.number) })
	var list []Setting
	for _, c := range changes {
		if now := t.get(c.entry); now != c.before {
			list = append(list, Setting{c.Name, now, true, c.before})
		}
	}
	return list
}
