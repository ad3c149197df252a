package nftcase

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Table is a file of cases.
type Table struct {
	Devices []Device
	Routes  []Route
	Sysctls []Sysctl
	Cases   []*Case
}

// A Device is an Ethernet device of the kernel that the packets pass.
type Device struct {
	Name     string
	Prefixes []netip.Prefix
	MTU      int // 0: 1500
}

// A Route is an entry of the kernel's routing table.
type Route struct {
	Dst    netip.Prefix
	Via    netip.Addr // zero: on the link
	Device string     // empty: where Via is
}

// A Sysctl is a setting of the kernel.
type Sysctl struct{ Name, Value string }

// A Case is lines that share a kernel: what one packet leaves behind in connection
// tracking, sets and counters, the next one finds.
type Case struct {
	Position
	Title string
	Lines []*Line

	flows map[string]*Packet // what the lines have declared, while they are read
}

// A Line does something and compares what happens.
type Line struct {
	Position
	Text string
	step step
}

// A step is what a line does.
type step interface {
	run(r *runner, l *Line) Result
}

// Limits of a table.
const (
	maxText    = 16 << 20 // bytes
	maxLines   = 100_000
	maxDevices = 64
	maxStep    = 366 * 24 * time.Hour
)

// usual is the network of tables that declare no device.
const usual = `device eth0 10.0.0.1/24 fd00::1/64
device eth1 192.0.2.1/24 2001:db8::1/64
route default via 192.0.2.254
route default via 2001:db8::fe`

// A parser reads a table line by line.
type parser struct {
	table Table
	pos   Position
	here  *Case
}

// Parse reads a table; name is that of its file. Errors are *Error.
func Parse(name, text string) (*Table, error) {
	p := &parser{pos: Position{File: name}}
	if len(text) > maxText || strings.Count(text, "\n") > maxLines {
		return nil, &Error{p.pos, fmt.Sprintf("more than %d lines or %d bytes", maxLines, maxText)}
	}
	for line := range strings.Lines(text) {
		p.pos.Line++
		if err := p.line(line); err != nil {
			return nil, &Error{p.pos, err.Error()}
		}
	}
	if len(p.table.Devices) == 0 {
		p.useUsual()
	}
	if err := p.table.checkDevices(); err != nil {
		return nil, err
	}
	return &p.table, nil
}

// useUsual adds the usual network.
func (p *parser) useUsual() {
	cases := p.table.Cases
	p.table.Cases = nil
	for line := range strings.Lines(usual) {
		if err := p.line(line); err != nil {
			panic("nftcase: the usual network: " + err.Error())
		}
	}
	p.table.Cases = cases
}

func (p *parser) line(text string) error {
	w, err := split(text)
	if err != nil || w.end() {
		return err
	}
	word, _ := w.next("")
	switch word {
	case "device", "route", "sysctl":
		if len(p.table.Cases) > 0 {
			return fmt.Errorf("%s: the network stands in front of the first case and packet", word)
		}
		err = p.network(word, w)
	case "case":
		if w.end() {
			return fmt.Errorf("the case needs a title")
		}
		p.begin(w.rest())
	default:
		err = p.action(word, w, strings.TrimSpace(text))
	}
	if err == nil && !w.end() {
		err = fmt.Errorf("%s: nothing is expected here", w.peek(0))
	}
	return err
}

func (p *parser) begin(title string) {
	p.here = &Case{Position: p.pos, Title: title, flows: map[string]*Packet{}}
	p.table.Cases = append(p.table.Cases, p.here)
}

func (p *parser) network(word string, w *words) error {
	switch word {
	case "device":
		return p.device(w)
	case "route":
		return p.route(w)
	}
	name, err := w.next("the name of a setting")
	if err != nil {
		return err
	}
	name, value, ok := strings.Cut(name, "=")
	if !ok {
		w.take("=")
		if value, err = w.next("a value for " + name); err != nil {
			return err
		}
	}
	p.table.Sysctls = append(p.table.Sysctls, Sysctl{name, value})
	return nil
}

