// Package sysctl is the table of named settings that the sysctl tool reads and
// writes, as Linux's /proc/sys.
package sysctl

import (
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
	entries map[string]*Entry // by canonical name
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
		t.entries = map[string]*Entry{}
	}
	e.Name = name
	mine := &e
	t.entries[name] = mine
	return func() { t.remove(name, mine) }, nil
}

// remove takes the entry out, unless another has taken its place.
func (t *Table) remove(name string, e *Entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.entries[name] == e {
		delete(t.entries, name)
	}
}

func (t *Table) find(name string) (*Entry, error) {
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
func (t *Table) get(e *Entry) (value string) {
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
func (t *Table) set(e *Entry, text string) (err error) {
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
	if err := t.set(e, text); err != nil {
		return &SetError{e.Name, err}
	}
	return nil
}

// A Setting is one line of `sysctl -a`.
type Setting struct {
	Name     string // canonical
	Value    string
	Writable bool
}

// List returns the setting called prefix, or those below it, sorted by name;
// an empty prefix means all. Parts of a name are compared whole: net.ipv4 is
// not a prefix of net.ipv42.
func (t *Table) List(prefix string) []Setting {
	prefix = strings.TrimSuffix(Canonical(prefix), ".")
	t.mu.RLock()
	var found []*Entry
	for name, e := range t.entries {
		if prefix == "" || name == prefix || strings.HasPrefix(name, prefix+".") {
			found = append(found, e)
		}
	}
	t.mu.RUnlock()
	slices.SortFunc(found, func(a, b *Entry) int { return strings.Compare(a.Name, b.Name) })
	list := make([]Setting, len(found))
	for i, e := range found {
		list[i] = Setting{e.Name, t.get(e), e.Set != nil}
	}
	return list
}
