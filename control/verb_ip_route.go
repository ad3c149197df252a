package control

import (
	"net/netip"
	"slices"
	"strings"
)

// An IPRoute is a route of a table.
type IPRoute struct {
	Family string       `json:"family"`
	Dst    netip.Prefix `json:"dst"`
	Type   string       `json:"type"`            // "unicast", "local", "blackhole", ...
	Table  string       `json:"table"`           // "main", "local", "default" or a number
	Source netip.Prefix `json:"source,omitzero"` // sources that it is for
	Proto  string       `json:"protocol"`
	Scope  string       `json:"scope"`
	Src    netip.Addr   `json:"prefsrc,omitzero"`
	Metric uint32       `json:"metric,omitempty"`
	MTU    int          `json:"mtu,omitempty"`
	// Expires is the seconds that are left; 0 is for ever.
	Expires uint32 `json:"expires,omitempty"`
	// NextHops is empty for blackhole, unreachable and prohibit.
	NextHops []IPNextHop `json:"nexthops,omitempty"`

	// The rest is set in answers to route get.
	Resolved bool       `json:"resolved,omitempty"`
	From     netip.Addr `json:"from,omitzero"`
	Cache    []string   `json:"cache,omitempty"` // "local", "brd", "mc"
	UID      int        `json:"uid,omitempty"`
	Mark     uint32     `json:"mark,omitempty"`
	In       string     `json:"iif,omitempty"`
	NoUID    bool       `json:"no_uid,omitempty"` // nobody's socket asks
}

// An IPNextHop is one way out of a route.
type IPNextHop struct {
	Gateway netip.Addr `json:"gateway,omitzero"`
	Dev     string     `json:"dev,omitempty"`
	Weight  int        `json:"weight,omitempty"` // 0 counts as 1
	Onlink  bool       `json:"onlink,omitempty"`
	// Dead says that the device is down.
	Dead bool `json:"dead,omitempty"`
	// Linkdown says that the device has no carrier.
	Linkdown bool `json:"linkdown,omitempty"`
}

// An IPRouteChange adds, changes or removes a route.
type IPRouteChange struct {
	Dst   netip.Prefix `json:"dst"`
	From  netip.Prefix `json:"from,omitzero"`   // sources that an IPv6 route is for
	Type  string       `json:"type,omitempty"`  // "" is unicast
	Table string       `json:"table,omitempty"` // "" is main
	VRF   string       `json:"vrf,omitempty"`   // stands for its table
	Proto string       `json:"protocol,omitempty"`
	Scope string       `json:"scope,omitempty"` // "" follows type and gateway
	Src   netip.Addr   `json:"prefsrc,omitzero"`
	// Metric nil is the family's default, of delete any.
	Metric *uint32 `json:"metric,omitempty"`
	MTU    int     `json:"mtu,omitempty"`
	// Expires is in how many seconds an IPv6 route ends; 0 is never. As with Linux
	// it means nothing for IPv4.
	Expires uint32 `json:"expires,omitempty"`
	// Hop is the next hop that stands in the route itself, NextHops those of the word
	// nexthop.
	Hop      IPNextHop   `json:"hop,omitzero"`
	NextHops []IPNextHop `json:"nexthops,omitempty"`
}

// An IPRouteGet asks which way packets to an address go.
type IPRouteGet struct {
	Dst  netip.Addr `json:"dst"`
	From netip.Addr `json:"from,omitzero"`
	Oif  string     `json:"oif,omitempty"`
	VRF  string     `json:"vrf,omitempty"` // is Oif, but must be a VRF
	// Iif is the device that the packet comes by; "" is one that is made here.
	Iif   string  `json:"iif,omitempty"`
	Mark  uint32  `json:"mark,omitempty"`
	TOS   uint8   `json:"tos,omitempty"`
	Proto uint8   `json:"ipproto,omitempty"`
	SPort uint16  `json:"sport,omitempty"`
	DPort uint16  `json:"dport,omitempty"`
	UID   *uint32 `json:"uid,omitempty"`
	// FIBMatch asks for the route itself.
	FIBMatch bool `json:"fibmatch,omitempty"`
	// Explain asks also which rules and routes were looked at.
	Explain bool `json:"explain,omitempty"`
}

// routeTypes are those that may stand in front of a destination.
var routeTypes = []string{"unicast", "local", "broadcast", "blackhole", "unreachable", "prohibit", "throw"}

// unsupportedTypes are Linux's others.
var unsupportedTypes = []string{"anycast", "multicast", "nat", "xresolve"}

const routeFields = "via, dev, src, metric, mtu, expires, scope, proto, table, vrf, onlink or nexthop"

