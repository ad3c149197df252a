// Package conf6 holds the settings net.ipv6.conf.*, which the modules of IPv6
// share: ip6 makes them and exports them as a symbol, ndp and mld look at them.
package conf6

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/knitnet/knit/core/rcu"
	"github.com/knitnet/knit/core/sysctl"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
)

// Symbol is the kernel symbol under which modules find the *Table.
const Symbol = "ip6_conf"

// Modes of AddrGenMode (IN6_ADDR_GEN_MODE_*).
const (
	GenEUI64         = 0 // from the hardware address; random without one
	GenNone          = 1 // no link-local address is made
	GenStablePrivacy = 2 // RFC 7217, with stable_secret
	GenRandom        = 3 // RFC 7217, with a secret of this run
)

// A Conf is the settings of one device, named as Linux names them. Times are in
// the unit that Linux uses for the name: seconds unless it ends in _ms.
type Conf struct {
	Forwarding, HopLimit, MTU, DisableIPv6, AddrGenMode atomic.Int64

	AcceptRA, AcceptRADefRtr, AcceptRAPInfo, AcceptRARtrPref, AcceptRAMTU, AcceptRAMinHopLimit atomic.Int64
	Autoconf, MaxAddresses, UseTempAddr, TempValid, TempPreferred                              atomic.Int64

	DADTransmits, AcceptDAD, AcceptRedirects, NDiscNotify atomic.Int64

	RouterSolicitations, RouterSolicitationInterval, RouterSolicitationMax, RouterSolicitationDelay atomic.Int64

	ForceMLDVersion, MLDv1Unsolicited, MLDv2Unsolicited atomic.Int64

	// SendRA and the following are knit's: a minimal sender of Router
	// Advertisements (RFC 4861 §6.2.1: AdvSendAdvertisements, MaxRtrAdvInterval,
	// AdvDefaultLifetime).
	SendRA, RAInterval, RALifetime atomic.Int64
	// RDNSS is the recursive DNS server that is advertised; nil or zero: none.
	RDNSS atomic.Pointer[netip.Addr]

	// StableSecret is the secret of RFC 7217, an address as on Linux; nil: none.
	StableSecret atomic.Pointer[netip.Addr]
}

// A setting is one integer among them.
type setting struct {
	name          string
	field         func(*Conf) *atomic.Int64
	def, min, max int64
}

const (
	mtuMin = 1280    // RFC 8200 §5
	long   = 1 << 20 // 12 days in seconds
	day    = 86400
)

// settings are the integers with their defaults and bounds. Where a bound is not
// the protocol's it is there to keep the unit's arithmetic from overflowing.
var settings = []setting{
	{"accept_dad", func(c *Conf) *atomic.Int64 { return &c.AcceptDAD }, 1, 0, 2},
	{"accept_ra", func(c *Conf) *atomic.Int64 { return &c.AcceptRA }, 1, 0, 2},
	{"accept_ra_defrtr", func(c *Conf) *atomic.Int64 { return &c.AcceptRADefRtr }, 1, 0, 1},
	{"accept_ra_min_hop_limit", func(c *Conf) *atomic.Int64 { return &c.AcceptRAMinHopLimit }, 1, 0, 255},
	{"accept_ra_mtu", func(c *Conf) *atomic.Int64 { return &c.AcceptRAMTU }, 1, 0, 1},
	{"accept_ra_pinfo", func(c *Conf) *atomic.Int64 { return &c.AcceptRAPInfo }, 1, 0, 1},
	{"accept_ra_rtr_pref", func(c *Conf) *atomic.Int64 { return &c.AcceptRARtrPref }, 1, 0, 1},
	{"accept_redirects", func(c *Conf) *atomic.Int64 { return &c.AcceptRedirects }, 1, 0, 1},
	{"addr_gen_mode", func(c *Conf) *atomic.Int64 { return &c.AddrGenMode }, GenEUI64, GenEUI64, GenRandom},
	{"autoconf", func(c *Conf) *atomic.Int64 { return &c.Autoconf }, 1, 0, 1},
	{"dad_transmits", func(c *Conf) *atomic.Int64 { return &c.DADTransmits }, 1, 0, 255},
	{"disable_ipv6", func(c *Conf) *atomic.Int64 { return &c.DisableIPv6 }, 0, 0, 1},
	{"force_mld_version", func(c *Conf) *atomic.Int64 { return &c.ForceMLDVersion }, 0, 0, 2},
	{"forwarding", func(c *Conf) *atomic.Int64 { return &c.Forwarding }, 0, 0, 1},
	{"hop_limit", func(c *Conf) *atomic.Int64 { return &c.HopLimit }, 64, 1, 255},
	{"max_addresses", func(c *Conf) *atomic.Int64 { return &c.MaxAddresses }, 16, 0, 1024},
	{"mldv1_unsolicited_report_interval", func(c *Conf) *atomic.Int64 { return &c.MLDv1Unsolicited }, 10000, 1, 1000 * long},
	{"mldv2_unsolicited_report_interval", func(c *Conf) *atomic.Int64 { return &c.MLDv2Unsolicited }, 1000, 1, 1000 * long},
	{"mtu", func(c *Conf) *atomic.Int64 { return &c.MTU }, mtuMin, mtuMin, 65536},
	{"ndisc_notify", func(c *Conf) *atomic.Int64 { return &c.NDiscNotify }, 0, 0, 1},
	{"ra_interval", func(c *Conf) *atomic.Int64 { return &c.RAInterval }, 600, 4, 1800},
	{"ra_lifetime", func(c *Conf) *atomic.Int64 { return &c.RALifetime }, 1800, 0, 9000},
	{"router_solicitation_delay", func(c *Conf) *atomic.Int64 { return &c.RouterSolicitationDelay }, 1, 0, long},
	{"router_solicitation_interval", func(c *Conf) *atomic.Int64 { return &c.RouterSolicitationInterval }, 4, 1, long},
	{"router_solicitation_max_interval", func(c *Conf) *atomic.Int64 { return &c.RouterSolicitationMax }, 3600, 1, long},
	{"router_solicitations", func(c *Conf) *atomic.Int64 { return &c.RouterSolicitations }, -1, -1, long},
	{"send_ra", func(c *Conf) *atomic.Int64 { return &c.SendRA }, 0, 0, 1},
	{"temp_prefered_lft", func(c *Conf) *atomic.Int64 { return &c.TempPreferred }, day, 60, 365 * day},
	{"temp_valid_lft", func(c *Conf) *atomic.Int64 { return &c.TempValid }, 7 * day, 60, 365 * day},
	{"use_tempaddr", func(c *Conf) *atomic.Int64 { return &c.UseTempAddr }, 0, 0, 2},
}

