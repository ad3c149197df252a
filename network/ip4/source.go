package ip4

import (
	"net/netip"

	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/route"
)

// SelectSource chooses among the addresses of dev one whose subnet holds dst, else
// any; else the first of any other device of its VRF (RFC 1122 §3.3.4.3, and what Linux's
// inet_select_addr does). Of those it is the first, but one that is deprecated only
// if there is no other.
func (p *ip4) SelectSource(dst netip.Addr, dev *link.Device) (netip.Addr, bool) {
	var best *network.Addr
	for _, a := range p.net.Addrs(dev.Index()) {
		if usable(a) && (best == nil || worth(a, dst) > worth(best, dst)) {
			best = a
		}
	}
	if best != nil {
		return best.IP(), true
	}
	vrf := p.net.VRF(dev.Index())
	for _, d := range p.net.Link.Devices() {
		if p.net.VRF(d.Index()) != vrf {
			continue
		}
		for _, a := range p.net.Addrs(d.Index()) {
			if usable(a) && a.Scope < route.LinkScope && (best == nil || worth(a, dst) > worth(best, dst)) {
				best = a
			}
		}
	}
	if best == nil {
		return netip.Addr{}, false
	}
	return best.IP(), true
}

// usable reports whether others may see a.
func usable(a *network.Addr) bool { return a.IP().Is4() && a.Scope <= route.LinkScope && a.Usable() }

// worth ranks an address as source towards dst.
func worth(a *network.Addr, dst netip.Addr) (rank int) {
	if a.Prefix.Contains(dst) || a.Peer == dst {
		rank += 4
	}
	if a.Flags&network.Deprecated == 0 {
		rank += 2
	}
	if a.Flags&network.Secondary == 0 {
		rank++
	}
	return rank
}
