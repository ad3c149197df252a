package module

import "slices"

// Info is a snapshot of one loaded module.
type Info struct {
	Name       string
	Version    string
	Size       int // bytes
	State      State
	Refs       int         // holders and users
	Holders    []string    // modules that depend on it, sorted
	Users      []UserCount // live users by kind
	Depends    []string    // modules that it holds
	Params     []ParamInfo // in order of declaration
	Owned      []UserCount // resources it has not released, by kind
	Goroutines int
}

// ParamInfo is a snapshot of one parameter.
type ParamInfo struct {
	Name        string
	Type        string // as modinfo prints it
	Value       string
	Default     string
	Description string
	Writable    bool
	AtLoad      bool // see Param.AtLoad
}

// Modules returns the loaded modules, newest first as in /proc/modules.
func (r *Registry) Modules() []Info {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]Info, 0, len(r.order))
	for _, m := range slices.Backward(r.order) {
		list = append(list, m.info())
	}
	return list
}

// Loaded returns the snapshot of one loaded module.
func (r *Registry) Loaded(name string) (Info, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.live[canonical(name)]
	if m == nil {
		return Info{}, false
	}
	return m.info(), true
}

// info takes the snapshot. r.mu is held.
func (m *loaded) info() Info {
	i := Info{
		Name: m.spec.Name, Version: m.spec.Version, Size: m.spec.size(), State: m.state,
		Refs: len(m.holders) + m.uses.count(), Holders: m.holderNames(), Users: m.uses.list(),
		Owned: m.scope.owned.count().list(), Goroutines: m.scope.goroutines(), Params: m.values.info(),
	}
	for _, d := range m.deps {
		i.Depends = append(i.Depends, d.spec.Name)
	}
	return i
}

func (vs *values) info() []ParamInfo {
	var list []ParamInfo
	for _, v := range vs.order {
		list = append(list, ParamInfo{
			Name: v.name, Type: v.kind.String(), Value: v.format(*v.v.Load()),
			Default: v.Default(), Description: v.desc, Writable: v.writable, AtLoad: v.atLoad,
		})
	}
	return list
}
