package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/knitnet/knit/control"
	"github.com/knitnet/knit/core/module"
)

func modprobe() Handler {
	return Handle(control.Modprobe(), func(ctx context.Context, e *Env, q control.ModprobeRequest, emit func(control.ModprobeReply) error) error {
		p := prober{ctx: ctx, modules: e.Kernel.Modules, q: q, emit: emit}
		return p.each()
	})
}

// A prober carries one request out.
type prober struct {
	ctx     context.Context
	modules *module.Registry
	q       control.ModprobeRequest
	emit    func(control.ModprobeReply) error
}

// each goes on after a failure, as modprobe does, and fails in the end.
func (p *prober) each() error {
	f := failures{tell: func(text string) error { return p.emit(control.ModprobeReply{Error: text}) }}
	for _, name := range p.q.Names {
		err := p.one(name)
		switch {
		case err == nil:
			continue
		case p.ctx.Err() != nil:
			return p.ctx.Err()
		}
		if err := f.add("modprobe: " + err.Error()); err != nil {
			return err
		}
	}
	if p.q.Quiet && f.err() != nil {
		return &control.Error{Status: 1}
	}
	return f.err()
}

func (p *prober) one(name string) error {
	names, err := p.modules.Resolve(name)
	switch {
	case err != nil && p.q.Remove:
		return fmt.Errorf("FATAL: %w.", err)
	case err != nil:
		return fmt.Errorf("FATAL: %w in this kernel", err)
	case p.q.ResolveAll:
		return p.say(names...)
	case p.q.Remove:
		return p.remove(name, names)
	}
	return p.insert(name, names)
}

// say shows lines.
func (p *prober) say(lines ...string) error {
	for _, l := range lines {
		if err := p.emit(control.ModprobeReply{Line: l}); err != nil {
			return err
		}
	}
	return nil
}

func (p *prober) insert(name string, names []string) error {
	if p.q.FirstTime {
		for _, n := range names {
			if _, there := p.modules.Loaded(n); there {
				return fmt.Errorf("ERROR: could not insert '%s': Module already in kernel", n)
			}
		}
	}
	if p.q.DryRun {
		if !p.q.Verbose {
			return nil
		}
		return p.say(p.plan(names)...)
	}
	before := p.names()
	if err := p.modules.Modprobe(p.ctx, name, p.q.Params...); err != nil {
		return p.insertError(name, err)
	}
	if !p.q.Verbose {
		return nil
	}
	var lines []string
	for _, n := range slices.Backward(p.names()) {
		if !slices.Contains(before, n) {
			lines = append(lines, p.insmod(n, slices.Contains(names, n)))
		}
	}
	return p.say(lines...)
}

// insertError says why in modprobe's words.
func (p *prober) insertError(name string, err error) error {
	var load *module.LoadError
	if errors.As(err, &load) {
		return fmt.Errorf("ERROR: %w", err)
	}
	return fmt.Errorf("ERROR: could not insert '%s': %w", name, err)
}

// names returns the loaded modules, newest first.
func (p *prober) names() (names []string) {
	for _, m := range p.modules.Modules() {
		names = append(names, m.Name)
	}
	return names
}

// insmod is the line for one module; kmod ends it with a space too.
func (p *prober) insmod(name string, asked bool) string {
	if asked && len(p.q.Params) > 0 {
		return "insmod " + name + " " + control.Quote(p.q.Params...) + " "
	}
	return "insmod " + name + " "
}

// plan lists what loading the modules would load, in order.
func (p *prober) plan(names []string) (lines []string) {
	specs := p.modules.Available()
	seen := make(map[string]bool)
	var visit func(name string)
	visit = func(name string) {
		i := slices.IndexFunc(specs, func(s module.Spec) bool { return same(s.Name, name) })
		if i < 0 || seen[specs[i].Name] {
			return
		}
		s := specs[i]
		seen[s.Name] = true
		for _, d := range slices.Concat(s.Softdep.Pre, s.Depends, p.exporters(specs, s.Imports)) {
			if alias, err := p.modules.Resolve(d); err == nil {
				for _, n := range alias {
					visit(n)
				}
			}
		}
		if _, there := p.modules.Loaded(s.Name); !there {
			lines = append(lines, p.insmod(strings.ReplaceAll(s.Name, "-", "_"), slices.ContainsFunc(names, func(n string) bool { return same(n, s.Name) })))
		}
		for _, d := range s.Softdep.Post {
			visit(d)
		}
	}
	for _, n := range names {
		visit(n)
	}
	return lines
}

// exporters returns the modules that export symbols.
func (p *prober) exporters(specs []module.Spec, symbols []string) (names []string) {
	for _, sym := range symbols {
		for _, s := range specs {
			if slices.Contains(s.Exports, sym) {
				names = append(names, s.Name)
				break
			}
		}
	}
	return names
}

// same compares module names: - and _ are equal.
func same(a, b string) bool {
	return strings.ReplaceAll(a, "-", "_") == strings.ReplaceAll(b, "-", "_")
}

func (p *prober) remove(name string, names []string) error {
	loaded := slices.ContainsFunc(names, func(n string) bool { _, ok := p.modules.Loaded(n); return ok })
	switch {
	case !loaded && p.q.FirstTime:
		return fmt.Errorf("FATAL: Module %s is not in kernel.", name)
	case !loaded:
		return nil
	}
	if p.q.DryRun {
		if !p.q.Verbose {
			return nil
		}
		for _, n := range names {
			if err := p.say("rmmod " + n); err != nil {
				return err
			}
		}
		return nil
	}
	before := p.names()
	for _, n := range names {
		if p.q.Holders {
			if err := p.removeHolders(n); err != nil {
				return fmt.Errorf("FATAL: %w.", err)
			}
		}
	}
	if err := p.modules.Remove(p.ctx, name, module.RemoveOptions{Wait: p.q.Wait, Deps: true}); err != nil {
		return fmt.Errorf("FATAL: %w.", err)
	}
	if !p.q.Verbose {
		return nil
	}
	after := p.names()
	for _, n := range before {
		if !slices.Contains(after, n) {
			if err := p.say("rmmod " + n); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeHolders removes the modules that depend on one, theirs first.
func (p *prober) removeHolders(name string) error {
	m, ok := p.modules.Loaded(name)
	if !ok {
		return nil
	}
	for _, h := range m.Holders {
		if err := p.removeHolders(h); err != nil {
			return err
		}
		err := p.modules.Remove(p.ctx, h, module.RemoveOptions{Wait: p.q.Wait})
		if err != nil && !errors.Is(err, module.ErrNotLoaded) {
			return err
		}
	}
	return nil
}
