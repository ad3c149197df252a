package control

import (
	"fmt"
	"iter"
	"strings"
	"time"
)

// An IPRequest is one ip command. Exactly one of the pointers is set; which one
// follows from Object and Command.
type IPRequest struct {
	Object  string `json:"object"`  // "link", "address", "route", "neigh", "maddr", "rule", "monitor", ...
	Command string `json:"command"` // "show", "add", "set", ...
	// Family restricts show and flush: "inet", "inet6", "link" or "" for all.
	Family string `json:"family,omitempty"`

	Link   *IPLinkChange  `json:"link,omitempty"`
	Addr   *IPAddrChange  `json:"addr,omitempty"`
	Route  *IPRouteChange `json:"route,omitempty"`
	Get    *IPRouteGet    `json:"get,omitempty"`
	Neigh  *IPNeighChange `json:"neigh,omitempty"`
	Group  *IPGroupChange `json:"group,omitempty"`
	Rule   *IPRule        `json:"rule,omitempty"`
	Filter *IPFilter      `json:"filter,omitempty"`
	// Watch lists what monitor tells of: "link", "address", "route", "neigh", "rule".
	Watch []string `json:"watch,omitempty"`

	// warning is what the parser has to say on standard error.
	warning string
	format  ipFormat
}

// An IPFilter selects what show and flush are about. Zero fields select all.
type IPFilter struct {
	Dev  string `json:"dev,omitempty"`
	Up   bool   `json:"up,omitempty"`
	Kind string `json:"kind,omitempty"` // of device: "veth"
	// Master and VRF name the device that devices and those of neighbours are enslaved
	// to; NoMaster: to none. Of routes VRF stands for its table.
	Master   string `json:"master,omitempty"`
	VRF      string `json:"vrf,omitempty"`
	NoMaster bool   `json:"nomaster,omitempty"`

	Scope string `json:"scope,omitempty"` // of addresses and routes
	To    string `json:"to,omitempty"`    // prefix
	// Match says how a route's destination relates to To: "exact", "root" (inside
	// it) or "match" (contains it). Addresses and neighbours are inside it.
	Match string `json:"match,omitempty"`
	Label string `json:"label,omitempty"` // pattern of path.Match
	// With and Without are flags that addresses must or must not have.
	With    []string `json:"with,omitempty"`
	Without []string `json:"without,omitempty"`

	Table  string  `json:"table,omitempty"` // "main", "local", "all"
	Via    string  `json:"via,omitempty"`
	Src    string  `json:"src,omitempty"`
	Proto  string  `json:"proto,omitempty"`
	Metric *uint32 `json:"metric,omitempty"`
	Type   string  `json:"type,omitempty"` // of routes: "blackhole"
	// States are those of neighbours, in capitals; AnyState shows also those that
	// are hidden otherwise.
	States   []string `json:"states,omitempty"`
	AnyState bool     `json:"any_state,omitempty"`
}

// An IPReply is one answer; monitor gives one for each event. Only the part that
// was asked for is set.
type IPReply struct {
	Links  []IPLink     `json:"links,omitempty"`
	Routes []IPRoute    `json:"routes,omitempty"`
	Neighs []IPNeigh    `json:"neighs,omitempty"`
	Groups []IPDevGroup `json:"groups,omitempty"`
	Rules  []IPRule     `json:"rules,omitempty"`

	Explanation *IPExplanation `json:"explanation,omitempty"`

	// Event is set in replies of monitor, which have one element above it.
	Event *IPEvent `json:"event,omitempty"`
	// Flushed counts what flush has removed.
	Flushed *int `json:"flushed,omitempty"`
}

// An IPEvent says what monitor saw.
type IPEvent struct {
	Kind    string    `json:"kind"` // "link", "address", "route", "neigh" or "rule"
	Deleted bool      `json:"deleted,omitempty"`
	Time    time.Time `json:"time"`
}

