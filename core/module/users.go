package module

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// gone is added to a module's use count when it takes no more users; users
// that are still there count on from there.
const gone = -1 << 62

// uses counts the live users of one module: in total, which decides about
// unloading, and by kind, which explains the decision.
type uses struct {
	total atomic.Int64
	left  chan struct{} // gets a token when a user leaves a module that is gone

	mu    sync.Mutex
	kinds []*Users
}

func (u *uses) init() { u.left = make(chan struct{}, 1) }

// Users counts live users of one kind: open sockets, devices that are up. Get
// it from Context.Users once; Get and Put do not allocate, never block and may
// be called concurrently.
type Users struct {
	of   *uses
	kind string
	n    atomic.Int64
}

// Get counts one more user. It reports false, and counts nothing, when the
// module is on its way out.
func (u *Users) Get() bool {
	for {
		n := u.of.total.Load()
		if n < 0 {
			return false
		}
		if u.of.total.CompareAndSwap(n, n+1) {
			u.n.Add(1)
			return true
		}
	}
}

// Put counts one user less. Each Put belongs to one Get that reported true.
func (u *Users) Put() {
	u.n.Add(-1)
	if u.of.total.Add(-1) < 0 {
		u.of.wake()
	}
}

// Count returns how many users of this kind there are.
func (u *Users) Count() int { return int(u.n.Load()) }

// wake tells a drain that something has changed.
func (u *uses) wake() {
	select {
	case u.left <- struct{}{}:
	default:
	}
}

// kind returns the counter of a kind, and makes it at first.
func (u *uses) kind(name string) *Users {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, k := range u.kinds {
		if k.kind == name {
			return k
		}
	}
	k := &Users{of: u, kind: name}
	u.kinds = append(u.kinds, k)
	return k
}

// close refuses new users from now on, provided that there are none.
func (u *uses) close() bool { return u.total.CompareAndSwap(0, gone) }

// refuse refuses new users from now on, while the present ones stay.
func (u *uses) refuse() {
	if u.total.Load() >= 0 {
		u.total.Add(gone)
	}
}

// reopen takes refuse back.
func (u *uses) reopen() { u.total.Add(-gone) }

// count returns the number of users, whether or not new ones are refused.
func (u *uses) count() int {
	n := u.total.Load()
	if n < 0 {
		n -= gone
	}
	return int(n)
}

// list returns the kinds that have users, by name.
func (u *uses) list() []UserCount {
	u.mu.Lock()
	defer u.mu.Unlock()
	var list []UserCount
	for _, k := range u.kinds {
		if n := k.Count(); n > 0 {
			list = append(list, UserCount{k.kind, n})
		}
	}
	slices.SortFunc(list, func(a, b UserCount) int { return strings.Compare(a.Kind, b.Kind) })
	return list
}

// Users returns the counter of live users of this kind, a singular noun such
// as "socket"; the same one each time. While any user is there the module
// cannot be unloaded, and the refusal names kind and number.
func (c *Context) Users(kind string) *Users { return c.m.uses.kind(kind) }

// Use counts one user of this kind until release is called; a second call of
// release does nothing. ok is false when the module is on its way out.
func (c *Context) Use(kind string) (release func(), ok bool) {
	u := c.Users(kind)
	if !u.Get() {
		return nil, false
	}
	return sync.OnceFunc(u.Put), true
}
