package conntrack

import (
	"slices"
	"sync"

	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/network"
)

// holds are what is there while somebody needs connections to be tracked.
type holds struct {
	mu    sync.Mutex
	users [2]int      // by network.Version
	undo  [2][]func() // hooks and what stands in front of them
	quiet func()      // ends listening for answers; nil: nobody listens
}

// Hold implements netfilter.Tracker. While anybody holds it the module stays.
func (t *tracker) Hold(versions [2]bool) (release func()) {
	if t.users != nil && !t.users.Get() {
		return func() {} // on its way out
	}
	h := &t.holds
	h.mu.Lock()
	defer h.mu.Unlock()
	for v, wanted := range versions {
		if !wanted {
			continue
		}
		if h.users[v]++; h.users[v] == 1 {
			t.begun(network.Version(v))
		}
	}
	if h.quiet == nil {
		h.quiet, _ = t.net.OnAnswer(t.answered) // nobody else asks for it
	}
	return sync.OnceFunc(func() { t.release(versions) })
}

// begun switches tracking of a version on. What has passed meanwhile nobody knows: the
// sequence numbers of the connections that are still there count no more.
func (t *tracker) begun(v network.Version) {
	t.table.each(0, len(t.table.buckets), func(e *entry) bool {
		if e.proto == tcpProtocol && e.Tuples[netfilter.Original].Version == v {
			e.mu.Lock()
			e.tcp.lose()
			e.mu.Unlock()
		}
		return true
	})
	t.holds.undo[v] = append(t.defragment(v), t.attach(v)...)
}

func (t *tracker) release(versions [2]bool) {
	h := &t.holds
	if t.users != nil {
		defer t.users.Put()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for v, held := range versions {
		if !held {
			continue
		}
		if h.users[v]--; h.users[v] > 0 {
			continue
		}
		for _, undo := range slices.Backward(h.undo[v]) {
			undo()
		}
		h.undo[v] = nil
	}
	if h.users == [2]int{} && h.quiet != nil {
		h.quiet()
		h.quiet = nil
	}
}

// defragment has fragments put together by the module for it, if it is there: it is
// borrowed, so that lsmod names who needs it.
func (t *tracker) defragment(v network.Version) (undo []func()) {
	if t.requests == nil {
		return nil
	}
	name := netfilter.Defrag4Symbol
	if v == network.V6 {
		name = netfilter.Defrag6Symbol
	}
	d, giveBack, err := module.Borrow[netfilter.Defragmenter](t.requests, name)
	if err != nil {
		return nil
	}
	return []func(){giveBack, d.Hold()}
}
