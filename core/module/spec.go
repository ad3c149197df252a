package module

import (
	"fmt"
	"strings"
)

// A Spec is a module's metadata - everything that modinfo prints - and its
// door. Names compare with - and _ equal and are shown with _, as in Linux. A
// Registry keeps its own copy; the slices in it must not be changed.
type Spec struct {
	Name        string
	Version     string
	Description string
	Author      string
	License     string

	Depends []string // modules that must be live before this one
	Softdep Softdep  // modules that should be loaded with this one if they can
	Alias   []string // other names, with shell patterns: "net-pf-2-proto-6", "tcp-cc-*"

	// Exports are the symbols that Init will export; they let dependencies by
	// symbol find this module before it is loaded. Imports are the symbols
	// that Init needs; the modules that export them become dependencies,
	// except for symbols that the kernel itself provides.
	Exports []string
	Imports []string

	Params []Param

	// Init starts the module. An error, or a panic, undoes all that it did.
	Init func(*Context) error

	// Filename is the file that the module came from; empty means compiled in.
	Filename string

	// Size is the module's memory in bytes as lsmod shows it; zero means
	// DefaultSize.
	Size int
}

// DefaultSize is what lsmod shows for a module that does not know its size:
// one of Linux's smallest modules, in bytes.
const DefaultSize = 16384

// Softdep are optional dependencies: modules to try to load before and after.
// That one is missing or fails is no error, as with modprobe.
type Softdep struct {
	Pre, Post []string
}

func (s *Spec) size() int {
	if s.Size > 0 {
		return s.Size
	}
	return DefaultSize
}

// canonical is the form in which names are compared: Linux treats - and _ as
// the same letter and shows _.
func canonical(name string) string { return strings.ReplaceAll(name, "-", "_") }

// validate reports what a module's author has done wrong.
func (s *Spec) validate() error {
	if s.Name == "" || strings.ContainsAny(s.Name, " \t\n,:/|*?[]\x00") {
		return fmt.Errorf("module %q: malformed name", s.Name)
	}
	if s.Init == nil {
		return fmt.Errorf("module %s: no Init", s.Name)
	}
	for _, a := range s.Alias {
		if _, err := matchAlias(a, ""); err != nil {
			return fmt.Errorf("module %s: alias %q: %w", s.Name, a, err)
		}
	}
	seen := map[string]bool{}
	for _, p := range s.Params {
		if err := p.validate(); err != nil {
			return fmt.Errorf("module %s: %w", s.Name, err)
		}
		if seen[canonical(p.name)] {
			return fmt.Errorf("module %s: parameter %s declared twice", s.Name, p.name)
		}
		seen[canonical(p.name)] = true
	}
	return nil
}
