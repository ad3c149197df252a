package control

import "fmt"

// addrLines prints addresses one entry each, with index and device.
func (o *ipOut) addrLines(list []IPLink) {
	for i := range list {
		for j := range list[i].Addrs {
			o.text("%d: %s", list[i].Index, list[i].Name)
			o.addr(&list[i].Addrs[j])
		}
	}
}

// local prints the address and its other end.
func (o *ipOut) local(a *IPAddr) {
	o.val("local", "%s", a.Local)
	if a.Peer.IsValid() {
		o.val("address", " peer %s", a.Peer)
	}
	o.val("prefixlen", "/%d ", a.PrefixLen)
	if a.Metric != 0 {
		o.val("metric", "metric %d ", a.Metric)
	}
}

// addr prints one address.
func (o *ipOut) addr(a *IPAddr) {
	o.val("family", "    %s ", a.Family)
	o.local(a)
	if a.Broadcast.IsValid() {
		o.val("broadcast", "brd %s ", a.Broadcast)
	}
	o.val("scope", "scope %s ", a.Scope)
	for _, f := range a.Flags {
		o.text("%s ", f)
		o.val(f, "", true)
	}
	if a.Proto != "" {
		o.val("protocol", "proto %s ", a.Proto)
	}
	if a.Label != "" {
		o.val("label", "%s", a.Label)
	}
	o.line()
	o.text("       valid_lft %s preferred_lft %s\n", seconds(a.Valid), seconds(a.Preferred))
	o.val("valid_life_time", "", a.Valid)
	o.val("preferred_life_time", "", a.Preferred)
}

func seconds(n uint32) string {
	if n == Forever {
		return "forever"
	}
	return fmt.Sprintf("%dsec", n)
}
