package conntrack

import (
	"fmt"
	"slices"
	"syscall"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/wire"
)

// AddHelper implements netfilter.Tracker: EEXIST for a name and protocol that are
// there already.
func (t *tracker) AddHelper(h *netfilter.Helper) (undo func(), err error) {
	s := &t.helpers
	s.Lock()
	defer s.Unlock()
	for _, o := range s.list {
		if o.Name == h.Name && o.Proto == h.Proto {
			return nil, fmt.Errorf("ct helper %s: %w", h.Name, syscall.EEXIST)
		}
	}
	s.list = append(s.list, h)
	s.some.Store(true)
	return func() { t.removeHelper(h) }, nil
}

// removeHelper takes h away from the connections that have it, with what they
// expect.
func (t *tracker) removeHelper(h *netfilter.Helper) {
	s := &t.helpers
	s.Lock()
	s.list = slices.DeleteFunc(slices.Clone(s.list), func(o *netfilter.Helper) bool { return o == h })
	s.Unlock()
	t.table.each(0, len(t.table.buckets), func(e *entry) bool {
		if e.Helper.CompareAndSwap(h, nil) {
			if m := e.More.Load(); m != nil {
				m.HelperData.Store(nil)
			}
		}
		return true
	})
	t.drop(func(o *expected) bool { return o.Expectation.Helper == h || o.Master.Helper.Load() == nil })
}

// checkHelper takes its helper away from a connection that has just got into the table, if
// removeHelper has been there meanwhile and has not found it.
func (t *tracker) checkHelper(e *entry) {
	h := e.Helper.Load()
	if h == nil {
		return
	}
	s := &t.helpers
	s.Lock()
	defer s.Unlock()
	if !slices.Contains(s.list, h) {
		e.Helper.CompareAndSwap(h, nil)
	}
}

// HelperByName implements netfilter.Tracker.
func (t *tracker) HelperByName(name string, proto uint8) *netfilter.Helper {
	s := &t.helpers
	s.Lock()
	defer s.Unlock()
	for _, h := range s.list {
		if h.Name == name && h.Proto == proto {
			return h
		}
	}
	return nil
}

// assign gives a new connection the helper of its server's port, if the kernel is
// set to do so without a rule (net.netfilter.nf_conntrack_helper). The reply tuple
// does not know yet what NAT will make of the port.
func (t *tracker) assign(e *entry) {
	if !t.autoHelp.Load() || e.Helper.Load() != nil {
		return
	}
	o := &e.Tuples[netfilter.Original]
	s := &t.helpers
	s.Lock()
	defer s.Unlock()
	for _, h := range s.list {
		if h.Proto == o.Proto && slices.Contains(h.Ports, o.DstPort) {
			e.Helper.Store(h)
			return
		}
	}
}

// help is the hook that lets helpers see the packets of their connections, after
// NAT and before they are confirmed. ICMP errors are related to a connection and
// no packets of it; the first packet of an expected connection is.
func (t *tracker) help(v network.Version, q *packet.Queue) {
	if !t.helpers.some.Load() {
		return
	}
	var out packet.Queue
	for pkt := q.Pop(); pkt != nil; pkt = q.Pop() {
		c, info := t.Of(pkt)
		if c == nil {
			out.Push(pkt)
			continue
		}
		h := c.Helper.Load()
		if h != nil && (info != netfilter.Related && info != netfilter.RelatedReply || protoIn(v, pkt) == h.Proto) && !(h.Help(pkt, c, info) && network.SoundHeader(v, pkt)) {
			pkt.Drop(stat.NetfilterDrop)
			continue
		}
		out.Push(pkt)
	}
	*q = out
}

// protoIn returns the transport protocol of a packet.
func protoIn(v network.Version, pkt *packet.Packet) uint8 {
	b := pkt.Head()
	if v == network.V4 {
		return b[9]
	}
	h, ok := wire.ParseIPv6(b)
	if !ok {
		return 0
	}
	proto, _, _, _ := h.Upper()
	return proto
}
