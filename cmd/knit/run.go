package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/knitnet/knit/control"
	"github.com/knitnet/knit/internal/sandbox"
)

// A runner is what `knit run` was told.
type runner struct {
	console    *control.Console
	socket     string
	modules    []string
	boot       string
	prefix4    string
	prefix6    string
	noUplink   bool
	noIPv6     bool
	noLoopback bool
	tap        bool
	keepUID    bool
	verbose    bool
	mtu        int
	queues     int
	hostname   string
	pcap       string
	tunPath    string
}

// runCommand makes `knit run`. socket is what --socket says.
func runCommand(c *control.Console, socket *string) *cobra.Command {
	r := runner{console: c}
	cmd := &cobra.Command{
		Use:   "run [flags] [-- COMMAND [ARGUMENT...]]",
		Short: "run a program in a network of its own",
		Long: "Run a program, a shell if none is named, in a user and network namespace whose network\n" +
			"is a kernel of its own. The exit status is the program's. It needs no root.\n\n" +
			"Inside, the kernel is the gateway (.2 of the network, ::2) and answers names (.3, ::3);\n" +
			"the program is .100 and ::100. What goes elsewhere leaves by the host's own sockets, unless\n" +
			"--no-uplink makes the network an island, where what is elsewhere is unreachable. The host's\n" +
			"own loopback is at the kernel's address, on ports where nothing listens inside. The knit\n" +
			"commands work inside: KNIT_SOCKET is set; with --socket they work outside too.",
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("socket") {
				r.socket = *socket
			}
			return r.run(cmd.Context(), args)
		},
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return failure(sandbox.StatusFailed, err) })
	f := cmd.Flags()
	f.SetInterspersed(false)
	f.StringArrayVar(&r.modules, "module", nil, "load `'NAME[ PARAM=VALUE...]'` first; may be repeated")
	f.StringVar(&r.boot, "boot", "", "run the commands in `FILE` first, - for standard input")
	f.BoolVar(&r.noUplink, "no-uplink", false, "an island: nothing leaves for the outside")
	f.BoolVar(&r.noLoopback, "no-host-loopback", false, "the kernel's address does not lead to the host's own loopback")
	f.StringVar(&r.prefix4, "net", usualNet4, "the IPv4 `PREFIX`")
	f.StringVar(&r.prefix6, "net6", usualNet6, "the IPv6 `PREFIX`")
	f.BoolVar(&r.noIPv6, "no-ipv6", false, "IPv4 only")
	f.BoolVar(&r.tap, "tap", false, "an Ethernet interface (TAP) instead of an IP interface (TUN)")
	f.IntVar(&r.mtu, "mtu", 0, "MTU in `BYTES` (default 1500)")
	f.IntVar(&r.queues, "queues", 1, "queues of the interface")
	f.BoolVar(&r.keepUID, "keep-uid", false, "stay who you are instead of becoming root inside")
	f.StringVar(&r.hostname, "hostname", "", "the host name inside")
	f.StringVar(&r.pcap, "pcap", "", "write what passes the interface to `FILE` (pcapng)")
	f.BoolVarP(&r.verbose, "verbose", "v", false, "say how the network is made, and print the kernel's log to standard error at the end")
	f.StringVar(&r.tunPath, "tun-path", "", "TUN clone device")
	f.MarkHidden("tun-path")
	return cmd
}

// The networks of a run that names none, the first one as slirp has it.
const (
	usualNet4 = "10.0.2.0/24"
	usualNet6 = "fd00:2::/64"
)

// A plan is the network of a run: addresses of the kernel, of its name server and
// of the program.
type plan struct {
	kernel, dns, guest []netip.Prefix
}

// hosts of the network, as slirp has them.
const (
	kernelHost = 2
	dnsHost    = 3
	guestHost  = 100
)

