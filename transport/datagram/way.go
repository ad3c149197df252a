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

// A Destination is what a socket's path depends on.
type Destination struct {
	To   netip.AddrPort // as it was asked for, with its zone; port 0 where that decides nothing
	Mark uint32         // the socket's
	TOS  uint8
}

type way struct {
	Destination
	path *network.Path
}

// To returns the path to a destination, or nil if it is not known any more.
func (w *Way) To(d Destination) *network.Path {
	if l := w.last.Load(); l != nil && l.Destination == d && l.path.Valid() {
		return l.path
	}
	return nil
}

// Set remembers the path to a destination.
func (w *Way) Set(d Destination, p *network.Path) { w.last.Store(&way{d, p}) }
