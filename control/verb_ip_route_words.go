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

// tableNames are those of /etc/iproute2/rt_tables.
var tableNames = map[string]uint32{"local": 255, "main": 254, "default": 253}

// TableName returns the name of a routing table, in digits if it has none.
func TableName(n uint32) string {
	for name, x := range tableNames {
		if x == n {
			return name
		}
	}
	return strconv.FormatUint(uint64(n), 10)
}

// TableNumber returns the number of a routing table, by name or in digits.
func TableNumber(name string) (n uint32, ok bool) {
	if n, ok := tableNames[name]; ok {
		return n, true
	}
	v, err := strconv.ParseUint(name, 0, 32)
	return uint32(v), err == nil
}

// table takes a table by name or number; zero says whether 0 may be one.
func (p *ipParser) table(complaint string, zero bool) (string, error) {
	arg, err := p.arg()
	if err != nil {
		return "", err
	}
	if arg == "unspec" {
		arg = "0"
	}
	n, ok := TableNumber(arg)
	if !ok {
		return "", p.invalid(arg, complaint)
	}
	if n == 0 && !zero {
		return "", nil
	}
	return TableName(n), nil
}
