package server

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/knitnet/knit/control"
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/network"
)

func save() Handler {
	return Handle(control.Save(), func(_ context.Context, e *Env, _ control.SaveRequest, emit func(control.SaveReply) error) error {
		s := newSaver(e)
		s.modules()
		s.links()
		s.sysctls() // before addresses, whose making some of them guide
		s.up()
		s.addresses()
		s.routes()
		s.policy(network.V4)
		s.policy(network.V6)
		s.neighbours()
		s.groups()
		s.rules()
		s.others()
		return emit(control.SaveReply{Script: s.b.String(), Missing: s.missing})
	})
}

// A saver writes the commands of a boot script.
type saver struct {
	*Env
	b       strings.Builder
	devices []*link.Device
	// foreign are the devices that no command makes, with the commands about them.
	foreign map[string]*foreignDevice
	missing []string // what the script does not make, for humans
	afterUp []func() // write what must wait until devices are up
}

// A foreignDevice is one that the program around the kernel has made.
type foreignDevice struct {
	why   string
	lines []string
}

func newSaver(e *Env) *saver {
	s := &saver{Env: e, devices: e.Kernel.Link.Devices(), foreign: make(map[string]*foreignDevice)}
	// Those that come with their modules are there before those of commands.
	slices.SortStableFunc(s.devices, func(a, b *link.Device) int { return cmp.Compare(byModule(b), byModule(a)) })
	peers := make(map[*link.Device]bool)
	for _, d := range s.devices {
		if p, ok := d.Driver().(link.Paired); ok {
			if _, created := d.Created(); created {
				peers[p.Peer(d)] = true
			}
		}
	}
	for _, d := range s.devices {
		_, created := d.Created()
		switch {
		case joinsOther(d):
			s.foreign[d.Name()] = &foreignDevice{why: "leads into another kernel"}
		case !created && !peers[d] && byModule(d) == 0 && !comesWithModule(d):
			s.foreign[d.Name()] = &foreignDevice{why: "was made by the program around this kernel"}
		}
	}
	return s
}

// loopbackName is what the module loopback calls its device.
const loopbackName = "lo"

// byModule returns 1 for devices that their module makes at load, and sets up.
func byModule(d *link.Device) int {
	if d.Type() == link.Loopback {
		return 1
	}
	return 0
}

// comesWithModule reports whether loading a module makes d, with its routes.
func comesWithModule(d *link.Device) bool {
	_, ok := d.Driver().(link.ModuleDriver)
	return ok
}

// joinsOther reports whether d is one end of a pair whose other end is not here.
func joinsOther(d *link.Device) bool {
	p, ok := d.Driver().(link.Paired)
	if !ok {
		return false
	}
	peer := p.Peer(d)
	return peer == nil || peer.Layer() != d.Layer()
}

// line writes one command.
func (s *saver) line(words ...string) { s.b.WriteString(control.Quote(words...) + "\n") }

// about writes one command about devices. Where one of them is foreign it goes to
// the comment about that one.
func (s *saver) about(devs []string, words ...string) {
	for _, name := range devs {
		if f := s.foreign[name]; f != nil {
			f.lines = append(f.lines, control.Quote(words...))
			return
		}
	}
	s.line(words...)
}

// others tells of the devices that the script does not make, and keeps what it would
// have said about them.
func (s *saver) others() {
	for _, d := range s.devices {
		f := s.foreign[d.Name()]
		if f == nil {
			continue
		}
		s.missing = append(s.missing, fmt.Sprintf("%s is not saved: it %s", d.Name(), f.why))
		fmt.Fprintf(&s.b, "# %s %s; once it is there again:\n", d.Name(), f.why)
		for _, l := range f.lines {
			s.b.WriteString("# " + strings.ReplaceAll(l, "\n", "\n# ") + "\n")
		}
	}
}

// modules loads in the order of loading, with the parameters that are not the
// default.
func (s *saver) modules() {
	for _, m := range slices.Backward(s.Kernel.Modules.Modules()) {
		words := []string{"modprobe", m.Name}
		for _, p := range m.Params {
			if p.Value != p.Default && !p.AtLoad {
				words = append(words, p.Name+"="+p.Value)
			}
		}
		s.line(words...)
		if m.Name == "loopback" {
			s.loopbackDown()
		}
	}
}

// loopbackDown sets down what the module sets up: at once, before the addresses that
// come when it is up, unless they are there.
func (s *saver) loopbackDown() {
	for _, d := range s.devices {
		if byModule(d) > 0 && !d.Up() && !s.hasOwn(d) {
			s.line("ip", "link", "set", "dev", loopbackName, "down")
		}
	}
}

// links makes the devices that commands can make, and describes all of them.
func (s *saver) links() {
	made := make(map[*link.Device]bool)
	for _, d := range s.devices {
		if byModule(d) > 0 && d.Name() != loopbackName {
			s.line("ip", "link", "set", "dev", loopbackName, "name", d.Name())
		}
	}
	for _, d := range s.devices {
		if options, ok := d.Created(); ok && s.foreign[d.Name()] == nil {
			made[d] = true
			s.add(d, options, made)
		}
	}
	for _, d := range s.devices {
		words := []string{"ip", "link", "set", "dev", d.Name(), "mtu", strconv.Itoa(d.MTU())}
		if made[d] && d.Type() == link.Ether {
			words = append(words, "address", d.MAC().String())
		}
		if d.Asked()&link.Promisc != 0 {
			words = append(words, "promisc", "on")
		}
		if d.Asked()&link.AllMulti != 0 {
			words = append(words, "allmulticast", "on")
		}
		if a := d.Alias(); a != "" {
			words = append(words, "alias", a)
		}
		s.about([]string{d.Name()}, words...)
	}
	s.enslave()
}

// add makes one device, or a pair of them.
func (s *saver) add(d *link.Device, options map[string]string, made map[*link.Device]bool) {
	words := []string{"ip", "link", "add", d.Name(), "type", d.Kind()}
	if p, ok := d.Driver().(link.Paired); ok {
		peer := p.Peer(d)
		made[peer] = true
		words = append(words, "peer", "name", peer.Name())
	}
	for _, k := range slices.Sorted(maps.Keys(options)) {
		if k != "peer" {
			words = append(words, k, options[k])
		}
	}
	s.line(words...)
}

// up sets devices up, or down where their module sets them up.
func (s *saver) up() {
	for _, d := range s.devices {
		switch {
		case d.Up():
			s.about([]string{d.Name()}, "ip", "link", "set", "dev", d.Name(), "up")
		case byModule(d) > 0 && s.hasOwn(d):
			s.line("ip", "link", "set", "dev", d.Name(), "down")
		}
	}
	for _, f := range s.afterUp {
		f()
	}
}

// rules writes the ruleset as one transaction. Flowtables want their devices to be
// there; chains do not.
func (s *saver) rules() {
	r, ok := module.Find[netfilter.WatchedRuleset](s.Kernel.Modules, netfilter.RulesetSymbol)
	if !ok {
		return
	}
	var out strings.Builder
	if err := r.Run(context.Background(), &netfilter.NFTRequest{Text: "list ruleset"}, &out); err != nil {
		s.missing = append(s.missing, fmt.Sprintf("the ruleset is not saved: %v", err))
		return
	}
	if out.Len() == 0 {
		return
	}
	var devices []string
	for _, t := range r.Tables() {
		for _, f := range t.Flowtables {
			devices = append(devices, f.Devices...)
		}
	}
	s.about(devices, "nft", out.String())
}
