package ip4

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/core/sysctl"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/frag"
)

// settings are the sysctls that hold for all devices.
type settings struct {
	ttl        atomic.Int64 // ip_default_ttl
	minPMTU    atomic.Int64 // route.min_pmtu, bytes
	fwdUsePMTU atomic.Bool  // ip_forward_use_pmtu
}

// conf are the settings of one device: net.ipv4.conf.NAME.*.
type conf struct {
	forwarding, acceptLocal, acceptSourceRoute, sendRedirects, routeLocalnet, dropUnicastInL2Multicast, srcValidMark, ignoreLinkdown atomic.Bool

	rpFilter atomic.Int64 // see reversible
}

// defaultConf returns Linux's first values: a host, which refuses source routes
// (RFC 7126 §4.3).
func defaultConf() *conf {
	c := new(conf)
	c.sendRedirects.Store(true)
	return c
}

func (c *conf) clone() *conf {
	n := new(conf)
	n.rpFilter.Store(c.rpFilter.Load())
	for i, b := range c.bools() {
		n.bools()[i].value.Store(b.value.Load())
	}
	return n
}

type namedBool struct {
	name  string
	value *atomic.Bool
}

func (c *conf) bools() []namedBool {
	return []namedBool{
		{"forwarding", &c.forwarding},
		{"accept_local", &c.acceptLocal},
		{"accept_source_route", &c.acceptSourceRoute},
		{"send_redirects", &c.sendRedirects},
		{"route_localnet", &c.routeLocalnet},
		{"drop_unicast_in_l2_multicast", &c.dropUnicastInL2Multicast},
		{"src_valid_mark", &c.srcValidMark},
		{"ignore_routes_with_linkdown", &c.ignoreLinkdown},
	}
}

// either is how Linux joins a setting with that of "all" when one of both is
// enough; both when it takes both.
func either(all, dev *atomic.Bool) bool { return dev.Load() || all.Load() }
func both(all, dev *atomic.Bool) bool   { return dev.Load() && all.Load() }

// publish registers the settings and the statistics.
func (p *ip4) publish(c *module.Context, t *sysctl.Table) error {
	spec := network.DeviceConfSpec[conf]{
		Prefix: "net.ipv4.conf", All: defaultConf(), Default: defaultConf(),
		Clone: (*conf).clone, Entries: p.confEntries,
	}
	var undo func()
	var err error
	if p.conf, undo, err = network.NewDeviceConf(p.net.Link, t, spec); err != nil {
		return err
	}
	c.Cleanup(undo)
	for _, e := range slices.Concat(p.entries(), p.fragEntries(), p.multipathEntries()) {
		if err := c.Register(t.Register(e)); err != nil {
			return err
		}
	}
	return p.publishStats(c)
}

func (p *ip4) entries() []sysctl.Entry {
	forward := sysctl.Bool("net.ipv4.ip_forward", &p.conf.All.forwarding)
	return []sysctl.Entry{
		p.forwardsAll(forward),
		sysctl.Int("net.ipv4.ip_default_ttl", &p.settings.ttl, 1, 255),
		sysctl.Bool("net.ipv4.ip_forward_use_pmtu", &p.settings.fwdUsePMTU),
		sysctl.Int("net.ipv4.route.min_pmtu", &p.settings.minPMTU, 68, 65535),
		sysctl.Int("net.ipv4.fwmark_reflect", &p.net.ReflectMark[network.V4], 0, 1),
	}
}

// multipathEntries are the settings of the spreading of flows.
func (p *ip4) multipathEntries() (es []sysctl.Entry) {
	for _, e := range p.net.Multipath[network.V4].Entries("net.ipv4") {
		es = append(es, p.invalidates(e))
	}
	return es
}

// confEntries returns the sysctls of one name below net.ipv4.conf.
func (p *ip4) confEntries(prefix string, v *conf) (es []sysctl.Entry) {
	for _, b := range v.bools() {
		es = append(es, p.invalidates(sysctl.Bool(prefix+"."+b.name, b.value)))
	}
	for i := range es {
		if v.bools()[i].value == &v.ignoreLinkdown {
			es[i] = p.tellsCarrier(es[i])
		}
	}
	es = append(es, p.invalidates(sysctl.Int(prefix+".rp_filter", &v.rpFilter, 0, reversePathLoose)))
	if strings.HasSuffix(prefix, ".all") {
		es[0] = p.forwardsAll(es[0])
	}
	return es
}

// invalidates makes an entry's change end what was decided before.
func (p *ip4) invalidates(e sysctl.Entry) sysctl.Entry {
	set := e.Set
	e.Set = func(text string) error {
		defer p.net.Invalidate()
		return set(text)
	}
	return e
}

// tellsCarrier makes an entry's change count for the routes that are there.
func (p *ip4) tellsCarrier(e sysctl.Entry) sysctl.Entry {
	set := e.Set
	e.Set = func(text string) error {
		defer p.carrierChanged()
		return set(text)
	}
	return e
}

// forwardsAll makes an entry of conf.all.forwarding change the setting of every
// device, as Linux does.
func (p *ip4) forwardsAll(e sysctl.Entry) sysctl.Entry {
	set := e.Set
	e.Set = func(text string) error {
		if err := set(text); err != nil {
			return err
		}
		on := p.conf.All.forwarding.Load()
		p.conf.Each(func(c *conf) { c.forwarding.Store(on) })
		return nil
	}
	return e
}

// fragEntries are the bounds of reassembly.
func (p *ip4) fragEntries() []sysctl.Entry {
	number := func(name string, get func(*frag.Params) int, set func(*frag.Params, int) error) sysctl.Entry {
		return sysctl.String("net.ipv4."+name,
			func() string { x := p.frags.Params(); return fmt.Sprint(get(&x)) },
			func(text string) error {
				var n int
				if _, err := fmt.Sscanf(text+"\n", "%d\n", &n); err != nil || n < 0 {
					return fmt.Errorf("%w: %q, want an integer of at least 0", syscall.EINVAL, text)
				}
				x := p.frags.Params()
				if err := set(&x, n); err != nil {
					return fmt.Errorf("%w: %d: %w", syscall.EINVAL, n, err)
				}
				p.frags.SetParams(x)
				return nil
			})
	}
	return []sysctl.Entry{
		number("ipfrag_high_thresh", func(x *frag.Params) int { return x.High }, func(x *frag.Params, n int) error {
			if n < x.Low {
				return errors.New("want at least ipfrag_low_thresh")
			}
			x.High = n
			return nil
		}),
		number("ipfrag_low_thresh", func(x *frag.Params) int { return x.Low }, func(x *frag.Params, n int) error {
			if n == 0 || n > x.High {
				return errors.New("want 1 to ipfrag_high_thresh")
			}
			x.Low = n
			return nil
		}),
		number("ipfrag_time", func(x *frag.Params) int { return int(x.Timeout / time.Second) }, func(x *frag.Params, n int) error {
			if n == 0 {
				return errors.New("want at least 1 s")
			}
			x.Timeout = time.Duration(n) * time.Second
			return nil
		}),
		number("ipfrag_max_dist", func(x *frag.Params) int { return x.MaxDist }, func(x *frag.Params, n int) error {
			x.MaxDist = n
			return nil
		}),
	}
}
