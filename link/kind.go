package link

import (
	"fmt"
	"maps"
	"slices"
	"syscall"
)

// A Kind makes devices on demand: `ip link add NAME type KIND OPTION VALUE...`.
type Kind struct {
	// New makes one device called name (a pattern with %d when the user gave
	// none). Options not known are an error that names the known ones.
	New func(name string, options map[string]string) (*Device, error)
	// Delete removes a device that New made. It is not needed where the driver is a
	// Deleter.
	Delete func(dev *Device) error
}

// RegisterKind makes a kind of devices known until undo is called.
func (l *Layer) RegisterKind(name string, k Kind) (undo func(), err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, dup := l.kinds[name]; dup {
		return nil, fmt.Errorf("device kind %s: %w", name, ErrExists)
	}
	l.kinds[name] = k
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.kinds, name)
	}, nil
}

// Kinds returns the names of the kinds known now.
func (l *Layer) Kinds() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Sorted(maps.Keys(l.kinds))
}

// Create makes a device of a kind, loading the module rtnl-link-KIND if the kind
// is not known yet. An unknown kind is EOPNOTSUPP, as on Linux.
func (l *Layer) Create(kind, name string, options map[string]string) (*Device, error) {
	k, ok := l.kind(kind)
	if !ok {
		if err := l.request("rtnl-link-" + kind); err != nil {
			return nil, fmt.Errorf("unknown device type %q: %w", kind, syscall.EOPNOTSUPP)
		}
		if k, ok = l.kind(kind); !ok {
			return nil, fmt.Errorf("unknown device type %q: %w", kind, syscall.EOPNOTSUPP)
		}
	}
	if name == "" {
		name = kind + "%d"
	}
	dev, err := k.New(name, options)
	if err != nil {
		return nil, err
	}
	options = maps.Clone(options)
	dev.options.Store(&options)
	return dev, nil
}

// Created returns the options with which Layer.Create has made the device, and
// whether it has: making it again needs no more. The other end of a pair comes with
// the first one and counts as not made. The options must not be changed.
func (dev *Device) Created() (options map[string]string, ok bool) {
	p := dev.options.Load()
	if p == nil {
		return nil, false
	}
	return *p, true
}

// Delete removes a device that Create made, or whose driver is a Deleter; others are
// EOPNOTSUPP.
func (l *Layer) Delete(dev *Device) error {
	if d, ok := dev.driver.(Deleter); ok {
		return d.Delete(dev)
	}
	k, ok := l.kind(dev.Kind())
	if !ok || k.Delete == nil {
		return fmt.Errorf("delete %s: %w", dev.Name(), syscall.EOPNOTSUPP)
	}
	return k.Delete(dev)
}

// DetachKind detaches all devices of a kind, for a module that is being unloaded.
func (l *Layer) DetachKind(kind string) {
	for _, d := range l.Devices() {
		if d.Kind() == kind {
			d.Detach()
		}
	}
}

func (l *Layer) kind(name string) (Kind, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k, ok := l.kinds[name]
	return k, ok
}
