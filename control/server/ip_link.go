package server

import (
	"errors"
	"net"
	"syscall"

	"github.com/knitnet/knit/control"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/wire"
)

func (x *ipCall) link() error {
	c := x.q.Link
	switch {
	case x.q.Command == "show":
		return x.linkShow()
	case c == nil:
		return x.unknown()
	case x.q.Command == "add":
		return x.linkAdd(c)
	case x.q.Command == "set":
		if err := x.checkMaster(c); err != nil {
			return err
		}
		dev, err := x.device(c.Dev)
		if err != nil {
			return err
		}
		return setLink(dev, c)
	case x.q.Command == "delete":
		return x.linkDelete(c)
	}
	return x.unknown()
}

func (x *ipCall) linkShow() error {
	if err := x.checkFilter("Device \"%s\" does not exist."); err != nil {
		return err
	}
	keep := func(l *control.IPLink) bool {
		return x.q.Filter.MatchLink(l) && (x.q.Object != "tuntap" || l.Kind == "tun" || l.Kind == "tap")
	}
	return x.emit(control.IPReply{Links: sel(x.links(false), keep)})
}

func (x *ipCall) linkAdd(c *control.IPLinkChange) error {
	if err := x.checkMaster(c); err != nil {
		return err
	}
	dev, err := x.Kernel.Link.Create(c.Kind, c.Dev, c.Options)
	switch {
	case errors.Is(err, syscall.EOPNOTSUPP):
		return refuse("Unknown device type")
	case err != nil:
		return answer(err)
	}
	if err := setLink(dev, c); err != nil {
		x.Kernel.Link.Delete(dev) // as if it had never been
		return err
	}
	return nil
}

func (x *ipCall) linkDelete(c *control.IPLinkChange) error {
	dev, err := x.device(c.Dev)
	if err != nil {
		return err
	}
	// As on Linux the kind in the command has no meaning.
	return answer(x.Kernel.Link.Delete(dev))
}

// setLink makes the changes of one command. What a device does not have is refused
// before anything has changed.
func setLink(dev *link.Device, c *control.IPLinkChange) error {
	if err := checkLink(dev, c); err != nil {
		return err
	}
	if c.Up != nil && !*c.Up {
		if err := dev.SetUp(false); err != nil {
			return answer(err)
		}
	}
	if err := configure(dev, c); err != nil {
		return err
	}
	if c.Up != nil && *c.Up {
		return answer(dev.SetUp(true))
	}
	return nil
}

func checkLink(dev *link.Device, c *control.IPLinkChange) error {
	lo, hi := dev.MTURange()
	switch {
	case c.MTU != nil && *c.MTU < lo:
		return refuse("mtu less than device minimum")
	case c.MTU != nil && *c.MTU > hi:
		return refuse("mtu greater than device maximum")
	case c.TxQueue != nil:
		return unsupported("Devices have no transmit queue: its length cannot be set")
	case c.Multicast != nil, c.ARP != nil:
		return unsupported("The flags MULTICAST and NOARP follow from the kind of device")
	case c.Alias != nil && len(*c.Alias) >= link.MaxAlias:
		return control.Errorf(2, "RTNETLINK answers: Numerical result out of range")
	}
	return nil
}

func configure(dev *link.Device, c *control.IPLinkChange) error {
	if c.MTU != nil {
		if err := dev.SetMTU(*c.MTU); err != nil {
			return answer(err)
		}
	}
	if c.Address != "" {
		m, err := net.ParseMAC(c.Address)
		if err != nil || len(m) != 6 {
			return answer(syscall.EINVAL)
		}
		if err := dev.SetMAC(wire.MAC(m)); err != nil {
			return answer(err)
		}
	}
	if c.Name != "" && c.Name != dev.Name() {
		if err := dev.Rename(c.Name); err != nil {
			return answer(err)
		}
	}
	if c.Promisc != nil {
		dev.SetPromisc(*c.Promisc)
	}
	if c.AllMulti != nil {
		dev.SetAllMulti(*c.AllMulti)
	}
	if c.Alias != nil {
		if err := dev.SetAlias(*c.Alias); err != nil {
			return answer(err)
		}
	}
	if c.Master != nil {
		return setMaster(dev, *c.Master)
	}
	return nil
}

