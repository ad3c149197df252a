package pcapfilter

import (
	"strconv"
	"strings"
)

// EtherTypes.
const (
	typeIP   = 0x0800
	typeARP  = 0x0806
	typeRARP = 0x8035
	typeIP6  = 0x86dd
)

// A definition says what a protocol's name means.
type definition struct {
	ether  uint16 // EtherType
	ip     uint8  // IP protocol number
	v4, v6 bool   // over which versions
}

var protocols = map[string]definition{
	"ether": {}, "link": {},
	"ip": {ether: typeIP}, "ip6": {ether: typeIP6}, "arp": {ether: typeARP}, "rarp": {ether: typeRARP},
	"tcp": {ip: 6, v4: true, v6: true}, "udp": {ip: 17, v4: true, v6: true}, "sctp": {ip: 132, v4: true, v6: true},
	"icmp": {ip: 1, v4: true}, "icmp6": {ip: 58, v6: true}, "igmp": {ip: 2, v4: true}, "pim": {ip: 103, v4: true, v6: true},
	"vrrp": {ip: 112, v4: true}, "ah": {ip: 51, v4: true, v6: true}, "esp": {ip: 50, v4: true, v6: true},
}

// protocol is the predicate of a protocol's name alone.
func (p *parser) protocol(name string) pred {
	d := protocols[name]
	switch {
	case d.ether != 0:
		return p.etherType(uint32(d.ether))
	case d.ip == 0:
		return func(frame) verdict { return yes }
	}
	return p.ipProto(d)
}

// etherType matches frames of a type. Raw packets tell IP versions only.
func (p *parser) etherType(t uint32) pred {
	if p.link == Ethernet {
		return word(p.typeAt, 2, 0xffff, t)
	}
	switch t {
	case typeIP:
		return word(p.net, 1, 0xf0, 0x40)
	case typeIP6:
		return word(p.net, 1, 0xf0, 0x60)
	}
	return never
}

// ipProto matches an IP protocol; in IPv6, also behind a fragment header.
func (p *parser) ipProto(d definition) pred {
	v := uint32(d.ip)
	four := and(p.etherType(typeIP), p.at(9, 1, 0xff, v))
	six := and(p.etherType(typeIP6), or(p.at(6, 1, 0xff, v), and(p.at(6, 1, 0xff, 44), p.at(40, 1, 0xff, v))))
	switch {
	case !d.v6:
		return four
	case !d.v4:
		return six
	}
	return or(four, six)
}

