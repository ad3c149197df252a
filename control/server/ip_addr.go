package server

import (
	"errors"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"github.com/knitnet/knit/control"
	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/route"
)

func (x *ipCall) address() error {
	switch c := x.q.Addr; {
	case x.q.Command == "show":
		return x.addrShow()
	case x.q.Command == "flush":
		return x.addrFlush()
	case c == nil:
		return x.unknown()
	default:
		dev, err := x.device(c.Dev)
		if err != nil {
			return err
		}
		if x.q.Command == "delete" {
			return x.addrDelete(dev, c)
		}
		return x.addrSet(dev, c)
	}
}

// addrShow lists devices with their addresses. Devices without such addresses show
// only if the filter is about devices.
func (x *ipCall) addrShow() error {
	if err := x.checkFilter("Device \"%s\" does not exist."); err != nil {
		return err
	}
	return x.emit(control.IPReply{Links: x.selectAddrs(false)})
}

func (x *ipCall) selectAddrs(only bool) []control.IPLink {
	f := x.q.Filter
	return sel(x.links(true), func(l *control.IPLink) bool {
		if !f.MatchLink(l) {
			return false
		}
		l.Addrs = sel(l.Addrs, func(a *control.IPAddr) bool { return f.MatchAddr(a, l.Name, x.q.Family) })
		wanted := only || f.SelectsAddrs() || x.q.Family == "inet" || x.q.Family == "inet6"
		return len(l.Addrs) > 0 || !wanted
	})
}

func (x *ipCall) addrFlush() error {
	if err := x.checkFilter("Device \"%s\" does not exist."); err != nil {
		return err
	}
	gone, n := x.selectAddrs(true), 0
	for _, l := range gone {
		dev := x.Kernel.Link.Device(l.Index)
		for _, a := range l.Addrs {
			// One that went by itself meanwhile is gone too.
			if dev != nil && x.Kernel.Network.DelAddr(dev, a.Prefix()) == nil {
				n++
			}
		}
	}
	return x.emit(control.IPReply{Links: gone, Flushed: &n})
}

func (x *ipCall) addrDelete(dev *link.Device, c *control.IPAddrChange) error {
	exact := slices.ContainsFunc(x.Kernel.Network.Addrs(dev.Index()), func(a *network.Addr) bool {
		peer := a.Peer
		if peer == a.IP() {
			peer = netip.Addr{}
		}
		return a.Prefix == c.Local && peer == c.Peer
	})
	if !exact && !c.Any {
		return answer(network.ErrAddrNotFound)
	}
	return answer(x.Kernel.Network.DelAddr(dev, c.Local))
}

// addrFlags are the flags with the names of ip, in the order in which it prints them.
var addrFlags = []struct {
	flag  network.AddrFlags
	names [2]string // of IPv4 and IPv6
}{
	{network.Secondary, [2]string{"secondary", "temporary"}},
	{network.NoDAD, [2]string{"nodad", "nodad"}},
	{network.Optimistic, [2]string{"optimistic", "optimistic"}},
	{network.DADFailed, [2]string{"dadfailed", "dadfailed"}},
	{network.Deprecated, [2]string{"deprecated", "deprecated"}},
	{network.Tentative, [2]string{"tentative", "tentative"}},
	{network.Permanent, [2]string{"", ""}}, // its absence is "dynamic"
	{network.MngTempAddr, [2]string{"mngtmpaddr", "mngtmpaddr"}},
	{network.NoPrefixRoute, [2]string{"noprefixroute", "noprefixroute"}},
	{network.StablePrivacy, [2]string{"stable-privacy", "stable-privacy"}},
}

// settable are the flags that a command may set.
const settable = network.NoDAD | network.Optimistic | network.MngTempAddr | network.NoPrefixRoute

// newAddr translates a command.
func (x *ipCall) newAddr(c *control.IPAddrChange) (a network.Addr, err error) {
	a = network.Addr{Prefix: c.Local, Peer: c.Peer, Label: c.Label, Metric: c.Metric}
	if a.Broadcast, err = broadcastOf(c); err != nil {
		return a, err
	}
	if c.Scope != "" {
		n, ok := control.ScopeNumber(c.Scope)
		if !ok {
			return a, answer(syscall.EINVAL)
		}
		a.Scope = route.Scope(n)
	}
	for _, name := range c.Flags {
		i := slices.IndexFunc(addrFlags, func(f struct {
			flag  network.AddrFlags
			names [2]string
		}) bool {
			return f.names[0] == name && f.flag&settable != 0
		})
		if i < 0 {
			return a, unsupported("Addresses have no flag " + name)
		}
		a.Flags |= addrFlags[i].flag
	}
	now := x.Kernel.Clock.Now()
	a.ValidUntil, a.PreferredUntil = until(now, c.Valid), until(now, c.Preferred)
	if c.Preferred != nil && *c.Preferred == 0 {
		a.Flags |= network.Deprecated
	}
	return a, nil
}