// ipFormat is how replies are printed.
type ipFormat struct {
	json, pretty, brief, oneline, details bool
	stats                                 int
	stamp                                 byte // 0, 't' or 's' (-ts)
	label                                 bool // of monitor
}

// IP shows and changes devices, addresses, routes and neighbours, as iproute2's
// ip does.
func IP() *Verb[IPRequest, IPReply] {
	return &Verb[IPRequest, IPReply]{
		Info: Info{
			Name: "ip", Group: Network, Summary: "show and change devices, addresses, routes and neighbours",
			Usage: ipUsage[""], Stream: true,
		},
		Parse: func(_ *Console, args []string) (IPRequest, error) { return parseIP(args) },
		Print: printIP,
	}
}

// ipObjects are the objects in the order in which abbreviations are tried, which
// is iproute2's: `ip a` is address, `ip r` route, `ip m` maddress.
var ipObjects = []struct {
	word, object string
	parse        func(p *ipParser) error
}{
	{"address", "address", (*ipParser).address},
	{"maddress", "maddress", (*ipParser).maddr},
	{"route", "route", (*ipParser).route},
	{"rule", "rule", (*ipParser).rule},
	{"neighbor", "neigh", (*ipParser).neigh},
	{"neighbour", "neigh", (*ipParser).neigh},
	{"link", "link", (*ipParser).link},
	{"l2tp", "l2tp", nil},
	{"fou", "fou", nil},
	{"macsec", "macsec", nil},
	{"tunnel", "tunnel", nil},
	{"tuntap", "tuntap", (*ipParser).tuntap},
	{"token", "token", nil},
	{"tcp_metrics", "tcp_metrics", nil},
	{"monitor", "monitor", (*ipParser).monitor},
	{"xfrm", "xfrm", nil},
	{"mroute", "mroute", nil},
	{"mrule", "mrule", nil},
	{"netns", "netns", nil},
	{"netconf", "netconf", nil},
	{"vrf", "vrf", (*ipParser).vrf},
	{"sr", "sr", nil},
	{"nexthop", "nexthop", nil},
	{"mptcp", "mptcp", nil},
	{"help", "", (*ipParser).help},
}

// An ipParser translates the words of one command into q.
type ipParser struct {
	words
	q       IPRequest
	slashed bool   // the address had a prefix length
	mac6    string // a hardware address where maddr wants a group
}

func parseIP(args []string) (IPRequest, error) {
	p := &ipParser{words: words{args: args}}
	if err := p.options(); err != nil {
		return p.q, err
	}
	if !p.more() {
		return p.q, p.usage("")
	}
	word := p.next()
	for _, o := range ipObjects {
		if !abbreviates(word, o.word) {
			continue
		}
		p.q.Object = o.object
		if o.parse == nil {
			return p.q, p.fail(2, "ip %s: Operation not supported", o.object)
		}
		return p.q, o.parse(p)
	}
	return p.q, p.fail(1, "Object %q is unknown, try \"ip help\".", word)
}

func (p *ipParser) help() error { return p.usage("") }

// options reads the options in front of the object.
func (p *ipParser) options() error {
	for p.more() && strings.HasPrefix(p.peek(), "-") {
		word := p.next()
		name := strings.TrimPrefix(word, "-")
		name = strings.TrimPrefix(name, "-")
		if word == "--" {
			return nil
		}
		if err := p.option(word, name); err != nil {
			return err
		}
	}
	return nil
}

