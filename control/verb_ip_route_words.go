package control

import "strconv"

// hopField reads what a route has in common with a next hop; ok is false for
// other words.
func (p *ipParser) hopField(h *IPNextHop, family *string, word string) (ok bool, err error) {
	switch word {
	case "via":
		arg, err := p.arg()
		if err != nil {
			return true, err
		}
		if f, ok := ipFamilies[arg]; ok {
			if *family != "" && f != *family {
				return true, p.fail(2, "RTNETLINK answers: Operation not supported\nWant: a gateway of the same family")
			}
			*family = f
			if arg, err = p.arg(); err != nil {
				return true, err
			}
		}
		h.Gateway, err = p.words.address(arg, *family)
		if err == nil {
			*family = familyOf(h.Gateway)
		}
		return true, err
	case "dev", "oif":
		h.Dev, err = p.device("dev")
		return true, err
	case "onlink":
		h.Onlink = true
		return true, nil
	}
	return false, nil
}

// nextHops reads what comes after the first word nexthop, to the end.
func (p *ipParser) nextHops(c *IPRouteChange, family *string) error {
	for {
		if !p.more() {
			return p.fail(255, "Error: unexpected end of line after \"nexthop\"")
		}
		var h IPNextHop
		for p.more() && p.peek() != "nexthop" {
			word := p.next()
			ok, err := p.hopField(&h, family, word)
			if !ok && word == "weight" {
				ok = true
				var n uint64
				if n, err = p.number(256, "\"weight\" is invalid"); err == nil && n == 0 {
					err = p.invalid("0", "\"weight\" is invalid")
				}
				h.Weight = int(n)
			}
			if !ok {
				return p.fail(255, "Error: \"nexthop\" or end of line is expected instead of %s", inQuotes(word))
			}
			if err != nil {
				return err
			}
		}
		c.NextHops = append(c.NextHops, h)
		if !p.more() {
			return nil
		}
		p.next()
	}
}

// routeProtos are the names of /etc/iproute2/rt_protos with their numbers.
var routeProtos = []struct {
	n    uint8
	name string
}{
	{0, "unspec"}, {1, "redirect"}, {2, "kernel"}, {3, "boot"}, {4, "static"}, {8, "gated"}, {9, "ra"}, {10, "mrt"}, {11, "zebra"},
	{12, "bird"}, {13, "dnrouted"}, {14, "xorp"}, {15, "ntk"}, {16, "dhcp"}, {18, "keepalived"}, {42, "babel"}, {99, "openr"},
	{186, "bgp"}, {187, "isis"}, {188, "ospf"}, {189, "rip"}, {192, "eigrp"},
}

// ProtoName returns the name of a route's origin.
func ProtoName(n uint8) string {
	for _, p := range routeProtos {
		if p.n == n {
			return p.name
		}
	}
	return strconv.Itoa(int(n))
}

// ProtoNumber returns the number of a route's origin, by name or in digits.
func ProtoNumber(name string) (n uint8, ok bool) {
	for _, p := range routeProtos {
		if p.name == name {
			return p.n, true
		}
	}
	v, err := strconv.ParseUint(name, 0, 8)
	return uint8(v), err == nil
}

func (p *ipParser) proto(complaint string) (string, error) {
	arg, err := p.arg()
	if err != nil {
		return "", err
	}
	n, ok := ProtoNumber(arg)
	if !ok {
		return "", p.invalid(arg, complaint)
	}
	return ProtoName(n), nil
}

func (p *ipParser) table(complaint string, all bool) (string, error) {
	arg, err := p.arg()
	if err != nil {
		return "", err
	}
	switch arg {
	case "main", "254":
		return "main", nil
	case "local", "255":
		return "local", nil
	case "all", "unspec", "0":
		if all {
			return "all", nil
		}
	case "default":
		return arg, nil
	}
	if _, err := strconv.ParseUint(arg, 0, 32); err != nil {
		return "", p.invalid(arg, complaint)
	}
	return arg, nil
}
