package datagram

import (
	"net/netip"
	"sync/atomic"

	"github.com/knitnet/knit/network"
)

// A Way remembers the path to the destination of the last datagram, because the
// next one usually goes there too. The zero Way is empty; it is safe for concurrent
// use.
type Way struct{ last atomic.Pointer[way] }

type way struct {
	to   netip.Addr // as it was asked for, with its zone
	path *network.Path
}

// To returns the path to an address, or nil if it is not known any more.
func (w *Way) To(to netip.Addr) *network.Path {
	if l := w.last.Load(); l != nil && l.to == to && l.path.Valid() {
		return l.path
	}
	return nil
}

// Set remembers the path to an address.
func (w *Way) Set(to netip.Addr, p *network.Path) { w.last.Store(&way{to, p}) }
