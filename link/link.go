// Package link is layer 2: the table of devices, the contract of their drivers
// and the hook points at their edge. It knows Ethernet's frame and no protocol
// above it.
//
// Up: a driver calls Device.Receive with a batch; link reads the frame headers,
// runs the ingress hooks, merges segments and gives each packet to the Handler of
// its EtherType. Down: the network layer calls Device.Transmit; link runs the
// egress hooks, cuts and sums what the driver cannot, and calls the driver.
//
// Nobody may hold a lock that another packet would wait for while calling Transmit or
// Receive: over an in-process link the peer's answer comes back before the call
// returns. (TCP keeps a connection while it sends, and is never waited for: what comes
// meanwhile is left in the connection's inbox.)
package link

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/hook"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/rcu"
	"github.com/knitnet/knit/wire"
)

// Errors of the device table. They are wrapped with what they are about.
var (
	ErrNoDevice = errors.New("no such device") // ENODEV
	ErrExists   = errors.New("file exists")    // EEXIST
)

// Symbol is the kernel symbol under which modules find the Layer.
const Symbol = "link"

// A Handler takes packets of one EtherType. The network header is at the start
// of the data and at Meta.L3. It owns the packets of q.
type Handler interface {
	Input(dev *Device, q *packet.Queue)
}

// An Offload knows how packets of one EtherType are cut and merged.
type Offload interface {
	// Segment cuts a packet with Meta.GSO set into packets of GSOSize payload
	// bytes each and pushes them to out. It owns pkt.
	Segment(pkt *packet.Packet, out *packet.Queue)
	// Merge joins what may be joined of a received batch, in order (GRO).
	Merge(q *packet.Queue)
}

// A Layer is the table of devices and of the handlers above them. All methods
// are safe for concurrent use.
type Layer struct {
	// Ingress runs on what a device received, Egress on what it is to send.
	Ingress, Egress hook.Point

	// Pool, Clock and Walks are the kernel's own, for drivers and modules.
	Pool  *packet.Pool
	Clock *clock.Clock
	Walks *rcu.Period
	// Slots says who keeps something in packets.
	Slots packet.Slots

	// Request asks for a module by alias, as request_module does; see New.
	request func(alias string) error

	protocols atomic.Pointer[map[uint16]*protocol]
	byIndex   atomic.Pointer[[]*Device] // index -> device or nil

	mu       sync.Mutex // serialises changes; not held while watchers run
	last     int32      // index of the newest device
	kinds    map[string]Kind
	watchers []*watcher
}

type protocol struct {
	Handler
	Offload
}

// Config is what a kernel gives its link layer.
type Config struct {
	Pool  *packet.Pool
	Clock *clock.Clock
	Walks *rcu.Period
	// Request loads the module with an alias such as "rtnl-link-tun". Nil means
	// that nothing can be loaded.
	Request func(alias string) error
	// Oops is told of hooks that panic; see hook.Point.
	Oops func(owner string, reason any)
}

// New returns an empty table.
func New(cfg Config) *Layer {
	l := &Layer{Pool: cfg.Pool, Clock: cfg.Clock, Walks: cfg.Walks, request: cfg.Request, kinds: map[string]Kind{}}
	l.Ingress.Oops, l.Egress.Oops = cfg.Oops, cfg.Oops
	if l.request == nil {
		l.request = func(alias string) error { return fmt.Errorf("%s: no modules here", alias) }
	}
	return l
}

// Handle gives packets of an EtherType to h until undo is called.
func (l *Layer) Handle(etherType uint16, h Handler) (undo func(), err error) {
	return l.register(etherType, func(p *protocol) error {
		if p.Handler != nil {
			return fmt.Errorf("handle EtherType %#04x: taken", etherType)
		}
		p.Handler = h
		return nil
	}, func(p *protocol) { p.Handler = nil })
}

// Offload lets o cut and merge packets of an EtherType until undo is called.
func (l *Layer) Offload(etherType uint16, o Offload) (undo func(), err error) {
	return l.register(etherType, func(p *protocol) error {
		if p.Offload != nil {
			return fmt.Errorf("offload for EtherType %#04x: taken", etherType)
		}
		p.Offload = o
		return nil
	}, func(p *protocol) { p.Offload = nil })
}

func (l *Layer) register(etherType uint16, set func(*protocol) error, unset func(*protocol)) (undo func(), err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.change(etherType, set); err != nil {
		return nil, err
	}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.change(etherType, func(p *protocol) error { unset(p); return nil })
	}, nil
}

// change replaces the entry of an EtherType by a changed copy. l.mu is held.
func (l *Layer) change(etherType uint16, f func(*protocol) error) error {
	var old map[uint16]*protocol
	if m := l.protocols.Load(); m != nil {
		old = *m
	}
	var p protocol
	if old[etherType] != nil {
		p = *old[etherType]
	}
	if err := f(&p); err != nil {
		return err
	}
	next := maps.Clone(old)
	if next == nil {
		next = map[uint16]*protocol{}
	}
	next[etherType] = &p
	if p == (protocol{}) {
		delete(next, etherType)
	}
	l.protocols.Store(&next)
	return nil
}

// protocol returns the entry of an EtherType, or nil.
func (l *Layer) protocol(etherType uint16) *protocol {
	if m := l.protocols.Load(); m != nil {
		return (*m)[etherType]
	}
	return nil
}

// Device returns the device with an index, or nil. It is for the packet path.
func (l *Layer) Device(index int32) *Device {
	if t := l.byIndex.Load(); t != nil && index > 0 && int(index) < len(*t) {
		return (*t)[index]
	}
	return nil
}

// Devices returns all devices, by index.
func (l *Layer) Devices() []*Device {
	t := l.byIndex.Load()
	if t == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(*t), func(d *Device) bool { return d == nil })
}

// Lookup returns the device called name, or an error that wraps ErrNoDevice.
func (l *Layer) Lookup(name string) (*Device, error) {
	for _, d := range l.Devices() {
		if d.Name() == name {
			return d, nil
		}
	}
	return nil, fmt.Errorf("device %q: %w", name, ErrNoDevice)
}

// newMAC returns a random locally administered unicast address.
func newMAC(random [6]byte) wire.MAC {
	m := wire.MAC(random)
	m[0] = m[0]&^1 | 2
	return m
}
