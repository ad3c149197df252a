package conntrack

import (
	"fmt"
	"slices"
	"syscall"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/netfilter"
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
		e.Helper.CompareAndSwap(h, nil)
		return true
	})
	t.expects.mu.Lock()
	defer t.expects.mu.Unlock()
	t.forget(func(o *expected) bool { return o.Expectation.Helper == h || o.Master.Helper.Load() == nil })
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

// help is the hook that lets helpers see the packets of their connections, after
// NAT and before they are confirmed.
func (t *tracker) help(q *packet.Queue) {
	var out packet.Queue
	for pkt := q.Pop(); pkt != nil; pkt = q.Pop() {
		c, info := t.Of(pkt)
		if c == nil || info == netfilter.Related || info == netfilter.RelatedReply {
			out.Push(pkt)
			continue
		}
		if h := c.Helper.Load(); h != nil && !h.Help(pkt, c, info) {
			pkt.Drop(stat.NetfilterDrop)
			continue
		}
		out.Push(pkt)
	}
	*q = out
}
