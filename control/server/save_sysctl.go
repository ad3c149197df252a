package server

import (
	"slices"
	"strconv"
	"strings"

	"github.com/knitnet/knit/core/sysctl"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/route"
)

// sysctls sets those that were changed, by commands or by the program: first those of
// the whole kernel, then those that new devices take over, and those of devices that
// are not what a new device has at boot.
func (s *saver) sysctls() {
	p := settingsPlan{
		first: make(map[string]string), copied: make(map[string]string), changed: make(map[string]bool),
		now: make(map[string]string), mtus: make(map[string]string),
	}
	for _, d := range s.devices {
		p.mtus[slashed(d.Name())] = strconv.Itoa(d.MTU())
	}
	for _, c := range s.Kernel.Sysctl.Changed() {
		if p.note(c) {
			s.set(c)
		}
	}
	all := s.Kernel.Sysctl.List("")
	for _, c := range all {
		p.now[c.Name] = c.Value
	}
	for _, defaults := range []bool{true, false} {
		for _, c := range all {
			if _, dev, _, _ := splitConf(c.Name); (dev == "default") == defaults && c.Writable && p.wants(c) {
				s.set(c)
			}
		}
	}
}

func (s *saver) set(c sysctl.Setting) {
	_, dev, tail, _ := splitConf(c.Name)
	dev = strings.ReplaceAll(dev, "/", ".")
	set := func() { s.about([]string{dev}, "sysctl", "-q", "-w", c.Name+"="+c.Value) }
	if tail == ".addr_gen_mode" && s.hasHardwareAddr(dev) {
		s.afterUp = append(s.afterUp, set) // before, it would make another address or none
		return
	}
	set()
}

// hasHardwareAddr reports whether a device has the link-local address that follows from
// its hardware address.
func (s *saver) hasHardwareAddr(name string) bool {
	return slices.ContainsFunc(s.devices, func(d *link.Device) bool {
		return d.Name() == name && d.Type() == link.Ether && slices.ContainsFunc(s.Kernel.Network.Addrs(d.Index()), func(a *network.Addr) bool {
			return a.Proto == route.ProtoKernel && a.IP() == linkLocal(d.MAC())
		})
	})
}

// A settingsPlan finds out which settings of default and of devices are to be set.
type settingsPlan struct {
	first   map[string]string // what default's were at boot, by name without "default"
	copied  map[string]string // what all copies to the others, by name without the device
	changed map[string]bool   // by name
	now     map[string]string // by name
	mtus    map[string]string // the MTUs of devices, which those of IPv6 follow
}

// copiedTails are the settings that all copies to default and to every device.
var copiedTails = [...]string{".forwarding", ".disable_ipv6"}

// note takes in a setting that was changed, and reports whether it is one of the whole
// kernel.
func (p *settingsPlan) note(c sysctl.Setting) (whole bool) {
	head, dev, tail, ok := splitConf(c.Name)
	switch {
	case ok && dev == "default":
		p.first[head+tail] = c.Before
	case ok && dev == "all" && slices.Contains(copiedTails[:], tail):
		p.copied[head+tail] = c.Value
	case c.Name == "net.ipv4.ip_forward":
		p.copied["net.ipv4.conf."+copiedTails[0]] = c.Value
	}
	p.changed[c.Name] = true
	return !ok || dev == "all"
}

// wants reports whether a setting of default or of a device must be set.
func (p *settingsPlan) wants(c sysctl.Setting) bool {
	head, dev, tail, ok := splitConf(c.Name)
	if !ok || dev == "all" || tail == ".mtu" && c.Value == p.mtus[dev] {
		return false
	}
	if all, ok := p.copied[head+tail]; ok {
		return c.Value != all
	}
	begin, ok := p.first[head+tail]
	if !ok {
		begin, ok = p.now[head+"default"+tail]
	}
	if dev == "default" || !ok {
		return p.changed[c.Name]
	}
	return c.Value != begin
}

// slashed writes a device's name as a part of a sysctl's.
func slashed(name string) string { return strings.ReplaceAll(name, ".", "/") }

// splitConf splits the name of a setting that every device has: net.ipv4.conf. eth0
// .forwarding.
func splitConf(name string) (head, dev, tail string, ok bool) {
	parts := strings.Split(name, ".")
	if len(parts) < 5 || !slices.Contains([]string{"conf", "neigh"}, parts[2]) {
		return "", "", "", false
	}
	return strings.Join(parts[:3], ".") + ".", parts[3], "." + strings.Join(parts[4:], "."), true
}
