package module

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// model is the slow twin of a Registry: the same rules on plain sets, each
// answer computed anew.
type model struct {
	deps    map[string][]string
	broken  map[string]bool // Init fails
	loaded  []string        // in load order
	users   map[string]int
	inits   map[string]int
	unloads map[string]int

	// What really happened, to compare with the last two.
	realInits, realUnloads map[string]int
	contexts               map[string]*Context // of the newest instances
}

func (m *model) isLoaded(name string) bool { return slices.Contains(m.loaded, name) }

func (m *model) holders(name string) (list []string) {
	for _, l := range m.loaded {
		if slices.Contains(m.deps[l], name) {
			list = append(list, l)
		}
	}
	return list
}

// cyclic reports whether name reaches a cycle.
func (m *model) cyclic(name string, path []string) bool {
	if slices.Contains(path, name) {
		return true
	}
	return slices.ContainsFunc(m.deps[name], func(d string) bool { return m.cyclic(d, append(slices.Clone(path), name)) })
}

// modprobe loads what is missing; on failure nothing changes.
func (m *model) modprobe(name string) bool {
	if m.cyclic(name, nil) {
		return false
	}
	before := slices.Clone(m.loaded)
	if !m.load(name) {
		for _, l := range m.loaded[len(before):] {
			m.unloads[l]++
		}
		m.loaded = before
		return false
	}
	return true
}

func (m *model) load(name string) bool {
	if m.isLoaded(name) {
		return true
	}
	for _, d := range m.deps[name] {
		if !m.load(d) {
			return false
		}
	}
	m.inits[name]++
	if m.broken[name] {
		m.unloads[name]++
		return false
	}
	m.loaded = append(m.loaded, name)
	return true
}

func (m *model) insmod(name string) bool {
	for _, d := range m.deps[name] {
		if !m.isLoaded(d) {
			return false
		}
	}
	return !m.isLoaded(name) && !slices.Contains(m.deps[name], name) && m.load(name)
}

func (m *model) unload(name string) bool {
	if !m.isLoaded(name) || len(m.holders(name)) > 0 || m.users[name] > 0 {
		return false
	}
	m.loaded = slices.DeleteFunc(m.loaded, func(l string) bool { return l == name })
	m.unloads[name]++
	return true
}

// remove takes along dependencies while there is one that became unused.
func (m *model) remove(name string) bool {
	if !m.unload(name) {
		return false
	}
	for _, d := range slices.Backward(m.deps[name]) {
		m.remove(d)
	}
	return true
}

// TestAgainstModel performs random operations on random dependency graphs,
// with cycles and failing modules in them, and compares with the model.
func TestAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, r := drawModel(t)
		all := rapid.SampledFrom(sortedKeys(m.deps))
		t.Repeat(map[string]func(*rapid.T){
			"modprobe": func(t *rapid.T) {
				n := all.Draw(t, "name")
				compareResult(t, "modprobe "+n, r.Modprobe(ctx, n), m.modprobe(n))
			},
			"insmod": func(t *rapid.T) {
				n := all.Draw(t, "name")
				compareResult(t, "insmod "+n, r.Load(ctx, n), m.insmod(n))
			},
			"rmmod": func(t *rapid.T) {
				n := all.Draw(t, "name")
				err := r.Unload(ctx, n)
				if e := (*InUseError)(nil); errors.As(err, &e) && len(e.Holders) != len(m.holders(n)) {
					t.Fatalf("rmmod %s names holders %v, want %v", n, e.Holders, m.holders(n))
				}
				compareResult(t, "rmmod "+n, err, m.unload(n))
			},
			"modprobe -r": func(t *rapid.T) {
				n := all.Draw(t, "name")
				compareResult(t, "modprobe -r "+n, r.Remove(ctx, n, RemoveOptions{Deps: true}), m.remove(n))
			},
			"use": func(t *rapid.T) {
				n := all.Draw(t, "name")
				if c := m.contexts[n]; c != nil && c.Users("user").Get() {
					m.users[n]++
				} else if m.isLoaded(n) {
					t.Fatalf("%s is loaded and refuses a user", n)
				}
			},
			"leave": func(t *rapid.T) {
				n := all.Draw(t, "name")
				if m.users[n] > 0 {
					m.users[n]--
					m.contexts[n].Users("user").Put()
				}
			},
			"": func(t *rapid.T) { m.compare(t, r) },
		})
	})
}

