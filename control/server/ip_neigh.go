package server

import (
	"net"
	"syscall"
	"time"

	"github.com/knitnet/knit/control"
	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/neigh"
	"github.com/knitnet/knit/wire"
)

func (x *ipCall) neigh() error {
	c := x.q.Neigh
	switch {
	case x.q.Command == "show":
		return x.neighShow()
	case x.q.Command == "flush":
		return x.neighFlush()
	case c == nil:
		return x.unknown()
	}
	dev, err := x.device(c.Dev)
	if err != nil {
		return err
	}
	t := x.neighbours(network.VersionOf(c.Dst))
	if t == nil {
		return unsupported("Nobody finds neighbours of this family: load arp or ndp")
	}
	switch x.q.Command {
	case "get":
		return x.neighGet(t, dev, c)
	case "delete":
		return answer(t.Delete(dev, c.Dst))
	}
	return setNeigh(t, dev, c, x.q.Command)
}

// neighbours returns the table of a version, loading who fills it by the family's
// alias; nil if that cannot be.
func (x *ipCall) neighbours(v network.Version) *neigh.Table {
	n := x.Kernel.Network
	if t := n.Neighbours(v); t != nil {
		return t
	}
	n.Request(map[network.Version]string{network.V4: "net-pf-2", network.V6: "net-pf-10"}[v])
	return n.Neighbours(v)
}

func setNeigh(t *neigh.Table, dev *link.Device, c *control.IPNeighChange, command string) error {
	state, mac := neigh.Permanent, wire.MAC{}
	if c.State != "" {
		s, ok := neigh.ParseState(c.State)
		if !ok {
			return answer(syscall.EINVAL)
		}
		state = s
	}
	if c.MAC != "" {
		m, err := net.ParseMAC(c.MAC)
		if err != nil || len(m) != 6 {
			return answer(syscall.EINVAL)
		}
		mac = wire.MAC(m)
	}
	const unaddressed = neigh.None | neigh.Incomplete | neigh.Failed
	if mac.IsZero() && state&^unaddressed != 0 {
		return refuse("No link layer address given")
	}
	mode := map[string]neigh.Mode{"add": neigh.Add, "change": neigh.Change}
	m, ok := mode[command]
	if !ok {
		m = neigh.Replace
	}
	if c.Router {
		return unsupported("The flag router follows from what the neighbour says")
	}
	return answer(t.Set(dev, c.Dst, mac, state, m))
}

func (x *ipCall) neighGet(t *neigh.Table, dev *link.Device, c *control.IPNeighChange) error {
	for _, i := range t.List() {
		if i.Device == dev && i.IP == c.Dst {
			return x.emit(control.IPReply{Neighs: []control.IPNeigh{ipNeigh(i, x.Kernel.Clock.Now())}})
		}
	}
	return refuse("Neighbour entry not found")
}

func (x *ipCall) neighShow() error {
	if err := x.checkFilter("Cannot find device \"%s\""); err != nil {
		return err
	}
	return x.emit(control.IPReply{Neighs: x.selectNeighs(false)})
}

func (x *ipCall) selectNeighs(flush bool) []control.IPNeigh {
	var list []control.IPNeigh
	for _, v := range []network.Version{network.V4, network.V6} {
		if t := x.Kernel.Network.Neighbours(v); t != nil {
			for _, i := range t.List() {
				list = append(list, ipNeigh(i, x.Kernel.Clock.Now()))
			}
		}
	}
	return sel(list, func(n *control.IPNeigh) bool { return x.q.Filter.MatchNeigh(n, x.q.Family, x.masterOf(n.Dev), flush) })
}

func (x *ipCall) neighFlush() error {
	if err := x.checkFilter("Cannot find device \"%s\""); err != nil {
		return err
	}
	gone, n := x.selectNeighs(true), 0
	for _, g := range gone {
		dev, err := x.Kernel.Link.Lookup(g.Dev)
		if t := x.Kernel.Network.Neighbours(network.VersionOf(g.Dst)); err == nil && t != nil && t.Delete(dev, g.Dst) == nil {
			n++
		}
	}
	return x.emit(control.IPReply{Neighs: gone, Flushed: &n})
}

// ipNeigh describes a neighbour.
func ipNeigh(i neigh.Info, now clock.Time) control.IPNeigh {
	n := control.IPNeigh{
		Dst: i.IP, Dev: i.Device.Name(), Router: i.Router, State: i.State.String(), Probes: i.Probes,
		Confirmed: since(now, i.Confirmed), Updated: since(now, i.Updated),
	}
	if !i.MAC.IsZero() {
		n.MAC = i.MAC.String()
	}
	return n
}

// since returns whole seconds.
func since(now, at clock.Time) int64 { return int64(now.Sub(at) / time.Second) }