func (r *runner) plan() (p plan, err error) {
	texts := []string{r.prefix4, r.prefix6}
	if r.noIPv6 {
		texts = texts[:1]
	}
	for i, text := range texts {
		prefix, err := netip.ParsePrefix(text)
		switch {
		case err != nil || prefix.Addr().Is4() != (i == 0):
			return p, fmt.Errorf("run: network %q: want an IPv%d prefix such as %s", text, 4+2*i, [...]string{usualNet4, usualNet6}[i])
		case prefix.Bits() > [...]int{25, 112}[i]:
			return p, fmt.Errorf("run: network %v: want /%d or larger", prefix, [...]int{25, 112}[i])
		}
		prefix = prefix.Masked()
		for host, to := range map[uint16]*[]netip.Prefix{kernelHost: &p.kernel, dnsHost: &p.dns, guestHost: &p.guest} {
			*to = append(*to, netip.PrefixFrom(nth(prefix.Addr(), host), prefix.Bits()))
		}
	}
	return p, nil
}

// nth returns the address n behind a. The last byte of a is small enough.
func nth(a netip.Addr, n uint16) netip.Addr {
	if a.Is4() {
		b := a.As4()
		b[3] += byte(n)
		return netip.AddrFrom4(b)
	}
	b := a.As16()
	if n == guestHost {
		b[14], b[15] = 1, 0 // ::100 reads like .100
		return netip.AddrFrom16(b)
	}
	b[15] += byte(n)
	return netip.AddrFrom16(b)
}

func (p *plan) addrs(of []netip.Prefix) (out []netip.Addr) {
	for _, x := range of {
		out = append(out, x.Addr())
	}
	return out
}

// run runs the command and returns its status.
func (r *runner) run(ctx context.Context, command []string) error {
	p, err := r.plan()
	if err != nil {
		return failure(sandbox.StatusFailed, err)
	}
	if len(command) == 0 {
		command = []string{shell()}
	}
	dir, err := os.MkdirTemp("", "knit-run-")
	if err != nil {
		return failure(sandbox.StatusFailed, fmt.Errorf("run: %w", err))
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "ctl.sock")
	cfg := sandbox.Config{
		Command: command, Env: append(os.Environ(), control.SocketVar+"="+socket), TAP: r.tap, MTU: r.mtu, Queues: r.queues,
		Addrs: p.guest, Gateway4: p.kernel[0].Addr(), DNS: p.addrs(p.dns), Hostname: r.hostname, KeepUID: r.keepUID, TUNPath: r.tunPath,
	}
	if !r.noIPv6 {
		cfg.Gateway6 = p.kernel[1].Addr()
	}
	script, err := (&up{console: r.console, boot: r.boot}).script()
	if err != nil {
		return failure(sandbox.StatusFailed, err)
	}
	w := &world{r: r, plan: p, script: script, sockets: []string{socket}}
	if r.socket != "" {
		w.sockets = append(w.sockets, r.socket)
	}
	defer w.close()
	code, err := sandbox.Run(ctx, cfg, func(s *sandbox.Sandbox) error {
		said := s.Warnings()
		if r.verbose {
			said = append(said, s.Notes()...)
		}
		for _, line := range said {
			r.console.Warn("knit: %s", line)
		}
		return w.open(ctx, s.Device())
	})
	if err := errors.Join(err, w.close()); err != nil {
		if code == 0 {
			code = sandbox.StatusFailed
		}
		return failure(code, err)
	}
	if code != 0 {
		return status(code)
	}
	return nil
}

// failure is an error of knit itself, with the exit status for it. One in a boot
// script names the script.
func failure(status int, err error) error {
	text := err.Error()
	if script := (*control.ScriptError)(nil); !errors.As(err, &script) {
		text = "knit: " + strings.TrimPrefix(text, "knit: ")
	}
	return control.Errorf(status, "%s", text)
}

func shell() string {
	if s := os.Getenv("SHELL"); s != "" {
		return s
	}
	return "/bin/sh"
}
