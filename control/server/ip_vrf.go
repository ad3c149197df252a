package server

import (
	"slices"

	"github.com/knitnet/knit/control"
	"github.com/knitnet/knit/link"
)

// vrf lists the VRFs, or the one that was asked for.
func (x *ipCall) vrf() error {
	name := x.q.Filter.VRF
	if _, ok := x.vrfTable(name); name != "" && !ok {
		return control.Errorf(255, "Invalid VRF")
	}
	return x.emit(control.IPReply{Links: sel(x.links(false), func(l *control.IPLink) bool {
		return l.Table != 0 && (name == "" || name == l.Name)
	})})
}

// vrfTable returns the table of a VRF; ok is false if there is none of the name.
func (x *ipCall) vrfTable(name string) (table uint32, ok bool) {
	dev, err := x.Kernel.Link.Lookup(name)
	if err != nil {
		return 0, false
	}
	m, ok := dev.Driver().(link.L3Master)
	if !ok {
		return 0, false
	}
	return m.Table(), true
}

// wrongArgument is what ip says of a word that it has looked up in vain.
func wrongArgument(word, why string) error {
	return control.Errorf(255, "Error: argument \"%s\" is wrong: %s\n", word, why)
}

// checkMasters complains of masters in the filter that are not there.
func (x *ipCall) checkMasters() error {
	f := x.q.Filter
	if _, err := x.Kernel.Link.Lookup(f.Master); f.Master != "" && err != nil {
		return wrongArgument(f.Master, "Device does not exist")
	}
	table, ok := x.vrfTable(f.VRF)
	switch {
	case f.VRF == "":
	case x.q.Object == "route" && !ok:
		return wrongArgument(f.VRF, "Invalid VRF")
	case !ok:
		return wrongArgument(f.VRF, "Not a valid VRF name")
	case x.q.Object == "route":
		f.Table = control.TableName(table)
	}
	return nil
}

// masterOf is the name of the master of a device.
func (x *ipCall) masterOf(name string) string {
	if dev, err := x.Kernel.Link.Lookup(name); err == nil && dev.Master() != nil {
		return dev.Master().Name()
	}
	return ""
}

// checkMaster refuses a master that is not there, before anything has changed.
func (x *ipCall) checkMaster(c *control.IPLinkChange) error {
	if c.Master == nil || *c.Master == "" {
		return nil
	}
	if _, err := x.Kernel.Link.Lookup(*c.Master); err != nil {
		return wrongArgument(*c.Master, "Device does not exist")
	}
	return nil
}

// setMaster enslaves a device, or sets it free.
func setMaster(dev *link.Device, name string) error {
	if name == "" {
		return answer(dev.SetMaster(nil))
	}
	master, err := dev.Layer().Lookup(name)
	if err != nil {
		return answer(err)
	}
	return answer(dev.SetMaster(master))
}

// describeMaster tells of what a device is enslaved to, and of a VRF its table.
func describeMaster(l *control.IPLink, dev *link.Device) {
	if m, ok := dev.Driver().(link.L3Master); ok {
		l.Table = m.Table()
	}
	master := dev.Master()
	if master == nil {
		return
	}
	l.Master, l.SlaveKind = master.Name(), master.Kind()
	if m, ok := master.Driver().(link.L3Master); ok {
		l.SlaveTable = m.Table()
	}
}

// enslave writes which devices are enslaved to which; the masters are there by then.
func (s *saver) enslave() {
	for _, d := range s.devices {
		if m := d.Master(); m != nil && slices.Contains(s.devices, m) {
			s.about([]string{d.Name(), m.Name()}, "ip", "link", "set", "dev", d.Name(), "master", m.Name())
		}
	}
}

// hasVRF reports whether the script makes a VRF, and with it the rule for VRFs.
func (s *saver) hasVRF() bool {
	return slices.ContainsFunc(s.devices, func(d *link.Device) bool {
		_, is := d.Driver().(link.L3Master)
		return is
	})
}
