package server

import (
	"slices"
	"sync"

	"github.com/knitnet/knit/control"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/wire"
)

// memberships are the groups that commands have joined. It is safe for concurrent
// use.
type memberships struct {
	mu   sync.Mutex
	list []*network.Membership
}

func (x *ipCall) maddr() error {
	if x.q.Command == "show" {
		return x.emit(control.IPReply{Groups: x.groups()})
	}
	c := x.q.Group
	if c == nil {
		return x.unknown()
	}
	dev, err := x.device(c.Dev)
	if err != nil {
		return err
	}
	if x.q.Command == "add" {
		return x.joined.add(x.Kernel.Network, dev, c)
	}
	return x.joined.remove(dev, c)
}

func (j *memberships) add(n *network.Layer, dev *link.Device, c *control.IPGroupChange) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.find(dev, c) >= 0 {
		return control.Errorf(1, "ioctl: File exists")
	}
	m, err := n.Join(dev, c.Group, network.Filter{Exclude: true})
	if err != nil {
		return answer(err)
	}
	// Memberships of devices that are gone have ended by themselves.
	j.list = slices.DeleteFunc(j.list, func(m *network.Membership) bool {
		return n.Link.Device(m.Device().Index()) != m.Device()
	})
	j.list = append(j.list, m)
	return nil
}

func (j *memberships) remove(dev *link.Device, c *control.IPGroupChange) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	i := j.find(dev, c)
	if i < 0 {
		return control.Errorf(1, "ioctl: No such file or directory\nOnly groups that ip maddr add has joined can be left")
	}
	j.list[i].Leave()
	j.list = slices.Delete(j.list, i, i+1)
	return nil
}

// all returns those of devices that are still there.
func (j *memberships) all(n *network.Layer) (list []*network.Membership) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, m := range j.list {
		if n.Link.Device(m.Device().Index()) == m.Device() {
			list = append(list, m)
		}
	}
	return list
}

func (j *memberships) find(dev *link.Device, c *control.IPGroupChange) int {
	return slices.IndexFunc(j.list, func(m *network.Membership) bool { return m.Device() == dev && m.Group() == c.Group })
}

// groups lists the groups of every device, as ip maddr does.
func (x *ipCall) groups() []control.IPDevGroup {
	list := []control.IPDevGroup{}
	all := x.Kernel.Network.Groups()
	for _, dev := range x.Kernel.Link.Devices() {
		if x.q.Filter.Dev != "" && x.q.Filter.Dev != dev.Name() {
			continue
		}
		d := control.IPDevGroup{Index: dev.Index(), Name: dev.Name()}
		for _, g := range all {
			if g.Device != dev {
				continue
			}
			if mac := wire.MulticastMAC(g.Group).String(); dev.Type() == link.Ether && !slices.Contains(d.Link, mac) {
				d.Link = append(d.Link, mac)
			}
			family := map[bool]string{true: "inet", false: "inet6"}[g.Group.Is4()]
			if x.q.Family == "" || x.q.Family == family {
				d.Groups = append(d.Groups, control.IPGroup{Addr: g.Group, Users: g.Users})
			}
		}
		if x.q.Family != "" && x.q.Family != "link" {
			d.Link = nil
		}
		if x.q.Family == "" || d.Link != nil || d.Groups != nil {
			list = append(list, d)
		}
	}
	return list
}
