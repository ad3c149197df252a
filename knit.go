// Package knit is a network kernel in user space: a small core on which devices,
// IP, TCP, filters and services are modules that load and unload while traffic
// flows.
//
// A Kernel is one independent network stack, as a network namespace is; a program
// may hold many. This package puts the layers on top of each other and knows no
// protocol: the modules that ship are listed in package std.
//
//	k, err := knit.New(knit.Config{Modules: std.Modules()})
//	...
//	defer k.Close()
//	err = k.Modprobe(ctx, "tcp")
//	conn, err := k.Dial("tcp", "127.0.0.1:80")
package knit

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/klog"
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/proc"
	"github.com/knitnet/knit/core/rcu"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/core/sysctl"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/socket"
	"github.com/knitnet/knit/transport"
	"github.com/knitnet/knit/transport/tcp/cc"
)

// Config describes a kernel. The zero Config is a kernel that can load nothing.
type Config struct {
	// Modules are those that can be loaded, usually std.Modules().
	Modules []module.Spec
	// Clock is the kernel's time. Nil means real time; a virtual clock makes a
	// whole network run in a test's own time. A timer that panics is an entry in
	// the log under nil; a clock that is given decides itself, by its Oops.
	Clock *clock.Clock
	// LookupHost finds addresses for Dial. Nil knows literal addresses and
	// localhost.
	LookupHost func(ctx context.Context, host string) ([]netip.Addr, error)
	// LogBytes bounds the kernel log in bytes; 0 means klog.DefaultCapacity.
	LogBytes int
}

// A Kernel is one network stack. Its methods are safe for concurrent use. The
// fields are its parts, for programs and modules that go deeper; they are set by
// New and must not be changed.
type Kernel struct {
	Modules   *module.Registry
	Link      *link.Layer
	Network   *network.Layer
	Transport *transport.Layer
	Sockets   *socket.Sockets

	Pool   *packet.Pool
	Clock  *clock.Clock
	Walks  *rcu.Period
	Log    *klog.Log
	Sysctl *sysctl.Table
	Proc   *proc.Table
	Stats  *stat.Set
	CC     *cc.Table

	ownClock bool
	closing  sync.Once
	closeErr error
}

// The symbols under which modules find the kernel's parts, beside those of the
// layers.
const (
	SysctlSymbol = "sysctl"
	ProcSymbol   = "proc"
	StatsSymbol  = "stats"
)

// New returns a kernel with the layers and no module. Close ends it.
func New(cfg Config) (*Kernel, error) {
	k := &Kernel{
		Pool: new(packet.Pool), Clock: cfg.Clock, Walks: new(rcu.Period),
		Sysctl: new(sysctl.Table), Proc: new(proc.Table), Stats: new(stat.Set), CC: new(cc.Table),
	}
	if k.Clock == nil {
		k.Clock, k.ownClock = clock.NewReal(), true
		k.Clock.Oops = func(reason any) { k.Log.Module("").Oops("a timer", reason) }
	}
	k.Sysctl.Oops = func(name string, reason any) { k.Log.Module("").Oops("sysctl "+name, reason) }
	k.Proc.Oops = func(path string, reason any) { k.Log.Module("").Oops("/proc/"+path, reason) }
	k.Log = klog.New(func() time.Duration { return time.Duration(k.Clock.Now()) }, cfg.LogBytes)
	var err error
	k.Modules, err = module.New(module.Config{Log: k.Log, Grace: k.Walks.Wait}, cfg.Modules...)
	if err != nil {
		return nil, fmt.Errorf("knit: %w", err)
	}
	request := func(alias string) error { return k.Modules.Request(context.Background(), alias) }
	k.Link = link.New(link.Config{Pool: k.Pool, Clock: k.Clock, Walks: k.Walks, Request: request, Oops: k.hookOops})
	k.Network = network.New(network.Config{Link: k.Link, Stats: k.Stats, Request: request, Oops: k.hookOops})
	k.Transport = transport.New(k.Network)
	k.Sockets = &socket.Sockets{Layer: k.Transport, Clock: k.Clock, LookupHost: cfg.LookupHost}
	if err := k.provide(); err != nil {
		return nil, err
	}
	if err := k.registerSysctls(); err != nil {
		return nil, err
	}
	return k, k.registerProcs()
}