func drawModel(t *rapid.T) (*model, *Registry) {
	m := &model{
		deps: map[string][]string{}, broken: map[string]bool{}, users: map[string]int{},
		inits: map[string]int{}, unloads: map[string]int{},
		realInits: map[string]int{}, realUnloads: map[string]int{}, contexts: map[string]*Context{},
	}
	n := rapid.IntRange(1, 8).Draw(t, "modules")
	backward := rapid.IntRange(0, 9).Draw(t, "cyclic") == 0
	var specs []Spec
	for i := range n {
		name := fmt.Sprint("m", i)
		limit := i - 1
		if backward {
			limit = n - 1
		}
		if limit >= 0 {
			for _, d := range rapid.SliceOfNDistinct(rapid.IntRange(0, limit), 0, min(3, limit+1), rapid.ID[int]).Draw(t, name+" deps") {
				m.deps[name] = append(m.deps[name], fmt.Sprint("m", d))
			}
		}
		if m.deps[name] == nil {
			m.deps[name] = []string{}
		}
		m.broken[name] = rapid.IntRange(0, 4).Draw(t, name+" broken") == 0
		specs = append(specs, Spec{Name: name, Depends: m.deps[name], Init: func(c *Context) error {
			m.contexts[name] = c
			m.realInits[name]++
			c.Free(func() { m.realUnloads[name]++ })
			if m.broken[name] {
				return errors.New("broken")
			}
			return nil
		}})
	}
	r, err := New(Config{}, specs...)
	if err != nil {
		t.Fatal(err)
	}
	return m, r
}

func sortedKeys(deps map[string][]string) []string {
	var keys []string
	for k := range deps {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func compareResult(t *rapid.T, what string, err error, ok bool) {
	if (err == nil) != ok {
		t.Fatalf("%s: %v, the model says ok = %v", what, err, ok)
	}
}

func (m *model) compare(t *rapid.T, r *Registry) {
	var got []string
	for _, info := range slices.Backward(r.Modules()) {
		got = append(got, info.Name)
		h := m.holders(info.Name)
		slices.Sort(h)
		if !slices.Equal(info.Holders, h) || info.Refs != len(h)+m.users[info.Name] || info.State != Live {
			t.Fatalf("%+v, the model says holders %v and %d users", info, h, m.users[info.Name])
		}
	}
	if !slices.Equal(got, m.loaded) {
		t.Fatalf("loaded %v, the model says %v", got, m.loaded)
	}
	if !maps.Equal(m.realInits, m.inits) || !maps.Equal(m.realUnloads, m.unloads) {
		t.Fatalf("inits %v, unloads %v; the model says %v, %v", m.realInits, m.realUnloads, m.inits, m.unloads)
	}
}

// A plan loads each module once and after what it needs.
func TestPlan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 10).Draw(t, "modules")
		deps := map[string][]string{}
		for i := range n {
			for _, d := range rapid.SliceOfN(rapid.IntRange(0, n-1), 0, 2).Draw(t, "deps") {
				deps[fmt.Sprint(i)] = append(deps[fmt.Sprint(i)], fmt.Sprint(d))
			}
		}
		m := model{deps: deps}
		order, err := plan("0", func(k string) ([]string, error) { return deps[k], nil })
		if cyclic := m.cyclic("0", nil); cyclic != errors.Is(err, ErrCycle) {
			t.Fatalf("plan = %v, %v; cyclic: %v", order, err, cyclic)
		}
		for i, k := range order {
			if slices.Contains(order[:i], k) {
				t.Fatalf("%s twice in %v", k, order)
			}
			for _, d := range deps[k] {
				if !slices.Contains(order[:i], d) {
					t.Fatalf("%s before %s in %v", k, d, order)
				}
			}
		}
		if err == nil && order[len(order)-1] != "0" {
			t.Fatalf("plan %v does not end with the module asked for", order)
		}
	})
}
