package control

import (
	"net/netip"
)

// An IPDevGroup lists the multicast addresses a device listens to.
type IPDevGroup struct {
	Index int32  `json:"ifindex"`
	Name  string `json:"ifname"`
	// Link are hardware addresses, Groups IP addresses.
	Link   []string  `json:"link,omitempty"`
	Groups []IPGroup `json:"groups,omitempty"`
}

// An IPGroup is an IP multicast address.
type IPGroup struct {
	Addr  netip.Addr `json:"address"`
	Users int        `json:"users"`
}

// An IPGroupChange joins or leaves a group. Linux's ip takes hardware addresses
// only; here the group of the network layer is joined, so that routers hear of it.
type IPGroupChange struct {
	Group netip.Addr `json:"group"`
	Dev   string     `json:"dev"`
}

func (p *ipParser) maddr() error {
	p.q.Object = "maddress"
	command, err := p.command("add", "delete", "show|lst|list")
	if err != nil {
		return err
	}
	if command == "show" {
		return p.maddrShow()
	}
	c := &IPGroupChange{}
	p.q.Group = c
	for p.more() {
		word := p.next()
		switch {
		case word == "dev":
			c.Dev, err = p.device("dev")
		case abbreviates(word, "help") && len(word) > 1:
			return p.usage("maddress")
		default:
			err = p.group(c, word)
		}
		if err != nil {
			return err
		}
	}
	switch {
	case c.Dev == "":
		return p.fail(255, "Not enough information: \"dev\" is required.")
	case p.mac6 != "":
		return p.fail(2, "ip maddr %s %s: Operation not supported\nWant: the group's IP address, which has its hardware address", command, p.mac6)
	case !c.Group.IsValid():
		return p.fail(255, "Not enough information: a multicast address is required.")
	}
	return nil
}

func (p *ipParser) group(c *IPGroupChange, word string) error {
	if c.Group.IsValid() {
		return p.fail(255, "Error: duplicate \"address\": %s is the second value.", inQuotes(word))
	}
	if a, ok := parseAddress(word, p.q.Family); ok {
		c.Group = a
		return nil
	}
	var err error
	p.mac6, err = p.checkMAC(word)
	return err
}

func (p *ipParser) maddrShow() error {
	f := &IPFilter{}
	p.q.Filter = f
	for p.more() {
		word := p.next()
		if word == "dev" {
			var err error
			if word, err = p.arg(); err != nil {
				return err
			}
		}
		if abbreviates(word, "help") && len(word) > 1 {
			return p.usage("maddress")
		}
		if f.Dev != "" {
			return p.fail(255, "Error: duplicate \"dev\": %s is the second value.", inQuotes(word))
		}
		f.Dev = word
	}
	return nil
}

func (o *ipOut) groups(list []IPDevGroup) {
	o.beginArray("")
	for i := range list {
		d := &list[i]
		o.beginObject("")
		o.val("ifindex", "%d:", d.Index)
		o.val("ifname", "\t%s", d.Name)
		o.line()
		o.beginArray("maddr")
		for _, m := range d.Link {
			o.beginObject("")
			o.val("link", "\tlink  %s", m)
			o.endObject()
			o.line()
		}
		for _, g := range d.Groups {
			o.group(g)
		}
		o.endArray()
		o.endObject()
		if o.f.oneline {
			o.text("\n")
		}
	}
	o.endArray()
}

func (o *ipOut) group(g IPGroup) {
	o.beginObject("")
	o.val("family", "\t%-5s ", familyOf(g.Addr))
	o.val("address", "%s", g.Addr)
	if g.Users > 1 {
		o.val("users", " users %d", g.Users)
	}
	o.endObject()
	o.line()
}