// A Table is the settings of all devices.
type Table struct {
	*network.DeviceConf[Conf]
	watchers rcu.Value[[]*watcher]
}

type watcher struct {
	f func(name string, c *Conf)
}

// Watch calls f after a setting was written, with its name and the Conf it is in,
// until undo is called. No lock is held.
func (t *Table) Watch(f func(name string, c *Conf)) (undo func()) {
	w := &watcher{f}
	t.watchers.Update(func(ws []*watcher) []*watcher { return append(slices.Clone(ws), w) })
	return func() {
		t.watchers.Update(func(ws []*watcher) []*watcher {
			return slices.DeleteFunc(slices.Clone(ws), func(x *watcher) bool { return x == w })
		})
	}
}

// Concerns reports whether a change of c is one for a device.
func (t *Table) Concerns(c *Conf, dev *link.Device) bool {
	return c == t.All || c == t.Of(dev.Index())
}

// New registers the settings until undo is called.
func New(l *link.Layer, t *sysctl.Table) (table *Table, undo func(), err error) {
	all, def := new(Conf), new(Conf)
	for _, s := range settings {
		s.field(all).Store(s.def)
		s.field(def).Store(s.def)
	}
	table = new(Table)
	var ready atomic.Bool
	written := func(name string, c *Conf) {
		if !ready.Load() {
			return
		}
		if c == all && (name == "forwarding" || name == "disable_ipv6") {
			table.toAll(name)
		}
		for _, w := range *table.watchers.Load() {
			w.f(name, c)
		}
	}
	table.DeviceConf, undo, err = network.NewDeviceConf(l, t, network.DeviceConfSpec[Conf]{
		Prefix: "net.ipv6.conf", All: all, Default: def, Clone: clone,
		Entries: func(prefix string, c *Conf) []sysctl.Entry { return entries(prefix, c, written) },
	})
	ready.Store(true)
	return table, undo, err
}

// toAll copies a setting of "all" to every device: these two have a meaning there.
func (t *Table) toAll(name string) {
	for _, s := range settings {
		if s.name == name {
			v := s.field(t.All).Load()
			t.Each(func(c *Conf) { s.field(c).Store(v) })
		}
	}
}

func clone(from *Conf) *Conf {
	c := new(Conf)
	for _, s := range settings {
		s.field(c).Store(s.field(from).Load())
	}
	c.RDNSS.Store(from.RDNSS.Load())
	c.StableSecret.Store(from.StableSecret.Load())
	return c
}

func entries(prefix string, c *Conf, written func(string, *Conf)) (list []sysctl.Entry) {
	for _, s := range settings {
		e := sysctl.Int(prefix+"."+s.name, s.field(c), s.min, s.max)
		list = append(list, notify(e, func() { written(s.name, c) }))
	}
	list = append(list, notify(address(prefix+".ra_rdnss", &c.RDNSS), func() { written("ra_rdnss", c) }))
	return append(list, notify(address(prefix+".stable_secret", &c.StableSecret), func() { written("stable_secret", c) }))
}

// notify calls f after each successful change.
func notify(e sysctl.Entry, f func()) sysctl.Entry {
	set := e.Set
	e.Set = func(text string) error {
		err := set(text)
		if err == nil {
			f()
		}
		return err
	}
	return e
}

// address is an entry for an IPv6 address; :: means none.
func address(name string, v *atomic.Pointer[netip.Addr]) sysctl.Entry {
	return sysctl.String(name, func() string {
		if a := v.Load(); a != nil {
			return a.String()
		}
		return "::"
	}, func(text string) error {
		a, err := netip.ParseAddr(strings.TrimSpace(text))
		if err != nil || !a.Is6() || a.Zone() != "" {
			return fmt.Errorf("%w: %s, want an IPv6 address", syscall.EINVAL, strconv.Quote(text))
		}
		v.Store(&a)
		return nil
	})
}
