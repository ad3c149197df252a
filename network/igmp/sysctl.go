package igmp

import (
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/core/proc"
	"github.com/knitnet/knit/core/sysctl"
	"github.com/knitnet/knit/network"
)

// settings hold for all devices.
type settings struct {
	robustness atomic.Int64 // net.ipv4.igmp_qrv, until a querier says otherwise
	linkLocal  atomic.Bool  // net.ipv4.igmp_link_local_mcast_reports
}

// conf are the settings of one device. The intervals are how far apart in
// milliseconds reports that nobody asked for are repeated.
type conf struct {
	forceVersion, v2Interval, v3Interval atomic.Int64
}

func newConf(force, v2, v3 int64) *conf {
	c := new(conf)
	c.forceVersion.Store(force)
	c.v2Interval.Store(v2)
	c.v3Interval.Store(v3)
	return c
}

// Unsolicited Report Interval: RFC 2236 §8.10 and RFC 3376 §8.11.
const (
	v2Unsolicited = 10 * time.Second
	v3Unsolicited = time.Second
)

// publish registers the settings and /proc/net/igmp.
func (g *igmp) publish(c *module.Context, t *sysctl.Table, files *proc.Table) error {
	g.settings.robustness.Store(2) // RFC 3376 §8.1
	g.settings.linkLocal.Store(true)
	def := func() *conf { return newConf(0, v2Unsolicited.Milliseconds(), v3Unsolicited.Milliseconds()) }
	var undo func()
	var err error
	g.conf, undo, err = network.NewDeviceConf(g.net.Link, t, network.DeviceConfSpec[conf]{
		Prefix: "net.ipv4.conf", All: def(), Default: def(),
		Clone: func(v *conf) *conf {
			return newConf(v.forceVersion.Load(), v.v2Interval.Load(), v.v3Interval.Load())
		},
		Entries: func(prefix string, v *conf) []sysctl.Entry {
			const day = 24 * 60 * 60 * 1000
			return []sysctl.Entry{
				sysctl.Int(prefix+".force_igmp_version", &v.forceVersion, 0, 3),
				sysctl.Int(prefix+".igmpv2_unsolicited_report_interval", &v.v2Interval, 1, day),
				sysctl.Int(prefix+".igmpv3_unsolicited_report_interval", &v.v3Interval, 1, day),
			}
		},
	})
	if err != nil {
		return err
	}
	c.Cleanup(undo)
	for _, e := range []sysctl.Entry{
		sysctl.Int("net.ipv4.igmp_qrv", &g.settings.robustness, 1, 7),
		sysctl.Bool("net.ipv4.igmp_link_local_mcast_reports", &g.settings.linkLocal),
	} {
		if err := c.Register(t.Register(e)); err != nil {
			return err
		}
	}
	return c.Register(files.Register("net/igmp", g.writeProc))
}

// forcedVersion returns the version that the administrator demands, or 0.
func (g *igmp) forcedVersion(index int32) int {
	if v := g.conf.All.forceVersion.Load(); v != 0 {
		return int(v)
	}
	return int(g.conf.Of(index).forceVersion.Load())
}

// writeProc writes the devices and groups as Linux's /proc/net/igmp has them, group
// addresses as a little-endian machine prints them.
func (g *igmp) writeProc(w io.Writer) error {
	if _, err := io.WriteString(w, "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n"); err != nil {
		return err
	}
	byDev := map[int32][]network.GroupInfo{}
	for _, x := range g.net.Groups() {
		if x.Group.Is4() {
			byDev[x.Device.Index()] = append(byDev[x.Device.Index()], x)
		}
	}
	for _, dev := range g.net.Link.Devices() {
		i, version := g.iface(dev), 3
		if i != nil {
			i.do(func(now clock.Time) { version = i.version(now) })
		}
		groups := byDev[dev.Index()]
		if _, err := fmt.Fprintf(w, "%d\t%-10s: %5d %7s\n", dev.Index(), dev.Name(), len(groups)+1, fmt.Sprintf("V%d", version)); err != nil {
			return err
		}
		for _, x := range groups {
			if err := i.writeGroup(w, x); err != nil {
				return err
			}
		}
		if _, err := fmt.Fprintf(w, "\t\t\t\t%s %5d %d:%08X\t\t%d\n", "010000E0", 1, 0, 0, 0); err != nil {
			return err
		}
	}
	return nil
}

// writeGroup writes one line: the timer in hundredths of a second (USER_HZ), and
// whether this host reported last. i may be nil.
func (i *iface) writeGroup(w io.Writer, x network.GroupInfo) error {
	running, left, reporter := 0, int64(0), 0
	if i != nil {
		i.do(func(now clock.Time) {
			s := i.groups[x.Group]
			if s == nil {
				return
			}
			if s.due != clock.Never {
				running, left = 1, max(s.due.Sub(now), 0).Milliseconds()/10
			}
			if s.reporter {
				reporter = 1
			}
		})
	}
	b := x.Group.As4()
	_, err := fmt.Fprintf(w, "\t\t\t\t%02X%02X%02X%02X %5d %d:%08X\t\t%d\n", b[3], b[2], b[1], b[0], x.Users, running, left, reporter)
	return err
}
