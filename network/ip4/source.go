package ip4

import (
	"net/netip"

	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/route"
)

// SelectSource chooses the first address of dev whose subnet holds dst, else the
// first of sufficient scope there, else the first of any device (RFC 1122
// §3.3.4.3, and what Linux's inet_select_addr does).
func (p *ip4) SelectSource(dst netip.Addr, dev *link.Device) (netip.Addr, bool) {
	var found netip.Addr
	for _, a := range p.net.Addrs(dev.Index()) {
		if !a.IP().Is4() || a.Flags&network.Secondary != 0 || a.Scope > route.LinkScope {
			continue
		}
		if a.Prefix.Contains(dst) || a.Peer == dst {
			return a.IP(), true
		}
		if !found.IsValid() {
			found = a.IP()
		}
	}
	if found.IsValid() {
		return found, true
	}
	for _, d := range p.net.Link.Devices() {
		for _, a := range p.net.Addrs(d.Index()) {
			if a.IP().Is4() && a.Scope < route.LinkScope {
				return a.IP(), true
			}
		}
	}
	return netip.Addr{}, false
}
