package control

import (
	"net/netip"
	"slices"
	"strings"
)

func (p *ipParser) routeShow() error {
	f := &IPFilter{Table: "main"}
	p.q.Filter = f
	if p.q.Command == "flush" && !p.more() {
		return p.fail(1, "\"ip route flush\" requires arguments.")
	}
	for p.more() {
		if err := p.routeFilter(f, p.next()); err != nil {
			return err
		}
	}
	return nil
}

func (p *ipParser) routeFilter(f *IPFilter, word string) (err error) {
	switch {
	case word == "table":
		if p.skip("cache") {
			f.Table = "cache"
			return nil
		}
		if p.skip("all") {
			f.Table = "all"
			return nil
		}
		if f.Table, err = p.table("table id value is invalid", true); f.Table == "0" {
			f.Table = "all"
		}
	case word == "vrf":
		f.VRF, err = p.arg()
	case word == "cached", word == "cloned", word == "cache":
		f.Table = "cache"
	case word == "dev", word == "oif":
		f.Dev, err = p.device("dev")
	case word == "scope":
		f.Scope, err = p.scope("invalid \"scope\" value")
	case abbreviates(word, "protocol") && len(word) > 2:
		f.Proto, err = p.proto("invalid \"protocol\"")
	case word == "type":
		f.Type, err = p.arg()
		if err == nil && !slices.Contains(routeTypes, f.Type) && !slices.Contains(unsupportedTypes, f.Type) {
			return p.invalid(f.Type, "node type value is invalid")
		}
	case word == "via":
		return p.addressFilter(&f.Via)
	case word == "src":
		return p.addressFilter(&f.Src)
	case word == "metric":
		n, err := p.u32("\"metric\" value is invalid")
		f.Metric = &n
		return err
	case abbreviates(word, "help") && len(word) > 1:
		return p.usage("route")
	default:
		return p.destinationFilter(f, word)
	}
	return err
}

func (p *ipParser) addressFilter(to *string) error {
	a, err := p.addressArg(p.q.Family)
	if err != nil {
		return err
	}
	*to, p.q.Family = a.String(), familyOf(a)
	return nil
}

func (p *ipParser) destinationFilter(f *IPFilter, word string) (err error) {
	f.Match = "exact"
	for _, next := range []string{"to", "root|match|exact"} {
		for _, name := range strings.Split(next, "|") {
			if word != name {
				continue
			}
			if name != "to" {
				f.Match = name
			}
			if word, err = p.arg(); err != nil {
				return err
			}
			break
		}
	}
	pfx, err := p.prefix(word, p.q.Family)
	if err != nil {
		return err
	}
	if f.To = pfx.String(); pfx.Bits() > 0 {
		p.q.Family = familyOf(pfx.Addr())
	}
	return nil
}

// MatchRoute reports whether a route passes the filter and the family.
func (f *IPFilter) MatchRoute(r *IPRoute, family string) bool {
	if f.Table != "all" && f.Table != r.Table || family != "" && family != r.Family {
		return false
	}
	if f.Scope != "" && !sameScope(f.Scope, r.Scope) || f.Proto != "" && f.Proto != r.Proto || f.Type != "" && f.Type != r.Type {
		return false
	}
	if f.Metric != nil && *f.Metric != r.Metric || f.Src != "" && f.Src != r.Src.String() {
		return false
	}
	if f.VRF != "" && (r.Type == "local" || r.Type == "broadcast") { // hidden, as the table local is
		return false
	}
	return f.matchDst(r.Dst) && f.matchHop(r.NextHops)
}

func (f *IPFilter) matchDst(dst netip.Prefix) bool {
	if f.To == "" {
		return true
	}
	to, err := netip.ParsePrefix(f.To)
	if err != nil {
		return false
	}
	if to.Bits() == 0 && f.Match != "root" {
		return dst.Bits() == 0 // "default" is of both families
	}
	to = to.Masked()
	switch f.Match {
	case "root":
		return to.Bits() == 0 || to.Bits() <= dst.Bits() && to.Contains(dst.Addr())
	case "match":
		return dst.Bits() <= to.Bits() && dst.Contains(to.Addr())
	}
	return to == dst
}

func (f *IPFilter) matchHop(hops []IPNextHop) bool {
	if f.Dev == "" && f.Via == "" {
		return true
	}
	// Routes of several next hops have no device of their own.
	return len(hops) == 1 && (f.Dev == "" || hops[0].Dev == f.Dev) && (f.Via == "" || hops[0].Gateway.String() == f.Via)
}

// DefaultScope returns the scope of an IPv4 route whose command does not say one.
func (c *IPRouteChange) DefaultScope() string {
	gateway := c.Hop.Gateway.IsValid() || slices.ContainsFunc(c.NextHops, func(h IPNextHop) bool { return h.Gateway.IsValid() })
	return defaultScope(c.Type, gateway || len(c.NextHops) > 0)
}

func defaultScope(routeType string, gateway bool) string {
	switch {
	case routeType == "local":
		return "host"
	case routeType == "broadcast", (routeType == "unicast" || routeType == "") && !gateway:
		return "link"
	}
	return "global"
}