// protoPrimitive is ip proto, ip6 proto, ether proto, and proto for both versions.
func (p *parser) protoPrimitive(q qualifiers, t token) (pred, error) {
	name := strings.TrimPrefix(t.text, `\`)
	if q.proto == "ether" || q.proto == "link" {
		if d := protocols[name]; d.ether != 0 && t.kind != number {
			return p.etherType(uint32(d.ether)), nil
		}
		if t.kind != number || t.num > 0xffff {
			return nil, errorAt(t, "unknown ether proto '%s'", name)
		}
		return p.etherType(t.num), nil
	}
	d := definition{v4: q.proto != "ip6", v6: q.proto != "ip"}
	if q.proto != "" && q.proto != "ip" && q.proto != "ip6" {
		return nil, errorAt(t, "'%s proto' is bogus", q.proto)
	}
	v := uint64(protocols[name].ip)
	if v == 0 {
		var err error
		if v, err = strconv.ParseUint(name, 0, 8); err != nil {
			return nil, errorAt(t, "unknown ip proto '%s'", name)
		}
	}
	d.ip = uint8(v)
	return p.ipProto(d), nil
}

// portPrimitive is port and portrange.
func (p *parser) portPrimitive(q qualifiers, t token) (pred, error) {
	lo, hi, only, err := ports(q.typ, t)
	if err != nil {
		return nil, err
	}
	var match pred
	for _, name := range [...]string{"tcp", "udp", "sctp"} {
		if q.proto != "" && q.proto != name {
			continue
		}
		if only != "" && only != name {
			if q.proto != "" {
				return nil, errorAt(t, "port '%s' is %s", t.text, only)
			}
			continue
		}
		v := uint32(protocols[name].ip)
		x := or(p.ports4(q, v, lo, hi), p.ports6(q, v, lo, hi))
		if match == nil {
			match = x
		} else {
			match = or(match, x)
		}
	}
	if match == nil {
		return nil, errorAt(t, "illegal qualifier of '%s'", q.typ)
	}
	return match, nil
}

func (p *parser) ports4(q qualifiers, proto, lo, hi uint32) pred {
	net := p.net
	port := func(off int) pred {
		return func(f frame) verdict {
			at, ok := transport(f, net)
			if !ok {
				return missing
			}
			return between(f, at+off, lo, hi)
		}
	}
	return and(and(p.etherType(typeIP), p.at(9, 1, 0xff, proto)), and(p.at(6, 2, 0x1fff, 0), q.pair(port(0), port(2))))
}

func (p *parser) ports6(q qualifiers, proto, lo, hi uint32) pred {
	net := p.net
	port := func(off int) pred { return func(f frame) verdict { return between(f, net+40+off, lo, hi) } }
	return and(and(p.etherType(typeIP6), p.at(6, 1, 0xff, proto)), q.pair(port(0), port(2)))
}

func between(f frame, at int, lo, hi uint32) verdict {
	v, ok := f.load(at, 2)
	if !ok {
		return missing
	}
	return of(v >= lo && v <= hi)
}

// ports reads a port or a range of them, as numbers or names. only is the protocol
// that a name belongs to, if it is but one.
func ports(typ string, t token) (lo, hi uint32, only string, err error) {
	text := strings.TrimPrefix(t.text, `\`)
	a, b, ranged := strings.Cut(text, "-")
	if t.kind == number {
		a, ranged = strconv.FormatUint(uint64(t.num), 10), false
	}
	if _, known := services[text]; known {
		a, ranged = text, false // names may have hyphens
	}
	if ranged && typ != "portrange" {
		return 0, 0, "", errorAt(t, "syntax error at %s: want portrange", quote(t))
	}
	if lo, only, err = portNumber(a, t); err != nil {
		return 0, 0, "", err
	}
	hi = lo
	if ranged {
		if hi, only, err = portNumber(b, t); err != nil {
			return 0, 0, "", err
		}
	}
	return min(lo, hi), max(lo, hi), only, nil
}

func portNumber(s string, t token) (port uint32, only string, err error) {
	if v, ok := services[s]; ok {
		return uint32(v.port), v.only, nil
	}
	v, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0, "", errorAt(t, "unknown port '%s'", s)
	}
	if v > 65535 {
		return 0, "", errorAt(t, "illegal port number %s > 65535", s)
	}
	return uint32(v), "", nil
}

// A service is a port with a name, and the protocol it has the name in if that is
// not both TCP and UDP.
type service struct {
	port uint16
	only string
}

// services are the ports that have a name here.
var services = map[string]service{
	"ftp-data": {20, "tcp"}, "ftp": {21, "tcp"}, "ssh": {22, "tcp"}, "telnet": {23, "tcp"}, "smtp": {25, "tcp"},
	"domain": {53, ""}, "bootps": {67, "udp"}, "bootpc": {68, "udp"}, "tftp": {69, "udp"}, "http": {80, "tcp"},
	"kerberos": {88, ""}, "pop3": {110, "tcp"}, "sunrpc": {111, ""}, "ntp": {123, "udp"}, "imap2": {143, "tcp"},
	"snmp": {161, ""}, "snmp-trap": {162, ""}, "bgp": {179, "tcp"}, "ldap": {389, ""}, "https": {443, ""},
	"syslog": {514, "udp"}, "submission": {587, "tcp"}, "ldaps": {636, ""}, "imaps": {993, "tcp"}, "pop3s": {995, "tcp"},
	"mysql": {3306, "tcp"}, "postgresql": {5432, "tcp"}, "mdns": {5353, "udp"}, "http-alt": {8080, ""},
}

// constants are names of numbers.
var constants = map[string]uint32{
	"tcpflags": 13, "tcp-fin": 1, "tcp-syn": 2, "tcp-rst": 4, "tcp-push": 8, "tcp-ack": 16, "tcp-urg": 32,
	"tcp-ece": 64, "tcp-cwr": 128,
	"icmptype": 0, "icmpcode": 1, "icmp-echoreply": 0, "icmp-unreach": 3, "icmp-sourcequench": 4, "icmp-redirect": 5,
	"icmp-echo": 8, "icmp-routeradvert": 9, "icmp-routersolicit": 10, "icmp-timxceed": 11, "icmp-paramprob": 12,
	"icmp-tstamp": 13, "icmp-tstampreply": 14, "icmp-ireq": 15, "icmp-ireqreply": 16, "icmp-maskreq": 17,
	"icmp-maskreply": 18,
	"icmp6type":      0, "icmp6code": 1, "icmp6-destinationunreach": 1, "icmp6-packettoobig": 2,
	"icmp6-timeexceeded": 3, "icmp6-parameterproblem": 4, "icmp6-echo": 128, "icmp6-echoreply": 129,
	"icmp6-multicastlistenerquery": 130, "icmp6-multicastlistenerreportv1": 131,
	"icmp6-multicastlistenerdone": 132, "icmp6-routersolicit": 133, "icmp6-routeradvert": 134,
	"icmp6-neighborsolicit": 135, "icmp6-neighboradvert": 136, "icmp6-redirect": 137,
}
