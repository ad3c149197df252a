package module

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// values are the parameters of one loaded module. The map is fixed at load;
// a value may be read on any goroutine while it is being changed.
type values struct {
	module string
	order  []*value
	byName map[string]*value // by canonical name

	setting sync.Mutex // serialises changes and their callbacks
	contain func(what string, f func())
}

type value struct {
	Param
	v atomic.Pointer[any]

	mu       sync.Mutex
	onChange []func()
}

// newValues returns the parameters with their defaults, overwritten by args of
// the form name=value, the last one winning.
//
// Linux logs "unknown parameter 'prot' ignored" and loads. Here an unknown
// parameter is refused: whoever mistypes "port" would otherwise run with the
// default and look for the mistake elsewhere. Linux cannot refuse, because
// init and dracut hand one command line to all modules; here nobody does.
func newValues(spec *Spec, args []string) (*values, error) {
	vs := &values{module: spec.Name, byName: map[string]*value{}}
	for _, p := range spec.Params {
		v := &value{Param: p}
		v.v.Store(&p.def)
		vs.order = append(vs.order, v)
		vs.byName[canonical(p.name)] = v
	}
	for _, arg := range args {
		if err := vs.assign(arg); err != nil {
			return nil, err
		}
	}
	return vs, nil
}

// assign takes over one word of the command line.
func (vs *values) assign(arg string) error {
	name, text, hasValue := strings.Cut(arg, "=")
	v := vs.byName[canonical(name)]
	if v == nil {
		return vs.unknown(name, syscall.EINVAL)
	}
	if !hasValue && v.kind == KindBool {
		text = "y"
	} else if !hasValue {
		return &ParamError{
			Module: vs.module, Param: v.name, Want: v.name + "=VALUE", Errno: syscall.EINVAL,
			msg: fmt.Sprintf("'' invalid for parameter '%s'", v.name),
		}
	}
	return vs.set(v, text)
}

func (vs *values) set(v *value, text string) error {
	parsed, err := v.Parse(text)
	if err != nil {
		return &ParamError{
			Module: vs.module, Param: v.name, Value: text, Want: v.want(), Errno: syscall.EINVAL,
			msg: fmt.Sprintf("'%s' invalid for parameter '%s'", text, v.name),
		}
	}
	v.v.Store(&parsed)
	return nil
}

// unknown is the error for a parameter that the module does not have.
func (vs *values) unknown(name string, errno syscall.Errno) error {
	want := "no parameter: " + vs.module + " has none"
	if len(vs.order) > 0 {
		var names []string
		for _, v := range vs.order {
			names = append(names, v.name)
		}
		want = "one of " + strings.Join(names, ", ")
	}
	return &ParamError{
		Module: vs.module, Param: name, Want: want, Errno: errno,
		msg: fmt.Sprintf("unknown parameter '%s'", name),
	}
}

// change sets a writable parameter at run time and tells the module.
func (vs *values) change(name, text string) error {
	v := vs.byName[canonical(name)]
	if v == nil {
		return vs.unknown(name, syscall.ENOENT)
	}
	if !v.writable {
		return &ParamError{
			Module: vs.module, Param: v.name, Value: text, Errno: syscall.EACCES,
			msg: fmt.Sprintf("parameter '%s' is read-only", v.name),
		}
	}
	vs.setting.Lock()
	defer vs.setting.Unlock()
	if err := vs.set(v, text); err != nil {
		return err
	}
	v.mu.Lock()
	callbacks := slices.Clone(v.onChange)
	v.mu.Unlock()
	for _, f := range callbacks {
		vs.contain("a parameter callback", f)
	}
	return nil
}

// get returns the value of a declared parameter. Asking for one that is not
// declared, or as another type, is a mistake in the module and panics.
func get[T any](c *Context, name string) T {
	v := c.param(name)
	t, ok := (*v.v.Load()).(T)
	if !ok {
		panic(fmt.Sprintf("module %s: parameter %q is a %s, not a %T", c.Name(), name, v.kind, t))
	}
	return t
}

func (c *Context) param(name string) *value {
	v := c.m.values.byName[canonical(name)]
	if v == nil {
		panic(fmt.Sprintf("module %s: parameter %q is not declared", c.Name(), name))
	}
	return v
}

// Bool returns the current value of a parameter declared with Bool. It panics,
// as all typed getters do, if the parameter is not declared with that type.
func (c *Context) Bool(name string) bool { return get[bool](c, name) }

// Int returns the current value of a parameter declared with Int.
func (c *Context) Int(name string) int64 { return get[int64](c, name) }

// Uint returns the current value of a parameter declared with Uint.
func (c *Context) Uint(name string) uint64 { return get[uint64](c, name) }

// String returns the current value of a parameter declared with String.
func (c *Context) String(name string) string { return get[string](c, name) }

// Duration returns the current value of a parameter declared with Duration.
func (c *Context) Duration(name string) time.Duration { return get[time.Duration](c, name) }

// Addr returns the current value of a parameter declared with Addr.
func (c *Context) Addr(name string) netip.Addr { return get[netip.Addr](c, name) }

// Prefix returns the current value of a parameter declared with Prefix.
func (c *Context) Prefix(name string) netip.Prefix { return get[netip.Prefix](c, name) }

// List returns the current value of a parameter declared with List; the caller
// must not change it.
func (c *Context) List(name string) []string { return get[[]string](c, name) }

// OnParam calls f after each change of a writable parameter at run time, with
// the new value in place. One change runs at a time. It panics if the parameter is
// not declared. The module cannot be unloaded while f runs; f must not change a
// parameter of the same module.
func (c *Context) OnParam(name string, f func()) {
	v := c.param(name)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.onChange = append(v.onChange, f)
}
