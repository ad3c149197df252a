package server

import (
	"slices"

	"github.com/knitnet/knit/control"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/neigh"
	"github.com/knitnet/knit/network/route"
)

// monitorQueue bounds the events that wait for a slow reader; after that the
// monitor ends as Linux's does when its socket's buffer is full.
const monitorQueue = 4096

// monitor passes events on until the context ends. Events come in the goroutines
// that made the changes, which must not wait for whoever reads.
func (x *ipCall) monitor() error {
	if err := x.checkFilter("Error: argument \"%s\" is wrong: Device does not exist"); err != nil {
		err.(*control.Error).Status = 255
		return err
	}
	m := &monitor{ipCall: x, events: make(chan control.IPReply, monitorQueue), full: make(chan struct{}, 1)}
	defer m.watch()()
	for {
		select {
		case r := <-m.events:
			if err := x.emit(r); err != nil {
				return err
			}
		case <-m.full:
			return control.Errorf(2, "netlink receive error No buffer space available (105)")
		case <-x.ctx.Done():
			return nil
		}
	}
}

type monitor struct {
	*ipCall
	events chan control.IPReply
	full   chan struct{}
}

// watch begins to watch what the command asks for.
func (m *monitor) watch() (undo func()) {
	var undos []func()
	wants := func(object string) bool { return slices.Contains(m.q.Watch, object) }
	if wants("link") {
		undos = append(undos, m.Kernel.Link.Watch(m.linkChanged))
	}
	if wants("address") || wants("route") || wants("rule") {
		undos = append(undos, m.Kernel.Network.Watch(func(e network.Event) { m.networkChanged(e, wants) }))
	}
	for _, v := range []network.Version{network.V4, network.V6} {
		if t := m.Kernel.Network.Neighbours(v); wants("neigh") && t != nil {
			undos = append(undos, t.Watch(m.neighChanged))
		}
	}
	return func() {
		for _, f := range undos {
			f()
		}
	}
}

func (m *monitor) send(kind string, deleted bool, r control.IPReply) {
	r.Event = &control.IPEvent{Kind: kind, Deleted: deleted, Time: m.Kernel.Clock.Wall().Round(0)}
	select {
	case m.events <- r:
	default:
		select {
		case m.full <- struct{}{}:
		default:
		}
	}
}

// about reports whether the command wants to hear of a device.
func (m *monitor) about(dev string) bool { return m.q.Filter.Dev == "" || m.q.Filter.Dev == dev }

func (m *monitor) linkChanged(e link.Event) {
	if l := ipLink(e.Device); m.about(l.Name) {
		m.send("link", e.Kind == link.Removed, control.IPReply{Links: []control.IPLink{l}})
	}
}

func (m *monitor) networkChanged(e network.Event, wants func(string) bool) {
	deleted := e.Kind == network.AddrRemoved || e.Kind == network.RouteRemoved || e.Kind == network.RuleRemoved
	switch {
	case e.Addr != nil && e.Device != nil && wants("address") && m.about(e.Device.Name()):
		l := ipLink(e.Device)
		l.Addrs = []control.IPAddr{ipAddr(e.Addr, m.Kernel.Clock.Now())}
		m.send("address", deleted, control.IPReply{Links: []control.IPLink{l}})
	case e.Route != nil && wants("route"):
		r := m.ipRoute(e.Route, control.TableName(e.Route.Table))
		if len(r.NextHops) == 0 || m.about(r.NextHops[0].Dev) {
			m.send("route", deleted, control.IPReply{Routes: []control.IPRoute{r}})
		}
	case e.Rule != nil && wants("rule") && m.q.Filter.Dev == "":
		m.send("rule", deleted, control.IPReply{Rules: []control.IPRule{ipRule(route.RuleInfo{Rule: *e.Rule}, e.V6)}})
	}
}

func (m *monitor) neighChanged(e neigh.Event) {
	if n := ipNeigh(e.Info, m.Kernel.Clock.Now()); m.about(n.Dev) {
		m.send("neigh", e.Deleted, control.IPReply{Neighs: []control.IPNeigh{n}})
	}
}
