package hostfd

import (
	"fmt"
	"strings"
	"sync"

	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/internal/tunfd"
	"github.com/knitnet/knit/link"
)

// Params are the parameters of the modules tun and tap.
func Params() []module.Param {
	return []module.Param{
		module.Uint("queues", 1, "queues of a new device, when it does not say").Range(1, tunfd.MaxQueues).Writable(),
		module.String("path", tunfd.DefaultPath, "the host's clone device").Writable(),
	}
}

// Start is the Init of the modules tun (Type None) and tap (Type Ether): it
// registers the kind and exports an AttachFunc under symbol.
func Start(c *module.Context, kind string, t link.Type, symbol string) error {
	l, err := module.Import[*link.Layer](c, link.Symbol)
	if err != nil {
		return err
	}
	m := &maker{c: c, layer: l, kind: kind, typ: t, devices: map[*link.Device]*driver{}}
	c.Cleanup(m.detachAll)
	undo, err := l.RegisterKind(kind, link.Kind{New: m.open, Delete: m.delete})
	if err != nil {
		return err
	}
	c.Cleanup(undo)
	return module.Export[link.AttachFunc](c, symbol, m.attach)
}

// A maker makes a module's devices.
type maker struct {
	c     *module.Context
	layer *link.Layer
	kind  string
	typ   link.Type

	mu      sync.Mutex
	devices map[*link.Device]*driver
}

// open makes the device of `ip link add`, and with it one of the host.
func (m *maker) open(name string, options map[string]string) (*link.Device, error) {
	o := link.NewOptions(m.kind, options)
	host := tunfd.Config{
		Name:       o.String("host", name),
		TAP:        m.typ == link.Ether,
		VnetHdr:    o.Bool("vnet_hdr", true),
		MultiQueue: o.Int("queues", int(m.c.Uint("queues")), 1, tunfd.MaxQueues),
		Persist:    o.Bool("persist", false),
		Path:       m.c.String("path"),
	}
	if err := o.Err(); err != nil {
		return nil, err
	}
	return m.make(func() (*link.Device, *driver, error) { return openDevice(m, name, host) })
}

// attach is the link.AttachFunc.
func (m *maker) attach(cfg link.AttachConfig) (*link.Device, error) {
	if err := validate(cfg); err != nil {
		return nil, fmt.Errorf("%s %q: %w", m.kind, cfg.Name, err)
	}
	return m.make(func() (*link.Device, *driver, error) { return attachDevice(m, cfg) })
}

// make keeps the module in use while a device is being made, so that an unload does
// not miss it.
func (m *maker) make(f func() (*link.Device, *driver, error)) (*link.Device, error) {
	h := m.c.Users("device")
	if err := link.Hold(h); err != nil {
		return nil, err
	}
	defer h.Put()
	dev, d, err := f()
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.devices[dev] = d
	return dev, nil
}

func (m *maker) delete(dev *link.Device) error {
	m.mu.Lock()
	d := m.devices[dev]
	delete(m.devices, dev)
	m.mu.Unlock()
	if d == nil {
		return fmt.Errorf("device %s: %w", dev.Name(), link.ErrNoDevice)
	}
	d.detach(dev)
	return nil
}

func (m *maker) detachAll() {
	m.mu.Lock()
	devices := m.devices
	m.devices = map[*link.Device]*driver{}
	m.mu.Unlock()
	for dev, d := range devices {
		d.detach(dev)
	}
}

// info describes a device.
func (m *maker) info(name, detail string) link.Info {
	i := link.Info{Name: name, Kind: m.kind, Type: m.typ, Detail: detail}
	if i.Type == link.Ether {
		i.MaxMTU = 65535 - 14 // Linux's limit for a TAP
	}
	return i
}

// detail is what `ip -d link` shows, in the words it has for the host's interface.
func detail(kind string, host tunfd.Config, name string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s type %s pi off vnet_hdr %s", kind, kind, onOff(host.VnetHdr))
	if host.MultiQueue > 1 {
		fmt.Fprintf(&b, " multi_queue numqueues %d numdisabled 0", host.MultiQueue)
	}
	fmt.Fprintf(&b, " persist %s", onOff(host.Persist))
	if name != "" {
		fmt.Fprintf(&b, " host %s", name)
	}
	return b.String()
}

func onOff(b bool) string {
	if b {
		return "on"
	}
	return "off"
}
