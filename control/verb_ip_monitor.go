package control

import (
	"slices"
	"strings"
	"time"
)

// ipWatchable are the objects that monitor tells of.
var ipWatchable = []string{"link", "address", "route", "neigh", "rule"}

func (p *ipParser) monitor() error {
	p.q.Command = "monitor"
	p.q.Filter = &IPFilter{Table: "all"}
	for p.more() {
		if err := p.watch(p.next()); err != nil {
			return err
		}
	}
	if len(p.q.Watch) == 0 {
		p.q.Watch = ipWatchable
	}
	return nil
}

func (p *ipParser) watch(word string) error {
	switch {
	case word == "all":
		p.q.Watch, p.q.format.label = ipWatchable, true
		return nil
	case word == "label":
		p.q.format.label = true
		return nil
	case abbreviates(word, "help"):
		return p.usage("monitor")
	case word == "dev":
		dev, err := p.device("dev")
		p.q.Filter.Dev = dev
		return err
	case word == "file", word == "all-nsid":
		return p.fail(2, "ip monitor %s: Operation not supported", word)
	}
	for _, o := range []string{"link", "address", "route", "mroute", "prefix", "neigh", "netconf", "rule", "nsid", "nexthop", "stats"} {
		if !abbreviates(word, o) {
			continue
		}
		if !slices.Contains(ipWatchable, o) {
			return p.fail(2, "ip monitor %s: Operation not supported\nWant: %s", o, strings.Join(ipWatchable, ", "))
		}
		p.q.Watch = append(p.q.Watch, o)
		return nil
	}
	return p.fail(255, "Argument %s is unknown, try \"ip monitor help\".", inQuotes(word))
}

var eventLabels = map[string]string{"link": "[LINK]", "address": "[ADDR]", "route": "[ROUTE]", "neigh": "[NEIGH]", "rule": "[RULE]"}

// event prints what monitor saw. As iproute2's does it prints text for -j too.
func (o *ipOut) event(q IPRequest, r IPReply) error {
	f := q.format
	f.json, f.pretty, f.brief = false, false, false
	*o = *newIPOut(f)
	o.stamp(r.Event.Time)
	if f.label {
		o.text("%s", eventLabels[r.Event.Kind])
	}
	if r.Event.Deleted {
		o.text("Deleted ")
	}
	switch r.Event.Kind {
	case "link":
		for i := range r.Links {
			o.link(IPRequest{Command: "monitor"}, &r.Links[i], false)
		}
	case "address":
		o.addrLines(r.Links)
	case "route":
		for i := range r.Routes {
			o.route(&IPFilter{Table: "all"}, &r.Routes[i])
			o.text("\n")
		}
	case "neigh":
		o.neighs(IPRequest{}, r.Neighs)
	case "rule":
		o.rules(r.Rules)
	}
	return nil
}

// stamp prints the time as -t and -ts ask for.
func (o *ipOut) stamp(t time.Time) {
	switch t = t.Local(); o.f.stamp {
	case 't':
		o.text("Timestamp: %s %d usec\n", t.Format("Mon Jan _2 15:04:05 2006"), t.Nanosecond()/1000)
	case 's':
		o.text("[%s] ", t.Format("2006-01-02T15:04:05.000000"))
	}
}