// hookOops puts the panic of a module's hook into dmesg.
func (k *Kernel) hookOops(owner string, reason any) { k.Log.Module(owner).Oops("a hook", reason) }

// provide makes the kernel's parts available to modules.
func (k *Kernel) provide() error {
	for name, v := range map[string]any{
		link.Symbol: k.Link, network.Symbol: k.Network, transport.Symbol: k.Transport, cc.Symbol: k.CC,
		SysctlSymbol: k.Sysctl, ProcSymbol: k.Proc, StatsSymbol: k.Stats, socket.Symbol: k.Sockets,
	} {
		if err := k.Modules.Provide(name, v); err != nil {
			return fmt.Errorf("knit: %w", err)
		}
	}
	return nil
}

// Close unloads every module, the last loaded first, and ends the kernel. What
// modules left behind is in the log.
func (k *Kernel) Close() error {
	k.closing.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		k.closeErr = k.Modules.Shutdown(ctx)
		for _, d := range k.Link.Devices() {
			d.Detach()
		}
		if k.ownClock {
			k.Clock.Close()
		}
	})
	return k.closeErr
}

// closeTimeout bounds Close when modules do not end.
const closeTimeout = 15 * time.Second

// Modprobe loads a module by name or alias with "name=value" parameters, and
// before it what it needs, as modprobe does.
func (k *Kernel) Modprobe(ctx context.Context, name string, params ...string) error {
	return k.Modules.Modprobe(ctx, name, params...)
}

// Rmmod unloads one module; it fails while something uses it.
func (k *Kernel) Rmmod(ctx context.Context, name string) error {
	return k.Modules.Unload(ctx, name)
}

// Dial connects to an address; see DialContext.
func (k *Kernel) Dial(network, address string) (net.Conn, error) {
	return k.Sockets.Dial(network, address)
}

// DialContext connects to an address on a network such as "tcp", "udp6" or
// "ip4:icmp", as net.Dialer does. It can be an http.Transport's DialContext.
func (k *Kernel) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return k.Sockets.DialContext(ctx, network, address)
}

// Listen announces on a local TCP address, as net.Listen does.
func (k *Kernel) Listen(network, address string) (net.Listener, error) {
	return k.Sockets.Listen(network, address)
}

// ListenPacket announces on a local datagram address, as net.ListenPacket does.
func (k *Kernel) ListenPacket(network, address string) (net.PacketConn, error) {
	return k.Sockets.ListenPacket(network, address)
}

// AddAddr gives a device an address, such as 10.0.0.1/24, and takes the device up.
func (k *Kernel) AddAddr(device string, p netip.Prefix) error {
	dev, err := k.Link.Lookup(device)
	if err != nil {
		return err
	}
	if err := k.Network.AddAddr(dev, network.Addr{Prefix: p}); err != nil {
		return err
	}
	return dev.SetUp(true)
}

// Join joins k and other by a pair of devices, which are down and without
// addresses at first: x belongs to k, y to other. It loads the module pipe into k.
func (k *Kernel) Join(other *Kernel, cfg link.PipeConfig) (x, y *link.Device, err error) {
	if err := k.Modprobe(context.Background(), "pipe"); err != nil {
		return nil, nil, err
	}
	f, ok := module.Find[link.PipeFunc](k.Modules, link.PipeSymbol)
	if !ok {
		return nil, nil, errors.New("knit: module pipe exports no " + link.PipeSymbol)
	}
	return f(k.Link, other.Link, cfg)
}
