// Package defrag is what the modules nf_defrag_ipv4 and nf_defrag_ipv6 share: they
// put fragments together before connection tracking and rules see them, as long as
// somebody needs that. Fragments that only pass have their own table, apart from
// that of what this host receives.
package defrag

import (
	"sync"

	"github.com/knitnet/knit/core/hook"
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/frag"
	"github.com/knitnet/knit/wire"
)

// Start is the Init of the module name, for one IP version.
func Start(c *module.Context, name string, v network.Version) error {
	n, err := module.Import[*network.Layer](c, network.Symbol)
	if err != nil {
		return err
	}
	params := frag.Params{Timeout: frag.Timeout6}
	if v == network.V4 {
		params = frag.Params{MaxDist: frag.MaxDist4}
	}
	d := &defragmenter{name: name, v: v, net: n}
	d.table = frag.New(frag.Config{Clock: n.Clock, Walks: n.Walks, Domain: n.VRF, Params: params})
	c.Free(d.table.Close)
	return module.Export[netfilter.Defragmenter](c, name, d)
}

// A defragmenter is one of the modules in one kernel.
type defragmenter struct {
	name  string
	v     network.Version
	net   *network.Layer
	table *frag.Table

	mu   sync.Mutex // holds, undo
	held int
	undo []func()
}

// Hold implements netfilter.Defragmenter.
func (d *defragmenter) Hold() (release func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.held++; d.held == 1 {
		e := hook.Entry{Owner: d.name, Priority: hook.ConntrackDefrag, Batch: d.input, KeepsHeaders: true}
		h := &d.net.Hooks[d.v]
		d.undo = []func(){h.Prerouting.Add(e), h.Output.Add(e)}
	}
	return sync.OnceFunc(d.release)
}

func (d *defragmenter) release() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.held--; d.held > 0 {
		return
	}
	for _, undo := range d.undo {
		undo()
	}
}

// input is the hook: fragments stay here until their datagram is complete, which
// goes on in the place of the last.
func (d *defragmenter) input(q *packet.Queue) {
	for pkt := q.Front(); ; pkt = pkt.Next() {
		if pkt == nil {
			return
		}
		if d.mayBeFragment(pkt) {
			break
		}
	}
	in := *q
	*q = packet.Queue{}
	for pkt := in.Pop(); pkt != nil; pkt = in.Pop() {
		if d.mayBeFragment(pkt) && netfilter.Info(pkt.Track) != netfilter.Untracked {
			pkt = d.add(pkt)
		}
		if pkt != nil {
			q.Push(pkt)
		}
	}
}

// mayBeFragment sorts most packets out at the cost of a look.
func (d *defragmenter) mayBeFragment(pkt *packet.Packet) bool {
	b := pkt.Head()
	if d.v == network.V4 {
		return b[6]&0x3f|b[7] != 0
	}
	return wire.IsIPv6Ext(b[6])
}

func (d *defragmenter) add(pkt *packet.Packet) *packet.Packet {
	if d.v == network.V4 {
		return d.table.Input4(pkt)
	}
	return d.add6(pkt)
}

// add6 finds the fragment header. Packets without one, and chains that are broken,
// go on as they are: the network layer answers them.
func (d *defragmenter) add6(pkt *packet.Packet) *packet.Packet {
	h, ok := wire.ParseIPv6(pkt.Head())
	if !ok {
		return pkt
	}
	for w := h.WalkExts(); ; {
		named := w.NamedAt()
		x, ok := w.Next()
		if !ok || x.Type() == wire.ProtoAH {
			return pkt
		}
		if x.Type() != wire.ProtoFragment {
			continue
		}
		whole, pointer := d.table.Input6(pkt, x.Offset(), named)
		if pointer != 0 { // its sender has to know (RFC 8200 §4.5)
			d.net.SendErrorDetail(network.V6, network.ParameterProblem, 0, 0, uint32(pointer), pkt)
			pkt.Drop(stat.IPv6BadExthdr)
		}
		return whole
	}
}