// until returns when a lifetime in seconds ends; 0 is never.
func until(now clock.Time, seconds *uint32) clock.Time {
	if seconds == nil || *seconds == control.Forever {
		return 0
	}
	return max(now.Add(time.Duration(*seconds)*time.Second), 1)
}

func broadcastOf(c *control.IPAddrChange) (netip.Addr, error) {
	switch c.Broadcast {
	case "":
		return netip.Addr{}, nil
	case "+", "-":
		if c.Local.Bits() >= 31 || !c.Local.Addr().Is4() {
			return netip.Addr{}, answer(syscall.EINVAL)
		}
		b := c.Local.Masked().Addr().As4()
		for i := c.Local.Bits(); i < 32 && c.Broadcast == "+"; i++ {
			b[i/8] |= 1 << (7 - i%8)
		}
		return netip.AddrFrom4(b), nil
	}
	a, err := netip.ParseAddr(c.Broadcast)
	if err != nil {
		return a, answer(syscall.EINVAL)
	}
	return a, nil
}

// addrSet adds an address; change and replace set the lifetimes and flags of one
// that is there.
func (x *ipCall) addrSet(dev *link.Device, c *control.IPAddrChange) error {
	a, err := x.newAddr(c)
	if err != nil {
		return err
	}
	err = x.Kernel.Network.AddAddr(dev, a)
	if x.q.Command == "add" || !errors.Is(err, syscall.EEXIST) {
		return answer(err)
	}
	x.Kernel.Network.UpdateAddr(dev, a.Prefix, func(old *network.Addr) { changeAddr(old, &a) })
	return nil
}

// changeAddr gives an address that is there what a command says. As on Linux an IPv4
// address keeps its flags, and an IPv6 address its metric if the command has none.
func changeAddr(old, a *network.Addr) {
	kept := network.Deprecated | network.Permanent
	if a.IP().Is6() {
		kept |= settable
	}
	old.ValidUntil, old.PreferredUntil = a.ValidUntil, a.PreferredUntil
	old.Flags = old.Flags&^kept | a.Flags&kept
	if a.ValidUntil == 0 {
		old.Flags |= network.Permanent
	}
	if a.Metric != 0 || a.IP().Is4() {
		old.Metric = a.Metric
	}
	old.Proto = a.Proto // it is the user's now
}

// addrs lists a device's addresses in the order of Linux: IPv4 first, primary ones
// before secondary ones and narrow scopes first, of IPv6 the newest first.
func (x *ipCall) addrs(dev *link.Device) []control.IPAddr {
	var v4, secondary, v6 []*network.Addr
	for _, a := range x.Kernel.Network.Addrs(dev.Index()) {
		switch {
		case a.IP().Is6():
			at := slices.IndexFunc(v6, func(b *network.Addr) bool { return b.Scope >= a.Scope })
			if at < 0 {
				at = len(v6)
			}
			v6 = slices.Insert(v6, at, a)
		case a.Flags&network.Secondary != 0:
			secondary = append(secondary, a)
		default:
			at := len(v4) // behind those of the same or a narrower scope
			for at > 0 && v4[at-1].Scope < a.Scope {
				at--
			}
			v4 = slices.Insert(v4, at, a)
		}
	}
	out := []control.IPAddr{}
	for _, a := range slices.Concat(v4, secondary, v6) {
		out = append(out, ipAddr(a, x.Kernel.Clock.Now()))
	}
	return out
}

// ipAddr describes an address.
func ipAddr(a *network.Addr, now clock.Time) control.IPAddr {
	ip := a.IP()
	family, v := "inet", 0
	if ip.Is6() {
		family, v = "inet6", 1
	}
	out := control.IPAddr{
		Family: family, Local: ip, PrefixLen: a.Prefix.Bits(), Broadcast: a.Broadcast, Scope: a.Scope.String(),
		Label: a.Label, Metric: a.Metric, Valid: left(now, a.ValidUntil), Preferred: left(now, a.PreferredUntil),
	}
	if a.Peer != ip {
		out.Peer = a.Peer
	}
	if a.Flags&network.Deprecated != 0 {
		out.Preferred = 0
	}
	for _, f := range addrFlags {
		if f.flag == network.Permanent && a.Flags&f.flag == 0 {
			out.Flags = append(out.Flags, "dynamic")
		} else if f.flag != network.Permanent && a.Flags&f.flag != 0 {
			out.Flags = append(out.Flags, f.names[v])
		}
	}
	return out
}

// left returns the seconds until a time; 0 is never.
func left(now, end clock.Time) uint32 {
	if end == 0 {
		return control.Forever
	}
	s := int64(end.Sub(now)+time.Second-1) / int64(time.Second)
	return uint32(min(max(s, 0), control.Forever-1))
}
