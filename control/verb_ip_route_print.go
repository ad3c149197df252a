package control

import "slices"

// routes prints routes as ip route does: what the filter fixes is left out.
func (o *ipOut) routes(q IPRequest, list []IPRoute) {
	o.beginArray("")
	for i := range list {
		o.beginObject("")
		o.route(q.Filter, &list[i])
		o.endObject()
		o.text("\n")
	}
	o.endArray()
}

func (o *ipOut) route(f *IPFilter, r *IPRoute) {
	if f == nil {
		f = &IPFilter{}
	}
	if r.Type != "unicast" || o.f.details {
		o.val("type", "%s ", r.Type)
	}
	o.val("dst", "%s ", shortPrefix(r.Dst))
	if r.From.IsValid() {
		o.val("from", "from %s ", r.From)
	} else if r.Source.IsValid() {
		o.val("from", "from %s ", shortPrefix(r.Source))
	}
	one := len(r.NextHops) == 1
	if one {
		o.hopWay(f, &r.NextHops[0])
	} else if len(r.NextHops) == 0 && r.Family == "inet6" {
		o.val("dev", "dev %s ", "lo") // where Linux hangs such routes
	}
	o.routeOrigin(f, r)
	if r.Metric != 0 && f.Metric == nil || r.Family == "inet6" && r.Table == "local" {
		o.val("metric", "metric %d ", r.Metric)
	}
	o.beginArray("flags")
	if one {
		o.hopFlags(&r.NextHops[0])
	} else if len(r.NextHops) > 1 && !slices.ContainsFunc(r.NextHops, func(h IPNextHop) bool { return !h.Linkdown }) {
		o.hopFlags(&IPNextHop{Linkdown: true}) // no way out is left
	}
	o.endArray()
	o.routeEnd(r)
	if len(r.NextHops) > 1 {
		o.nextHops(r.NextHops)
	}
}

func (o *ipOut) hopWay(f *IPFilter, h *IPNextHop) {
	if h.Gateway.IsValid() && f.Via == "" {
		o.val("gateway", "via %s ", h.Gateway)
	}
	if h.Dev != "" && f.Dev == "" {
		o.val("dev", "dev %s ", h.Dev)
	}
}

func (o *ipOut) hopFlags(h *IPNextHop) {
	flag := func(on bool, name string) {
		if !on {
			return
		}
		o.text("%s ", name)
		if o.f.json {
			o.js.value(name)
		}
	}
	flag(h.Dead, "dead")
	flag(h.Onlink, "onlink")
	flag(h.Linkdown, "linkdown")
}

// routeOrigin prints table, origin, scope and preferred source.
func (o *ipOut) routeOrigin(f *IPFilter, r *IPRoute) {
	if f.Table == "all" && r.Table != "main" || r.Resolved && o.f.details {
		o.val("table", "table %s ", r.Table)
	}
	if (r.Proto != "boot" || o.f.details) && f.Proto == "" && r.Proto != "" {
		o.val("protocol", "proto %s ", r.Proto)
	}
	if (r.Scope != "global" || o.f.details) && f.Scope == "" && r.Scope != "" {
		o.val("scope", "scope %s ", r.Scope)
	}
	if r.Src.IsValid() && f.Src == "" {
		o.val("prefsrc", "src %s ", r.Src)
	}
}

// routeEnd prints what stands behind the flags.
func (o *ipOut) routeEnd(r *IPRoute) {
	if r.Resolved && r.Family == "inet" {
		if r.Mark != 0 {
			o.val("mark", "mark %d ", r.Mark)
		}
		if !r.NoUID {
			o.val("uid", "uid %d ", r.UID)
		}
		o.cache(r)
	}
	if r.Expires != 0 {
		o.val("expires", "expires %dsec ", r.Expires)
	}
	if r.MTU != 0 {
		o.beginArray("metrics")
		o.beginObject("")
		o.val("mtu", "mtu %d ", r.MTU)
		o.endObject()
		o.endArray()
	}
	if r.Family == "inet6" {
		if r.In != "" {
			o.val("iif", "iif %s ", r.In)
		}
		o.val("pref", "pref %s", "medium")
	}
}

// cache prints the second line of answers to route get.
func (o *ipOut) cache(r *IPRoute) {
	o.line()
	o.text("    cache ")
	if len(r.Cache) > 0 {
		o.text("<")
		for i, s := range r.Cache {
			if i > 0 {
				o.text(",")
			}
			o.text("%s", s)
		}
		o.text("> ")
	}
	o.list("cache", r.Cache)
	if r.In != "" {
		o.val("iif", "iif %s ", r.In)
	}
}

func (o *ipOut) nextHops(hops []IPNextHop) {
	o.beginArray("nexthops")
	for i := range hops {
		h := &hops[i]
		o.beginObject("")
		o.line()
		o.text("\tnexthop ")
		o.hopWay(&IPFilter{}, h)
		o.val("weight", "weight %d ", max(h.Weight, 1))
		o.beginArray("flags")
		o.hopFlags(h)
		o.endArray()
		o.endObject()
	}
	o.endArray()
}
