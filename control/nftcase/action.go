package nftcase

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A site is where a packet enters the kernel: a device by its name, or the host.
type site string

// local is the host itself.
const local site = ""

func (s site) String() string {
	if s == local {
		return "local"
	}
	return string(s)
}

// How a line sends packets of a flow.
type manner uint8

const (
	original  manner = iota // from the one who began
	reply                   // from the other one
	connect                 // there, back and there again
	icmpError               // what a router answers to the last packet
)

type (
	// single sends one packet that belongs to no flow.
	single struct {
		from   site
		packet *Packet
		want   expect
	}
	// declare makes a flow known.
	declare struct {
		name   string
		from   site
		packet *Packet
	}
	// flowing sends packets of a flow.
	flowing struct {
		name   string
		how    manner
		packet *Packet // with what the line says of it
		want   expect
	}
	// wait lets time pass.
	wait struct{ d time.Duration }
	// command changes the rules.
	command struct{ text string }
	// hits compares how often a rule has held in this case.
	hits struct {
		rule ruleRef
		n    uint64
	}
	// counter compares a named counter.
	counter struct {
		family, table, name string
		packets, bytes      *uint64
	}
	// replay sends the packets of a capture.
	replay struct {
		file string
		from site
		want map[string]int // by verdict; those that are not there must not come
	}
)

// devices are the devices that a line names.
func (l *Line) devices() (out []string) {
	add := func(s site) {
		if s != local {
			out = append(out, string(s))
		}
	}
	want := expect{}
	switch s := l.step.(type) {
	case *single:
		add(s.from)
		want = s.want
	case *declare:
		add(s.from)
	case *flowing:
		want = s.want
	case *replay:
		add(s.from)
	}
	if want.to != nil {
		add(*want.to)
	}
	return out
}

// action reads a line that does something.
func (p *parser) action(word string, w *words, text string) error {
	if p.here == nil {
		p.begin("")
	}
	s, err := p.step(word, w)
	if err != nil {
		return err
	}
	p.here.Lines = append(p.here.Lines, &Line{p.pos, text, s})
	return nil
}

func (p *parser) step(word string, w *words) (step, error) {
	switch {
	case word == "in" || word == "out":
		return parseSingle(word, w)
	case word == "flow":
		return p.declare(w)
	case word == "nft":
		if w.end() {
			return nil, fmt.Errorf("nft: want a command")
		}
		return &command{w.rest()}, nil
	case word == "hits":
		return parseHits(w)
	case word == "counter":
		return parseCounter(w)
	case word == "pcap":
		return parseReplay(w)
	case strings.HasPrefix(word, "+"):
		d, ok := parseStep(word[1:])
		if !ok {
			return nil, fmt.Errorf("%s is no time to wait: want +30s, +10m, +1h or +2d, at most a year", word)
		}
		return &wait{d}, nil
	case p.here.flows[word] != nil:
		return p.flowing(word, w)
	}
	return nil, fmt.Errorf("%s: want device, route, sysctl, case, in, out, flow, the name of a flow, nft, hits, counter, pcap or +TIME", word)
}

// parseStep reads a duration; days are a unit too.
func parseStep(s string) (d time.Duration, ok bool) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		d = time.Duration(n) * 24 * time.Hour
		return d, err == nil && d > 0 && d <= maxStep
	}
	d, err := time.ParseDuration(s)
	return d, err == nil && d > 0 && d <= maxStep
}

func parseSite(word string, w *words) (site, error) {
	if word == "out" {
		return local, nil
	}
	dev, err := w.next("the name of a device")
	return site(dev), err
}

func parseSingle(word string, w *words) (step, error) {
	from, err := parseSite(word, w)
	if err != nil {
		return nil, err
	}
	left, right, ok := w.cut()
	if !ok {
		return nil, fmt.Errorf("want -> and what is expected behind the packet")
	}
	s := &single{from: from, packet: &Packet{}}
	if err := s.packet.parse(left); err != nil {
		return nil, err
	}
	if _, _, err := s.packet.encode(); err != nil {
		return nil, err
	}
	s.want, err = parseExpect(right)
	w.at = len(w.list)
	return s, err
}

func (p *parser) declare(w *words) (step, error) {
	name, err := w.next("the name of the flow")
	if err != nil {
		return nil, err
	}
	if reserved(name) || p.here.flows[name] != nil {
		return nil, fmt.Errorf("a flow cannot be called %s here", name)
	}
	word, err := w.next("in or out")
	if err != nil {
		return nil, err
	}
	if word != "in" && word != "out" {
		return nil, fmt.Errorf("%s: want in DEVICE or out", word)
	}
	s := &declare{name: name, packet: &Packet{}}
	if s.from, err = parseSite(word, w); err != nil {
		return nil, err
	}
	if err := s.packet.parse(w); err != nil {
		return nil, err
	}
	if _, _, err := s.packet.encode(); err != nil {
		return nil, err
	}
	if s.packet.arp || s.packet.raw != nil {
		return nil, fmt.Errorf("a flow is of IP packets, described by their fields")
	}
	p.here.flows[name] = s.packet
	return s, nil
}

func (p *parser) flowing(name string, w *words) (step, error) {
	s := &flowing{name: name}
	base := p.here.flows[name]
	switch {
	case w.take("reply"):
		s.how = reply
	case w.take("connect"):
		s.how = connect
	case w.take("error"):
		s.how, base = icmpError, &Packet{}
	}
	left, right, ok := w.cut()
	if !ok {
		return nil, fmt.Errorf("want -> and what is expected")
	}
	s.packet = &Packet{l4: base.l4}
	if err := s.packet.parse(left); err != nil {
		return nil, err
	}
	if s.how == icmpError && !s.packet.has("icmp", "type") && !s.packet.has("icmpv6", "type") {
		return nil, fmt.Errorf("error: want icmp or icmpv6 with a type")
	}
	if s.packet.raw != nil || s.packet.arp {
		return nil, fmt.Errorf("a flow is of IP packets, described by their fields")
	}
	var err error
	s.want, err = parseExpect(right)
	w.at = len(w.list)
	return s, err
}
