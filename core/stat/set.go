package stat

import (
	"fmt"
	"slices"
	"sync"
)

// A Field is one named number of a group. Load is called for every reading and
// must be safe for concurrent use.
type Field struct {
	Name string
	Load func() uint64
}

// F names a Counter, for tables of Fields.
func F(name string, c *Counter) Field { return Field{name, c.Load} }

// A Group is a row of numbers under one name, as "Tcp:" in /proc/net/snmp is.
type Group struct {
	Name   string
	Fields []Field
}

// A Set is the table of groups. The zero Set is empty and ready to use; it is
// safe for concurrent use.
type Set struct {
	mu     sync.Mutex
	groups []Group // in the order of their registration
}

// Add registers a group until undo is called. A name can be taken once.
func (s *Set) Add(name string, fields ...Field) (undo func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.index(name) >= 0 {
		return nil, fmt.Errorf("statistics group %s: already registered", name)
	}
	s.groups = append(s.groups, Group{name, fields})
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if i := s.index(name); i >= 0 {
			s.groups = slices.Delete(s.groups, i, i+1)
		}
	}, nil
}

func (s *Set) index(name string) int {
	return slices.IndexFunc(s.groups, func(g Group) bool { return g.Name == name })
}

// Groups returns the registered groups in the order of their registration.
func (s *Set) Groups() []Group {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.groups)
}

// Lookup returns the group called name.
func (s *Set) Lookup(name string) (Group, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := s.index(name); i >= 0 {
		return s.groups[i], true
	}
	return Group{}, false
}