func (p *ipParser) route() error {
	command, err := p.command("add|prepend", "change|chg", "replace", "append", "delete", "show|lst|list", "get", "flush", "explain", "test", "save", "restore", "showdump")
	if err != nil {
		return err
	}
	switch command {
	case "add", "change", "replace", "append", "delete":
		return p.routeChange()
	case "show", "flush":
		return p.routeShow()
	case "get", "explain":
		return p.routeGet()
	}
	return p.fail(2, "ip route %s: Operation not supported", command)
}

func (p *ipParser) routeChange() error {
	c := &IPRouteChange{}
	p.q.Route = c
	if !p.more() {
		return p.usage("route")
	}
	family := p.q.Family
	for p.more() {
		word := p.next()
		if word == "nexthop" {
			if err := p.nextHops(c, &family); err != nil {
				return err
			}
			break
		}
		if err := p.routeField(c, &family, word); err != nil {
			return err
		}
	}
	if !c.Dst.IsValid() {
		return p.fail(2, "RTNETLINK answers: Invalid argument\nWant: a destination, such as default or 10.0.0.0/8")
	}
	if c.Dst.Bits() == 0 && family == "inet6" {
		c.Dst = netip.PrefixFrom(unspecified(family), 0) // the gateway has told
	}
	return nil
}

func (p *ipParser) routeField(c *IPRouteChange, family *string, word string) (err error) {
	if ok, err := p.hopField(&c.Hop, family, word); ok {
		return err
	}
	switch {
	case word == "src":
		c.Src, err = p.addressArg(*family)
		*family = familyOf(c.Src)
	case word == "from":
		c.From, err = p.rulePrefix()
	case word == "scope":
		c.Scope, err = p.scope("invalid \"scope\" value")
	case word == "mtu":
		var n uint32
		if p.skip("lock") {
			return p.fail(2, "RTNETLINK answers: Operation not supported\nWant: mtu without lock")
		}
		n, err = p.u32("\"mtu\" value is invalid")
		c.MTU = int(n)
	case abbreviates(word, "metric") && len(word) > 1, word == "priority", word == "preference":
		var n uint32
		n, err = p.u32("\"metric\" value is invalid")
		c.Metric = &n
	case abbreviates(word, "protocol") && len(word) > 2:
		c.Proto, err = p.proto("\"protocol\" value is invalid")
	case word == "table":
		c.Table, err = p.table("\"table\" value is invalid", false)
	case word == "vrf":
		c.VRF, err = p.arg()
	case word == "expires":
		if c.Expires, err = p.u32("\"expires\" value is invalid"); err == nil && c.Expires == 0 {
			err = p.invalid("0", "\"expires\" value is invalid") // with Linux it ends before it begins
		}
	case word == "pref":
		return p.pref()
	case slices.Contains([]string{"tos", "dsfield", "advmss", "hoplimit", "rtt", "rttvar", "window", "initcwnd", "initrwnd", "cwnd", "ssthresh", "realms", "rto_min", "features", "quickack", "congctl", "encap", "nhid"}, word):
		return p.fail(2, "RTNETLINK answers: Operation not supported\nip route: no %s here", word)
	default:
		return p.routeDst(c, family, word)
	}
	return err
}

// pref takes RFC 4191's preference, of which there is only the usual one.
func (p *ipParser) pref() error {
	arg, err := p.arg()
	switch {
	case err != nil:
		return err
	case arg == "low", arg == "high":
		return p.fail(2, "RTNETLINK answers: Operation not supported\nWant: pref medium")
	case arg != "medium":
		return p.invalid(arg, "\"pref\" value is invalid")
	}
	return nil
}

func (p *ipParser) routeDst(c *IPRouteChange, family *string, word string) (err error) {
	if word == "to" {
		if word, err = p.arg(); err != nil {
			return err
		}
	}
	if abbreviates(word, "help") && len(word) > 1 {
		return p.usage("route")
	}
	if c.Dst.IsValid() {
		return p.garbage("to", word, routeFields)
	}
	if slices.Contains(unsupportedTypes, word) {
		return p.fail(2, "RTNETLINK answers: Operation not supported\nWant: %s", strings.Join(routeTypes, ", "))
	}
	if slices.Contains(routeTypes, word) && c.Type == "" {
		c.Type = word
		if word, err = p.arg(); err != nil {
			return err
		}
	}
	if c.Dst, err = p.prefix(word, *family); err == nil && *family == "" {
		if *family = familyOf(c.Dst.Addr()); c.Dst.Bits() == 0 && !strings.Contains(word, "/") {
			*family = "" // default: the gateway will tell
		}
	}
	return err
}
