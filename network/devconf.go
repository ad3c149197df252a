package network

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/knitnet/knit/core/sysctl"
	"github.com/knitnet/knit/link"
)

// A DeviceConf holds one module's settings for "all", for "default" and for every
// device, as the tree net.ipv4.conf does: a new device starts with the default. It
// is safe for concurrent use; T is a struct of atomic values.
type DeviceConf[T any] struct {
	// All and Default are the settings of these names.
	All, Default *T

	spec    DeviceConfSpec[T]
	link    *link.Layer
	byIndex atomic.Pointer[[]*T]

	mu     sync.Mutex // serialises changes
	undo   map[int32][]func()
	closed bool
}

// DeviceConfSpec says what a DeviceConf is made of.
type DeviceConfSpec[T any] struct {
	// Prefix is the name above the devices' names: "net.ipv4.conf".
	Prefix string
	// All and Default are the first settings.
	All, Default *T
	// Clone returns new settings with the values of v.
	Clone func(v *T) *T
	// Entries returns the sysctls of v, whose names begin with prefix and a dot.
	Entries func(prefix string, v *T) []sysctl.Entry
}

// NewDeviceConf registers the settings in t until undo is called.
func NewDeviceConf[T any](l *link.Layer, t *sysctl.Table, spec DeviceConfSpec[T]) (c *DeviceConf[T], undo func(), err error) {
	c = &DeviceConf[T]{All: spec.All, Default: spec.Default, spec: spec, link: l, undo: map[int32][]func(){}}
	c.byIndex.Store(new([]*T))
	for i, v := range []*T{c.All, c.Default} {
		name := []string{"all", "default"}[i]
		if err := c.register(t, -int32(i)-1, name, v); err != nil {
			c.close()
			return nil, nil, err
		}
	}
	unwatch := l.Watch(func(e link.Event) { c.changed(t, e) })
	for _, dev := range l.Devices() {
		c.changed(t, link.Event{Kind: link.Added, Device: dev})
	}
	return c, func() { unwatch(); c.close() }, nil
}

// Of returns the settings of the device with an index, those of "default" if there
// is none. It is for the packet path.
func (c *DeviceConf[T]) Of(index int32) *T {
	if t := *c.byIndex.Load(); index > 0 && int(index) < len(t) && t[index] != nil {
		return t[index]
	}
	return c.Default
}

// Each calls f for the settings of "all", "default" and every device.
func (c *DeviceConf[T]) Each(f func(*T)) {
	f(c.All)
	f(c.Default)
	for _, v := range *c.byIndex.Load() {
		if v != nil {
			f(v)
		}
	}
}

func (c *DeviceConf[T]) changed(t *sysctl.Table, e link.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	index := e.Device.Index()
	// Events of two goroutines may come in either order: what counts is the table.
	there := c.link.Device(index) == e.Device
	switch {
	case c.closed:
	case e.Kind == link.Removed && !there:
		c.unregister(index)
		c.store(index, nil)
	case e.Kind == link.Renamed && there:
		c.unregister(index)
		c.register(t, index, e.Device.Name(), c.Of(index))
	case e.Kind == link.Added && there && c.undo[index] == nil:
		v := c.spec.Clone(c.Default)
		c.store(index, v)
		c.register(t, index, e.Device.Name(), v)
	}
}

func (c *DeviceConf[T]) store(index int32, v *T) {
	t := slices.Clone(*c.byIndex.Load())
	for len(t) <= int(index) {
		t = append(t, nil)
	}
	t[index] = v
	c.byIndex.Store(&t)
}

// register makes the sysctls of one name. A dot in a device's name is written as a
// slash (sysctl(8)).
func (c *DeviceConf[T]) register(t *sysctl.Table, index int32, name string, v *T) error {
	for _, e := range c.spec.Entries(c.spec.Prefix+"."+strings.ReplaceAll(name, ".", "/"), v) {
		undo, err := t.Register(e)
		if err != nil {
			return err
		}
		c.undo[index] = append(c.undo[index], undo)
	}
	return nil
}

func (c *DeviceConf[T]) unregister(index int32) {
	for _, undo := range c.undo[index] {
		undo()
	}
	delete(c.undo, index)
}

func (c *DeviceConf[T]) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for index := range c.undo {
		c.unregister(index)
	}
}
