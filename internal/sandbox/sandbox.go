// Package sandbox runs a command in a user, network and mount namespace of
// its own, without root, and hands the caller the other end of the command's
// only network device: descriptors from which the command's packets are read
// and to which its answers are written.
//
// Start re-executes the running program as a child in the new namespaces.
// The child opens a TUN or TAP there, or, where /dev/net/tun is out of reach,
// a veth pair with a packet socket on its far end; passes the descriptors to
// the parent over a Unix socket; gives the near end its addresses, routes and
// resolver; and waits for Exec to start the command. A program that uses the
// package must therefore call MaybeChild first thing in main.
//
// The command keeps the caller's process group, session, terminal and
// standard files, so that job control works as without a sandbox. The child
// stays as its parent and reaper: when the command ends, or when the caller
// dies in whatever way, it kills what the command left behind, and with the
// last process and descriptor the namespaces vanish.
package sandbox

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/knitnet/knit/internal/tunfd"
)

// A Kind says what the descriptors of a Device are.
type Kind string

// The kinds of device, in the order of preference.
const (
	// TUN carries IP packets.
	TUN Kind = "tun"
	// TAP carries Ethernet frames.
	TAP Kind = "tap"
	// Packet is an AF_PACKET socket on the far end of a veth pair; it
	// carries Ethernet frames and has one queue.
	Packet Kind = "packet"
)

// DefaultMTU is the MTU of a Config that names none. With the virtio-net
// header a TCP segment of 64 KiB crosses the device at this MTU too.
const DefaultMTU = 1500

// Config describes a sandbox. The zero value runs nothing but makes a TUN
// without addresses.
type Config struct {
	// Command is the program and its arguments. A name without a slash is
	// looked up in the PATH of Env.
	Command []string

	// Env is the environment of the command; nil means the caller's.
	Env []string `json:"-"`

	// Dir is the command's working directory; empty means the caller's.
	Dir string

	// Stdin, Stdout and Stderr are the command's; nil means the caller's.
	Stdin, Stdout, Stderr *os.File `json:"-"`

	// TAP prefers a TAP to a TUN.
	TAP bool

	// Require makes Start fail where it would otherwise choose another kind
	// of device. Empty means a TUN (or TAP), or else Packet.
	Require Kind

	// Name is the interface's name inside. Empty means tun0 for a TUN and
	// eth0 for the other kinds.
	Name string

	// MTU is the interface's MTU in bytes; zero means DefaultMTU.
	MTU int

	// Queues is the number of descriptors to open on a TUN or TAP, at most
	// tunfd.MaxQueues; zero means one.
	Queues int

	// Addrs are the interface's addresses with their prefix lengths.
	Addrs []netip.Prefix

	// Gateway4 and Gateway6 are the next hops of the default routes. The
	// zero value means no default route.
	Gateway4, Gateway6 netip.Addr

	// DNS are the nameservers of /etc/resolv.conf, and Search its search list,
	// without which the caller's stays. Without DNS the whole file stays.
	DNS    []netip.Addr
	Search []string

	// Hosts are lines to add to /etc/hosts.
	Hosts []Host

	// Hostname is the host name inside. Empty keeps the caller's.
	Hostname string

	// KeepUID lets the command run under the caller's user and group id and
	// without capabilities. Otherwise the caller becomes root inside, or,
	// when it may map them all, every id stays what it is.
	KeepUID bool

	// TUNPath is the TUN clone device; empty means tunfd.DefaultPath.
	TUNPath string
}

// A Host is one line of /etc/hosts.
type Host struct {
	Addr  netip.Addr
	Names []string
}

// A Device is the caller's end of the command's network device.
type Device struct {
	Kind Kind

	// Name and HardwareAddr are those of the interface that the command
	// sees; a TUN has no hardware address.
	Name         string
	HardwareAddr net.HardwareAddr

	// MTU is the interface's MTU in bytes.
	MTU int

	// VnetHdrLen is the number of bytes of struct virtio_net_hdr before each
	// packet or frame, in both directions. Its 16-bit fields are
	// little-endian on a TUN or TAP and in the machine's order on a packet
	// socket.
	VnetHdrLen int

	// Offload is what may arrive unfinished.
	Offload tunfd.Offload

	// Files are the descriptors: one per queue, non-blocking, in Go's
	// poller. Sandbox.Close closes them; closing them earlier does no harm.
	Files []*os.File `json:"-"`
}

// A CommandError says that the namespaces stand but the command could not be
// started.
type CommandError struct {
	// Status is the exit status that a shell gives: 127 for a command that
	// was not found, 126 for one that cannot be executed.
	Status int
	Text   string
}

// Error returns a line such as "nosuch: command not found".
func (e *CommandError) Error() string { return e.Text }

// StatusFailed is the exit status that Run returns when not the command but
// the sandbox failed, as env(1) and timeout(1) have it.
const StatusFailed = 125

var (
	// ErrUnsupported is what Start and Run return outside Linux.
	ErrUnsupported = errors.New("a sandbox needs the namespaces of Linux")

	// ErrClosed is what Wait returns after Close.
	ErrClosed = errors.New("sandbox is closed")
)

// withDefaults returns c with its zero values replaced, or what is wrong
// with it. Names of interfaces are completed later, by the kind of device.
func (c Config) withDefaults() (Config, error) {
	if c.MTU == 0 {
		c.MTU = DefaultMTU
	}
	switch {
	case c.MTU < 68 || c.MTU > 65535:
		return c, fmt.Errorf("MTU %d: want 68 to 65535", c.MTU)
	case c.Queues < 0 || c.Queues > tunfd.MaxQueues:
		return c, fmt.Errorf("%d queues: want 1 to %d", c.Queues, tunfd.MaxQueues)
	case len(c.Name) > 15 || strings.ContainsAny(c.Name, "/ %"):
		return c, fmt.Errorf("interface name %q: want at most 15 bytes without slash, space and %%", c.Name)
	case c.Gateway4.IsValid() && !c.Gateway4.Is4():
		return c, fmt.Errorf("gateway %v: want an IPv4 address", c.Gateway4)
	case c.Gateway6.IsValid() && (!c.Gateway6.Is6() || c.Gateway6.Is4In6()):
		return c, fmt.Errorf("gateway %v: want an IPv6 address", c.Gateway6)
	case len(c.Hostname) > 64:
		return c, fmt.Errorf("host name %q: longer than 64 bytes", c.Hostname)
	}
	switch c.Require {
	case "", TUN, TAP, Packet:
	default:
		return c, fmt.Errorf("device kind %q: want tun, tap or packet", c.Require)
	}
	for _, a := range c.Addrs {
		if !a.IsValid() || a.Addr().Is4In6() {
			return c, fmt.Errorf("address %v: want an IPv4 or IPv6 address with its prefix length", a)
		}
	}
	return c, c.checkText()
}

// checkText refuses what would become more than one word of a file.
func (c Config) checkText() error {
	words := append([]string{c.Hostname}, c.Search...)
	for _, h := range c.Hosts {
		words = append(words, h.Names...)
		if !h.Addr.IsValid() {
			return fmt.Errorf("host %q: no address", h.Names)
		}
	}
	for _, w := range words {
		if strings.ContainsAny(w, " \t\r\n#;\x00") {
			return fmt.Errorf("name %q: want one word", w)
		}
	}
	for _, d := range c.DNS {
		if !d.IsValid() {
			return errors.New("invalid DNS server address")
		}
	}
	return nil
}
