package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/control"
	"github.com/knitnet/knit/control/server"
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/internal/sandbox"
	"github.com/knitnet/knit/internal/tunfd"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/link/capture"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/std"
)

// A world is the kernel of a run and what is open beside it.
type world struct {
	r       *runner
	plan    plan
	script  *control.Script
	sockets []string // where the control socket is served

	kernel    *knit.Kernel
	listeners []*server.Listener
	served    []chan error
	capture   *capture.Capture
	file      *os.File
}

// open makes the kernel of the program's network. What it opened is closed by
// close, also when it fails.
func (w *world) open(ctx context.Context, d sandbox.Device) (err error) {
	cfg := knit.Config{Modules: w.modules()}
	if !w.r.noUplink {
		cfg.LookupHost = hostLookup // what goes out finds the way by the host's names
	}
	if w.kernel, err = knit.New(cfg); err != nil {
		return err
	}
	dev, err := w.attach(ctx, d)
	if err != nil {
		return err
	}
	if err := w.address(ctx, dev); err != nil {
		return err
	}
	if err := w.record(dev); err != nil {
		return err
	}
	if err := w.load(ctx); err != nil {
		return err
	}
	return w.serve(ctx)
}

// modules are those that can be loaded. Without IPv6 the kernel does not know it:
// a blacklist would not keep it from those that ask for it by name.
func (w *world) modules() []module.Spec {
	if !w.r.noIPv6 {
		return std.Modules()
	}
	return slices.DeleteFunc(std.Modules(), func(m module.Spec) bool {
		return slices.Contains([]string{"ip6", "icmp6", "ndp", "mld"}, m.Name)
	})
}

// hostLookup asks the host's resolver.
func hostLookup(ctx context.Context, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

// attach makes a device of the sandbox's descriptors.
func (w *world) attach(ctx context.Context, d sandbox.Device) (*link.Device, error) {
	name, symbol := "tun", link.TUNAttachSymbol
	if d.Kind != sandbox.TUN {
		name, symbol = "tap", link.TAPAttachSymbol
	}
	if err := w.kernel.Modprobe(ctx, name); err != nil {
		return nil, err
	}
	attach, ok := module.Find[link.AttachFunc](w.kernel.Modules, symbol)
	if !ok {
		return nil, fmt.Errorf("module %s exports no %s", name, symbol)
	}
	return attach(link.AttachConfig{
		Name: name + "0", Files: d.Files, VNetHdrLen: d.VnetHdrLen, MTU: d.MTU, Features: features(d.Offload),
	})
}

// features are what may be written to a device unfinished.
func features(o tunfd.Offload) (f link.Features) {
	for _, x := range []struct {
		o tunfd.Offload
		f link.Features
	}{
		{tunfd.OffloadChecksum, link.TxCsum}, {tunfd.OffloadTSO4, link.TSO4}, {tunfd.OffloadTSO6, link.TSO6},
		{tunfd.OffloadUSO4 | tunfd.OffloadUSO6, link.USO},
	} {
		if o&x.o == x.o {
			f |= x.f
		}
	}
	return f
}

// address gives the kernel its addresses on the device, and the name server its own.
func (w *world) address(ctx context.Context, dev *link.Device) error {
	for _, m := range []string{"ip4", "ip6"}[:len(w.plan.kernel)] {
		if err := w.kernel.Modprobe(ctx, m); err != nil {
			return err
		}
	}
	for _, p := range w.plan.kernel {
		if err := w.kernel.Network.AddAddr(dev, network.Addr{Prefix: p, Flags: network.NoDAD}); err != nil {
			return err
		}
	}
	for _, p := range w.plan.dns {
		single := netip.PrefixFrom(p.Addr(), p.Addr().BitLen())
		if err := w.kernel.Network.AddAddr(dev, network.Addr{Prefix: single, Flags: network.NoDAD}); err != nil {
			return err
		}
	}
	return dev.SetUp(true)
}

// record begins the capture that --pcap asks for.
func (w *world) record(dev *link.Device) (err error) {
	if w.r.pcap == "" {
		return nil
	}
	if w.file, err = os.Create(w.r.pcap); err != nil {
		return err
	}
	w.capture, err = capture.Start(w.file, capture.Options{}, dev)
	return err
}

// load loads what the program's network consists of, and what the user asks for.
func (w *world) load(ctx context.Context) error {
	if !w.r.noUplink {
		var dns []string
		for _, a := range w.plan.addrs(w.plan.dns) {
			dns = append(dns, a.String())
		}
		err := w.kernel.Modprobe(ctx, "uplink", "dns="+strings.Join(dns, ","), fmt.Sprint("host_loopback=", !w.r.noLoopback))
		if err != nil {
			return err
		}
	} else if err := w.island(); err != nil {
		return err
	}
	for _, m := range w.r.modules {
		words := strings.Fields(m)
		if len(words) == 0 {
			return errors.New("--module: want a name")
		}
		if err := w.kernel.Modprobe(ctx, words[0], words[1:]...); err != nil {
			return err
		}
	}
	return nil
}

// island makes the kernel a router that has no way out: it answers what goes
// elsewhere with "network unreachable", so that nobody waits for it.
func (w *world) island() error {
	names := []string{"net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"}
	for _, name := range names[:len(w.plan.kernel)] {
		if err := w.kernel.Sysctl.Set(name, "1"); err != nil {
			return err
		}
	}
	return nil
}

// serve opens the control sockets and runs the boot script.
func (w *world) serve(ctx context.Context) error {
	s := server.New(w.kernel, server.Config{})
	for _, path := range w.sockets {
		l, err := s.Listen(path)
		if err != nil {
			return err
		}
		done := make(chan error, 1)
		w.listeners, w.served = append(w.listeners, l), append(w.served, done)
		go func() { done <- l.Serve() }()
	}
	return w.script.Run(ctx, s, w.r.console)
}

// close ends everything in order: callers first, then what they call. Closing twice
// is harmless.
func (w *world) close() error {
	var errs []error
	for i, l := range w.listeners {
		errs = append(errs, l.Close(), <-w.served[i])
		l.Release()
	}
	w.listeners = nil
	if w.capture != nil {
		errs = append(errs, w.capture.Stop())
		w.capture = nil
	}
	if w.file != nil {
		errs = append(errs, w.file.Close())
		w.file = nil
	}
	if w.kernel != nil {
		if w.r.verbose {
			for _, e := range w.kernel.Log.Entries() {
				fmt.Fprintln(w.r.console.Stderr, e)
			}
		}
		errs = append(errs, w.kernel.Close())
		w.kernel = nil
	}
	return errors.Join(errs...)
}