// links lists the devices, with their addresses if asked for.
func (x *ipCall) links(addrs bool) (list []control.IPLink) {
	for _, dev := range x.Kernel.Link.Devices() {
		l := ipLink(dev)
		if addrs {
			l.Addrs = x.addrs(dev)
		}
		list = append(list, l)
	}
	return list
}

// ipLink describes a device.
func ipLink(dev *link.Device) control.IPLink {
	l := control.IPLink{
		Index: dev.Index(), Name: dev.Name(), MTU: dev.MTU(), Type: dev.Type().String(),
		// Drivers are called directly: what Linux calls noqueue, with its length.
		Qdisc: "noqueue", TxQueue: 1000,
		Kind: dev.Kind(), Detail: dev.Detail(), Rx: traffic(dev.Rx()), Tx: traffic(dev.Tx()),
	}
	l.MinMTU, l.MaxMTU = dev.MTURange()
	peerUp := true
	if p, ok := dev.Driver().(link.Paired); ok {
		l.Peer = "NONE"
		if peer := p.Peer(dev); peer != nil {
			peerUp = peer.Up()
			if peer.Layer() == dev.Layer() {
				l.Peer = peer.Name()
			}
		}
	}
	counted := dev.Flags()
	l.Promiscuous, l.AllMulti = counted&link.Promisc != 0, counted&link.AllMulti != 0
	l.Flags = flagNames(counted&^(link.Promisc|link.AllMulti)|dev.Asked(), !peerUp)
	l.Alias = dev.Alias()
	describeMaster(&l, dev)
	l.Operstate = operstate(dev, l.Peer != "")
	switch dev.Type() {
	case link.Ether:
		l.Address, l.Broadcast = dev.MAC().String(), wire.BroadcastMAC().String()
	case link.Loopback:
		l.Address, l.Broadcast = wire.MAC{}.String(), wire.MAC{}.String()
	}
	return l
}

func traffic(t *link.Traffic) control.IPTraffic {
	return control.IPTraffic{
		Bytes: t.Bytes.Load(), Packets: t.Packets.Load(), Errors: t.Errors.Load(),
		Dropped: t.Dropped.Load(), Multicast: t.Multicast.Load(),
	}
}

// flagNames lists flags as ip link does.
func flagNames(f link.Flags, peerDown bool) []string {
	names := []string{}
	add := func(on bool, name string) {
		if on {
			names = append(names, name)
		}
	}
	add(f&link.Up != 0 && f&link.Running == 0, "NO-CARRIER")
	for _, n := range []struct {
		flag link.Flags
		name string
	}{
		{link.LoopbackDev, "LOOPBACK"}, {link.BroadcastDev, "BROADCAST"}, {link.PointToPoint, "POINTOPOINT"},
		{link.MulticastDev, "MULTICAST"}, {link.NoARP, "NOARP"}, {link.AllMulti, "ALLMULTI"}, {link.Promisc, "PROMISC"},
		{link.MasterDev, "MASTER"}, {link.Up, "UP"}, {link.LowerUp, "LOWER_UP"},
	} {
		add(f&n.flag != 0, n.name)
	}
	add(peerDown, "M-DOWN")
	return names
}

// operstate is RFC 2863's state: only paired devices know that their medium is
// good, as on Linux.
func operstate(dev *link.Device, paired bool) string {
	carrier := dev.Flags()&link.Running != 0
	switch {
	case !dev.Up():
		return "DOWN"
	case paired && carrier:
		return "UP"
	case paired:
		return "LOWERLAYERDOWN"
	case carrier:
		return "UNKNOWN"
	}
	return "DOWN"
}
