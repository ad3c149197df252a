package network

import (
	"slices"

	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network/route"
)

// An EventKind says what happened.
type EventKind uint8

// Kinds of events.
const (
	AddrAdded EventKind = iota // or changed
	AddrRemoved
	RouteAdded
	RouteRemoved
	RuleAdded
	RuleRemoved
)

// An Event tells of a change of addresses, routes or rules, for modules and `ip monitor`.
type Event struct {
	Kind   EventKind
	Device *link.Device // of an address
	Addr   *Addr
	Route  *route.Route
	Rule   *route.Rule
	V6     bool // of a rule
}

type watcher struct{ f func(Event) }

// Watch calls f for every later event until undo is called, in the goroutine
// that made the change and after it. f may call into the layer.
func (l *Layer) Watch(f func(Event)) (undo func()) {
	w := &watcher{f}
	l.watch.Lock()
	defer l.watch.Unlock()
	l.watch.list = append(slices.Clone(l.watch.list), w)
	return func() {
		l.watch.Lock()
		defer l.watch.Unlock()
		l.watch.list = slices.DeleteFunc(slices.Clone(l.watch.list), func(x *watcher) bool { return x == w })
	}
}

func (l *Layer) notify(e Event) {
	l.watch.Lock()
	ws := l.watch.list
	l.watch.Unlock()
	for _, w := range ws {
		w.f(e)
	}
}
