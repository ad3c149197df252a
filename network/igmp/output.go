package igmp

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/wire"
)

// An outbox is what has to be sent once the lock is released.
type outbox struct {
	records []record
	old     []oldMessage
}

// An oldMessage is one of version 1 or 2.
type oldMessage struct {
	typ   uint8
	group netip.Addr
}

// Groups that messages go to.
var (
	allRouters   = netip.AddrFrom4([4]byte{224, 0, 0, 2})  // leaves (RFC 2236 §9)
	v3Routers    = netip.AddrFrom4([4]byte{224, 0, 0, 22}) // RFC 3376 §4.2.14
	thisHost     = netip.AddrFrom4([4]byte{})
	routerAlerts = [wire.IPv4RouterAlertLen]byte{wire.IPv4OptRouterAlert, wire.IPv4RouterAlertLen}
)

func (o *outbox) send(i *iface) {
	if !i.dev.Up() {
		return
	}
	slices.SortFunc(o.old, func(x, y oldMessage) int { return x.group.Compare(y.group) })
	for _, m := range o.old {
		to := m.group
		if m.typ == wire.IGMPv2Leave {
			to = allRouters
		}
		pkt := i.igmp.net.Pool.Get()
		wire.PutIGMP(pkt.Extend(wire.IGMPLen), m.typ, 0, m.group.As4())
		i.transmit(pkt, to)
	}
	slices.SortFunc(o.records, func(x, y record) int {
		return cmp.Or(x.group.Compare(y.group), cmp.Compare(x.typ, y.typ))
	})
	i.sendRecords(o.records)
}

// sendRecords packs records into as many reports as the MTU asks for.
func (i *iface) sendRecords(rs []record) {
	room := reportRoom(i.dev)
	for len(rs) > 0 {
		n, size := 0, 0
		for n < len(rs) && size+rs[n].size() <= room {
			size += rs[n].size()
			n++
		}
		if n == 0 {
			rest := rs[0].cut((room - wire.IGMPv3RecordLen) / sourceLen)
			i.sendReport(rs[:1])
			if rs[0] = rest; len(rest.sources) == 0 {
				rs = rs[1:]
			}
			continue
		}
		i.sendReport(rs[:n])
		rs = rs[n:]
	}
}

const sourceLen = 4

// reportRoom is how many bytes of records fit into one report on dev.
func reportRoom(dev *link.Device) int {
	room := min(dev.MTU(), maxMessage) - wire.IPv4Len - wire.IPv4RouterAlertLen - wire.IGMPLen
	return max(room, wire.IGMPv3RecordLen+sourceLen)
}

func (r *record) size() int { return wire.IGMPv3RecordLen + sourceLen*len(r.sources) }

// cut shortens r to n sources and returns the record that has to be sent besides:
// one of an exclude mode "is truncated", because two such records would contradict
// each other (RFC 3376 §4.2.16).
func (r *record) cut(n int) (rest record) {
	rest = record{typ: r.typ, group: r.group, sources: r.sources[n:]}
	r.sources = r.sources[:n]
	switch r.typ {
	case wire.GroupIsExclude, wire.GroupChangeToExclude:
		rest.sources = nil
	}
	return rest
}

func (i *iface) sendReport(rs []record) {
	var b [maxMessage]byte
	n := wire.IGMPLen
	for _, r := range rs {
		// Its sources one by one, because the record takes arrays.
		sources := make([][4]byte, len(r.sources))
		for k, a := range r.sources {
			sources[k] = a.As4()
		}
		n += wire.PutIGMPv3Record(b[n:], r.typ, r.group.As4(), sources...)
	}
	wire.FinishIGMPv3Report(b[:n], len(rs))
	pkt := i.igmp.net.Pool.Get()
	pkt.Append(b[:n])
	i.transmit(pkt, v3Routers)
}

// transmit sends one message: with a TTL of 1, the precedence of internetwork
// control and the router alert option (RFC 3376 §4), from 0.0.0.0 if the device
// has no address yet (§4.2.13).
func (i *iface) transmit(pkt *packet.Packet, to netip.Addr) {
	n := i.igmp.net
	path, err := n.Resolve(network.Flow{Dst: to, Index: i.dev.Index(), Src: i.source()})
	if err != nil {
		pkt.Consume() // the link is going away
		return
	}
	const internetworkControl = 0xc0
	opts := routerAlerts
	var q packet.Queue
	q.Push(pkt)
	n.Send(&network.Send{
		Path: path, Proto: wire.ProtoIGMP, TTL: 1, TOS: internetworkControl, Options: opts[:], NoLoop: true,
	}, &q)
}

func (i *iface) source() netip.Addr {
	for _, a := range i.igmp.net.Addrs(i.dev.Index()) {
		if a.IP().Is4() && a.Usable() {
			return a.IP()
		}
	}
	return thisHost
}