func (p *parser) device(w *words) error {
	name, err := w.next("the name of a device")
	if err != nil {
		return err
	}
	if reserved(name) {
		return fmt.Errorf("a device cannot be called %s", name)
	}
	if slices.ContainsFunc(p.table.Devices, func(d Device) bool { return d.Name == name }) {
		return fmt.Errorf("there is a device %s already", name)
	}
	if len(p.table.Devices) == maxDevices {
		return fmt.Errorf("more than %d devices", maxDevices)
	}
	d := Device{Name: name}
	for !w.end() {
		if w.take("mtu") {
			word, _ := w.next("")
			if d.MTU, err = strconv.Atoi(word); err != nil || d.MTU < 68 || d.MTU > maxPacket {
				return fmt.Errorf("mtu: want a number from 68 to %d", maxPacket)
			}
			continue
		}
		word, _ := w.next("")
		x, err := netip.ParsePrefix(word)
		if err != nil {
			return fmt.Errorf("%s is no address/length", word)
		}
		d.Prefixes = append(d.Prefixes, x)
	}
	p.table.Devices = append(p.table.Devices, d)
	return nil
}

func (p *parser) route(w *words) error {
	word, err := w.next("a prefix or default")
	if err != nil {
		return err
	}
	var r Route
	if word != "default" {
		if r.Dst, err = netip.ParsePrefix(word); err != nil {
			return fmt.Errorf("%s is no prefix", word)
		}
	}
	if w.take("via") {
		gw, err := w.next("the address of a router")
		if err != nil {
			return err
		}
		if r.Via, err = netip.ParseAddr(gw); err != nil {
			return fmt.Errorf("%s is no address", gw)
		}
	}
	if w.take("dev") {
		if r.Device, err = w.next("the name of a device"); err != nil {
			return err
		}
	}
	switch {
	case r.Via.IsValid() && word == "default":
		r.Dst = netip.PrefixFrom(r.Via, 0).Masked()
	case word == "default":
		r.Dst = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	case r.Via.IsValid() && r.Via.BitLen() != r.Dst.Addr().BitLen():
		return fmt.Errorf("%v is not of the family of %v", r.Via, r.Dst)
	}
	if !r.Via.IsValid() && r.Device == "" {
		return fmt.Errorf("the route needs via ADDRESS or dev NAME")
	}
	p.table.Routes = append(p.table.Routes, r)
	return nil
}

// maxName is how long names of flows and devices may be (IFNAMSIZ).
const maxName = 15

// reserved reports whether a word cannot be a name: it begins a line or a part of one,
// or has a sign of those.
func reserved(s string) bool {
	return slices.Contains([]string{"", "in", "out", "reply", "connect", "error", "flow", "case", "device", "route", "sysctl", "nft", "pcap", "hits", "counter", "to", "local", "lo", "->"}, s) ||
		strings.ContainsAny(s, "+\"/.: ") || len(s) > maxName
}

// checkDevices makes sure that lines name devices that there are.
func (t *Table) checkDevices() error {
	known := map[string]bool{}
	for _, d := range t.Devices {
		known[d.Name] = true
	}
	for _, c := range t.Cases {
		for _, l := range c.Lines {
			for _, name := range l.devices() {
				if !known[name] {
					return &Error{l.Position, "there is no device " + name}
				}
			}
		}
	}
	return nil
}

// Join adds the cases of another table, whose network must be the same.
func (t *Table) Join(o *Table) error {
	same := slices.EqualFunc(t.Devices, o.Devices, func(a, b Device) bool {
		return a.Name == b.Name && a.MTU == b.MTU && slices.Equal(a.Prefixes, b.Prefixes)
	})
	if !same || !slices.Equal(t.Routes, o.Routes) || !slices.Equal(t.Sysctls, o.Sysctls) {
		return errors.New("its network is another one")
	}
	t.Cases = append(t.Cases, o.Cases...)
	return nil
}