func (p *ipParser) option(word, name string) error {
	f := &p.q.format
	switch family, ok := ipFamilyOptions[name]; {
	case ok:
		p.q.Family = family
	case abbreviates(name, "family"):
		arg, err := p.arg()
		if err != nil {
			return err
		}
		if p.q.Family, ok = ipFamilies[arg]; !ok {
			return p.invalid(arg, "invalid protocol family")
		}
	case abbreviates(name, "help"):
		return p.usage("")
	case abbreviates(name, "stats"), abbreviates(name, "statistics"):
		f.stats++
	case abbreviates(name, "details"):
		f.details = true
	case abbreviates(name, "oneline"):
		f.oneline = true
	case abbreviates(name, "timestamp"):
		f.stamp = 't'
	case abbreviates(name, "tshort"):
		f.stamp = 's'
	case len(name) > 1 && abbreviates(name, "brief"):
		f.brief = true
	case abbreviates(name, "json"):
		f.json = true
	case abbreviates(name, "pretty"):
		f.pretty = true
	case name != "" && strings.HasPrefix(name, "c") && abbreviates(strings.SplitN(name, "=", 2)[0], "color"):
		// Output that may go to a file or over a socket has no colours.
	default:
		return p.fail(255, "Option %q is unknown, try \"ip -help\".", word)
	}
	return nil
}

var (
	ipFamilyOptions = map[string]string{"4": "inet", "6": "inet6", "0": "link"}
	ipFamilies      = map[string]string{"inet": "inet", "inet6": "inet6", "link": "link"}
)

// command reads the word that says what to do, "show" without one, and returns
// the entry of table that it abbreviates. Entries are tried in order.
func (p *ipParser) command(table ...string) (string, error) {
	if !p.more() {
		p.q.Command = "show"
		return "show", nil
	}
	word := p.next()
	for _, entry := range table {
		for _, name := range strings.Split(entry, "|") {
			if abbreviates(word, name) {
				p.q.Command, _, _ = strings.Cut(entry, "|")
				return p.q.Command, nil
			}
		}
	}
	object := p.q.Object
	if object == "maddress" {
		object = "maddr"
	}
	if abbreviates(word, "help") {
		return "", p.usage(p.q.Object)
	}
	return "", p.fail(255, "Command %q is unknown, try \"ip %s help\".", word, object)
}

func (p *ipParser) usage(object string) error {
	return &Error{Text: ipUsage[object], Status: 255, Word: p.i}
}

// printIP writes the replies in the format that was asked for.
func printIP(c *Console, q IPRequest, replies iter.Seq[IPReply]) error {
	if q.warning != "" {
		c.Warn("%s", q.warning)
	}
	for r := range replies {
		o := newIPOut(q.format)
		var err error
		switch {
		case r.Event != nil:
			err = o.event(q, r)
		case q.Command == "flush":
			o.flushed(q, r)
		case q.Object == "link", q.Object == "address":
			o.links(q, r.Links)
		case q.Object == "tuntap":
			o.tuntaps(r.Links)
		case r.Explanation != nil:
			o.explanation(r.Explanation)
		case q.Object == "route":
			o.routes(q, r.Routes)
		case q.Object == "neigh":
			o.neighs(q, r.Neighs)
		case q.Object == "maddress":
			o.groups(r.Groups)
		case q.Object == "rule":
			o.rules(r.Rules)
		case q.Object == "vrf":
			o.vrfs(q, r.Links)
		default:
			err = fmt.Errorf("ip: no answer was expected to %s %s", q.Object, q.Command)
		}
		if err == nil {
			err = c.Print(o.String())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// flushed says with -s how many were removed, with -s -s also which.
func (o *ipOut) flushed(q IPRequest, r IPReply) {
	n := *r.Flushed
	if o.f.stats == 0 || n == 0 && q.Object == "address" {
		return
	}
	what := map[string]string{"address": "addresses"}[q.Object]
	if what == "" {
		what = "entries"
	}
	if n == 0 {
		o.text("Nothing to flush.\n")
		return
	}
	if o.f.stats > 1 {
		sub := newIPOut(ipFormat{})
		switch q.Object {
		case "address":
			sub.addrLines(r.Links)
		case "route":
			sub.routes(IPRequest{Filter: &IPFilter{Table: q.Filter.Table}}, r.Routes)
		case "neigh":
			sub.neighs(IPRequest{Filter: &IPFilter{}}, r.Neighs)
		}
		o.text("%s", sub.String())
	}
	o.text("\n*** Round 1, deleting %d %s ***\n*** Flush is complete after 1 round ***\n", n, what)
}
