package arp

import (
	"sync/atomic"

	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/core/sysctl"
	"github.com/knitnet/knit/network"
)

// conf are the settings of one device.
type conf struct {
	// probes is how many times an address is asked for before it is used:
	// net.ipv4.conf.NAME.arp_probes. 0 uses it at once, as Linux does; RFC 5227 §1.1
	// wants 3 (PROBE_NUM).
	probes atomic.Int64
}

// maxProbes is the largest number of probes; an address would wait 20 s for its
// use.
const maxProbes = 10

// publish registers the settings.
func (a *arp) publish(c *module.Context, t *sysctl.Table) error {
	conf, undo, err := network.NewDeviceConf(a.link, t, network.DeviceConfSpec[conf]{
		Prefix: "net.ipv4.conf", All: new(conf), Default: new(conf),
		Clone: func(v *conf) *conf {
			n := new(conf)
			n.probes.Store(v.probes.Load())
			return n
		},
		Entries: func(prefix string, v *conf) []sysctl.Entry {
			return []sysctl.Entry{sysctl.Int(prefix+".arp_probes", &v.probes, 0, maxProbes)}
		},
	})
	if err != nil {
		return err
	}
	a.conf = conf
	c.Cleanup(undo)
	for _, e := range a.table.Sysctls("net.ipv4.neigh.default") {
		if err := c.Register(t.Register(e)); err != nil {
			return err
		}
	}
	return nil
}

// probes returns how many probes are sent on a device: the larger of its own number
// and that of "all".
func (a *arp) probes(index int32) int {
	return int(max(a.conf.All.probes.Load(), a.conf.Of(index).probes.Load()))
}
