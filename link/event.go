package link

import "slices"

// An EventKind says what happened to a device.
type EventKind uint8

// Kinds of events.
const (
	Added EventKind = iota
	Removed
	WentUp
	WentDown
	Renamed
	MACChanged
	Changed       // MTU, features, flags
	MasterChanged // enslaved, or no more; the device is down
)

// An Event tells of a change of a device (a netdevice notifier's message).
type Event struct {
	Kind   EventKind
	Device *Device
}

type watcher struct{ f func(Event) }

// Watch calls f for every later event until undo is called, in the goroutine
// that made the change and after the change. f may call into the layer.
func (l *Layer) Watch(f func(Event)) (undo func()) {
	w := &watcher{f}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.watchers = append(slices.Clone(l.watchers), w)
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.watchers = slices.DeleteFunc(slices.Clone(l.watchers), func(x *watcher) bool { return x == w })
	}
}

func (l *Layer) notify(e Event) {
	l.mu.Lock()
	ws := l.watchers
	l.mu.Unlock()
	for _, w := range ws {
		w.f(e)
	}
}
