package module

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/knitnet/knit/core/klog"
)

// A State is where a module is in its life, as /proc/modules names it. A
// module that is not loaded has none.
type State uint8

// The states of a loaded module.
const (
	Loading   State = iota + 1 // Init runs
	Live                       // in service
	Unloading                  // being undone; takes no new users
)

var stateNames = [...]string{Loading: "Loading", Live: "Live", Unloading: "Unloading"}

// String returns the word of /proc/modules.
func (s State) String() string {
	if int(s) < len(stateNames) && stateNames[s] != "" {
		return stateNames[s]
	}
	return "Unknown"
}

// Config is what a Registry needs from its kernel. The zero Config works.
type Config struct {
	// Log is where modules speak; nil means nowhere.
	Log *klog.Log

	// Grace returns when no packet that entered a module before the call is
	// still inside, as rcu.Period.Wait. nil means that none can be.
	Grace func()

	// StopTimeout is how long unloading waits for a module's goroutines.
	// Zero means 10 s.
	StopTimeout time.Duration

	// LoadTimeout is how long a load waits for another call that is loading or
	// unloading the same module. Zero means 30 s.
	LoadTimeout time.Duration
}

// A Registry holds the modules that can be loaded and those that are. Make it
// with New. All methods may be called concurrently, but not from inside a
// packet's walk.
type Registry struct {
	cfg Config

	mu        sync.Mutex
	specs     map[string]*Spec
	added     []string           // keys of specs in order of Add
	live      map[string]*loaded // every module that has a state
	order     []*loaded          // the same in load order
	symbols   map[string]symbol
	options   map[string][]string
	blacklist map[string]bool
	closed    bool
}

// New returns a registry that can load the given modules. It fails if one of
// them is malformed or there twice.
func New(cfg Config, specs ...Spec) (*Registry, error) {
	if cfg.Log == nil {
		cfg.Log = klog.New(nil, 1)
	}
	if cfg.Grace == nil {
		cfg.Grace = func() {}
	}
	if cfg.StopTimeout <= 0 {
		cfg.StopTimeout = 10 * time.Second
	}
	if cfg.LoadTimeout <= 0 {
		cfg.LoadTimeout = 30 * time.Second
	}
	r := &Registry{
		cfg: cfg, specs: map[string]*Spec{}, live: map[string]*loaded{}, symbols: map[string]symbol{},
		options: map[string][]string{}, blacklist: map[string]bool{},
	}
	for _, s := range specs {
		if err := r.Add(s); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// Add makes one more module available. It fails with EEXIST if the name is
// taken.
func (r *Registry) Add(spec Spec) error {
	if err := spec.validate(); err != nil {
		return err
	}
	spec.Name = canonical(spec.Name)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.specs[spec.Name] != nil {
		return fmt.Errorf("module %s: %w", spec.Name, syscall.EEXIST)
	}
	r.specs[spec.Name] = &spec
	r.added = append(r.added, spec.Name)
	return nil
}

// Lookup returns the metadata of an available module.
func (r *Registry) Lookup(name string) (Spec, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.specs[canonical(name)]
	if s == nil {
		return Spec{}, false
	}
	return *s, true
}

// Available returns the metadata of all modules that can be loaded, sorted by
// name.
func (r *Registry) Available() []Spec {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]Spec, 0, len(r.specs))
	for _, s := range r.specs {
		list = append(list, *s)
	}
	slices.SortFunc(list, func(a, b Spec) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// Blacklist makes the aliases of these modules be ignored, as modprobe.d's
// blacklist: autoload no longer finds them; their own names still work.
func (r *Registry) Blacklist(names ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range names {
		r.blacklist[canonical(n)] = true
	}
}

// SetDefaultParams sets parameters (name=value) that each load of the module
// uses before its own arguments, as modprobe.d's options. It replaces earlier
// ones; whether they are right is found out at load.
func (r *Registry) SetDefaultParams(module string, args ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.options[canonical(module)] = slices.Clone(args)
}

// Resolve returns the names of the modules that Modprobe would load for a name
// or alias: the module of that name, else all whose alias matches and that are
// not blacklisted, in order of Add. It fails with a *NotFoundError.
func (r *Registry) Resolve(nameOrAlias string) ([]string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if key := canonical(nameOrAlias); r.specs[key] != nil {
		return []string{key}, nil
	}
	var found, black []string
	for _, key := range r.added {
		switch {
		case !hasAlias(r.specs[key], nameOrAlias):
		case r.blacklist[key]:
			black = append(black, key)
		default:
			found = append(found, key)
		}
	}
	if len(found) == 0 {
		return nil, &NotFoundError{nameOrAlias, black}
	}
	return found, nil
}

func hasAlias(s *Spec, name string) bool {
	return slices.ContainsFunc(s.Alias, func(pattern string) bool {
		ok, _ := matchAlias(pattern, name) // validate has checked the pattern
		return ok
	})
}

// SetParam changes a writable parameter of a loaded module and calls its
// OnParam functions. It fails with a *NotLoadedError, a *ParamError, or EBUSY
// while the module is being loaded or unloaded.
func (r *Registry) SetParam(module, name, text string) error {
	m, release, err := r.hold(canonical(module), "parameter change")
	if err != nil {
		return err
	}
	defer release()
	return m.values.change(name, text)
}

// hold counts one more user of a live module.
func (r *Registry) hold(key, kind string) (m *loaded, release func(), err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m = r.live[key]
	if m == nil {
		return nil, nil, &NotLoadedError{key}
	}
	u := m.uses.kind(kind)
	if m.state != Live || !u.Get() {
		return nil, nil, m.busy()
	}
	return m, u.Put, nil
}
