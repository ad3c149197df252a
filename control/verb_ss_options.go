package control

import (
	"slices"
	"strings"
)

// An ssParser collects what the options say.
type ssParser struct {
	q            SSRequest
	waiting      []string // the states of -a or -l, the last one counts
	chosen       bool     // protocols were named
	chosenStates bool
}

func parseSS(c *Console, args []string) (SSRequest, error) {
	p := &ssParser{q: SSRequest{format: ssFormat{header: true, table: true}}}
	given, rest, err := getopt("ss", 255, ssOptions, args)
	if err != nil {
		return p.q, err
	}
	for _, o := range given {
		if err := p.option(o); err != nil {
			return p.q, err
		}
	}
	p.q.format.services = readServices(c, p.q.format.numeric)
	if err := p.filter(c, rest); err != nil {
		return p.q, err
	}
	p.finish()
	return p.q, nil
}

func (p *ssParser) option(o setting) error {
	f := &p.q.format
	switch o.name {
	case "help":
		return ErrHelp
	case "version":
		return &Error{Text: "ss utility, knit", help: true}
	case "numeric":
		f.numeric = true
	case "all":
		p.waiting = ssStates("all")
	case "listening":
		p.waiting = []string{"UNCONN", "LISTEN"}
	case "options":
		f.timer = true
	case "extended":
		f.extended = true
	case "memory":
		f.memory = true
	case "processes":
		f.processes = true
	case "resolve":
		return WordErrorf(o.word, 1, "ss: %s: addresses have no names here\nWant: ss without it, for numbers", o.name)
	case "info":
		f.info = true
	case "summary":
		p.q.Summary = true
	case "kill":
		p.q.Kill = true
	case "no-header":
		f.header = false
	case "oneline":
		f.oneline = true
	case "ipv4":
		p.q.Family = "inet"
	case "ipv6":
		p.q.Family = "inet6"
	case "family":
		return p.family(o)
	case "tcp":
		p.proto("tcp")
	case "udp":
		p.proto("udp")
	case "raw":
		p.proto("raw", "icmp")
	case "unix":
		p.proto("unix")
	}
	return nil
}

func (p *ssParser) proto(names ...string) {
	p.chosen = true
	p.q.Protos = append(p.q.Protos, names...)
}

func (p *ssParser) family(o setting) error {
	switch o.value {
	case "inet", "inet6":
		p.q.Family = o.value
	case "unix":
		p.proto("unix")
	default:
		return WordErrorf(o.word, 255, "ss: %s is invalid family\nWant: inet, inet6 or unix", inQuotes(o.value))
	}
	return nil
}

// finish fills in what was not said.
func (p *ssParser) finish() {
	q := &p.q
	q.format.table = p.chosen || !q.Summary
	if !p.chosen && q.format.table {
		q.Protos = []string{"raw", "icmp", "udp", "tcp"}
	}
	slices.SortFunc(q.Protos, func(a, b string) int { return strings.Index(ssOrder, a) - strings.Index(ssOrder, b) })
	q.Protos = slices.Compact(q.Protos)
	q.format.netid = q.format.table && len(slices.DeleteFunc(slices.Clone(q.Protos), func(s string) bool { return s == "icmp" })) != 1 ||
		slices.Contains(q.Protos, "unix")
	if p.chosenStates = q.States != nil; !p.chosenStates {
		q.States = p.defaultStates()
	}
	q.format.state = len(p.visible()) != 1
}

// ssOrder is the order in which ss asks for protocols.
const ssOrder = "unix raw icmp udp tcp"

// defaultStates are those of connected sockets.
func (p *ssParser) defaultStates() []string {
	if p.waiting != nil {
		return p.waiting
	}
	return slices.DeleteFunc(ssStates("connected"), func(s string) bool { return s == "SYN-RECV" || s == "TIME-WAIT" })
}

// visible are the states that rows can have: without -a and -l sockets of datagrams
// are those that are connected.
func (p *ssParser) visible() []string {
	stateful := slices.Contains(p.q.Protos, "tcp") || slices.Contains(p.q.Protos, "unix")
	if stateful || p.chosenStates || p.waiting != nil {
		return p.q.States
	}
	return []string{"ESTAB"}
}

// allStates are ss's words for its states, in the order of the kernel's numbers.
var allStates = []struct{ word, name string }{
	{"ESTAB", "established"}, {"SYN-SENT", "syn-sent"}, {"SYN-RECV", "syn-recv"}, {"FIN-WAIT-1", "fin-wait-1"},
	{"FIN-WAIT-2", "fin-wait-2"}, {"TIME-WAIT", "time-wait"}, {"UNCONN", "unconnected"}, {"CLOSE-WAIT", "close-wait"},
	{"LAST-ACK", "last-ack"}, {"LISTEN", "listening"}, {"CLOSING", "closing"},
}

// ssStates returns the states that a name of a filter means, nil for none such.
func ssStates(name string) (out []string) {
	without := map[string][]string{
		"all": {}, "connected": {"UNCONN", "LISTEN"}, "synchronized": {"UNCONN", "LISTEN", "SYN-SENT"}, "big": {"SYN-RECV", "TIME-WAIT"},
	}
	switch name {
	case "bucket":
		return []string{"SYN-RECV", "TIME-WAIT"}
	case "closed":
		return []string{"UNCONN"}
	case "listen":
		return []string{"LISTEN"}
	}
	not, group := without[name]
	for _, s := range allStates {
		if group && !slices.Contains(not, s.word) || s.name == name {
			out = append(out, s.word)
		}
	}
	return out
}

// filter reads what stands behind the options: states first, then an expression.
func (p *ssParser) filter(c *Console, rest []operand) error {
	for len(rest) > 0 && (abbreviates(rest[0].text, "state") || abbreviates(rest[0].text, "exclude")) && len(rest[0].text) > 2 {
		if len(rest) == 1 {
			return WordErrorf(rest[0].word, 255, "Command line is not complete. Try option \"help\"\nWant: a state behind %s", rest[0].text)
		}
		states := ssStates(rest[1].text)
		if states == nil {
			return WordErrorf(rest[1].word, 255, "ss: wrong state name: %s", rest[1].text)
		}
		if strings.HasPrefix(rest[0].text, "e") {
			if p.q.States == nil {
				p.q.States = ssStates("all")
			}
			p.q.States = slices.DeleteFunc(p.q.States, func(s string) bool { return slices.Contains(states, s) })
		} else {
			p.q.States = append(p.q.States, states...)
		}
		rest = rest[2:]
	}
	if len(rest) == 0 {
		return nil
	}
	var words []string
	for _, r := range rest {
		words = append(words, r.text)
	}
	e, err := parseSSFilter(strings.Join(words, " "), p.names(c))
	if err != nil {
		err.Word = rest[0].word
		return err
	}
	p.q.Filter = e
	return nil
}

// names returns the table that names of ports in filters are looked up in.
func (p *ssParser) names(c *Console) services {
	if p.q.format.numeric {
		return readServices(c, false)
	}
	return p.q.format.services
}
