package nft

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"syscall"

	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/netfilter/lang"
	"github.com/knitnet/knit/netfilter/rule"
)

// Run implements netfilter.Ruleset. Its errors are texts as nft prints them.
func (m *machine) Run(ctx context.Context, req *netfilter.NFTRequest, out io.Writer) error {
	text, err := m.run(ctx, req)
	if err != nil {
		return err
	}
	_, err = io.WriteString(out, text) // whoever reads slowly keeps nobody waiting
	return err
}

// errUnloaded says that the module has gone meanwhile.
var errUnloaded = fmt.Errorf("%s is unloaded: %w", moduleName, syscall.ENODEV)

// run performs the commands of a request and returns what they say.
func (m *machine) run(ctx context.Context, req *netfilter.NFTRequest) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return "", errUnloaded
	}
	commands, err := m.parse(req)
	if err != nil {
		return "", err
	}
	r := &running{m: m, x: m.transaction(), req: req, listing: m.listing(req), rules: map[*rule.Rule]lang.Span{}}
	r.x.noted = func(n *rule.Rule, at lang.Span) {
		r.rules[n] = at
		if req.Placed != nil && at.File != nil {
			req.Placed(n, at.File.Name, at.Line())
		}
	}
	if err := r.commands(ctx, commands); err != nil {
		return "", err
	}
	if r.changed {
		if err := r.finish(); err != nil {
			return "", r.explain(err, &commands[len(commands)-1])
		}
	}
	if r.req.JSON && r.listed {
		r.text += r.json()
	}
	return r.text, nil
}

// maxRefusals is how many commands of one call are refused with a message of their own.
const maxRefusals = 64

// commands performs commands. One that is refused does not keep those behind it from being
// tried: all refusals are told, as Linux does, and nothing is committed.
func (r *running) commands(ctx context.Context, list []lang.Command) error {
	var refused lang.Errors
	for i := range list {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := r.command(&list[i]); err != nil {
			if refused = append(refused, r.explain(err, &list[i])...); len(refused) >= maxRefusals {
				break
			}
		}
	}
	if len(refused) > 0 {
		return refused
	}
	return nil
}

// json writes what was listed as one document.
func (r *running) json() string {
	switch {
	case r.names:
		return r.listing.TablesJSON(r.tables)
	case r.parts:
		return r.listing.PartsJSON(r.tables)
	}
	return r.listing.RulesetJSON(r.tables)
}

// show lists a table.
func (r *running) show(t *rule.Table) {
	if r.tables = append(r.tables, t); !r.req.JSON {
		r.text += r.listing.Table(t)
	}
}

func (m *machine) parse(req *netfilter.NFTRequest) ([]lang.Command, error) {
	opts := lang.Options{Env: env{m}, Define: req.Define, Refusals: true}
	if req.Include != nil {
		opts.Include = func(pattern string) (out []lang.File, err error) {
			files, err := req.Include(pattern)
			for _, f := range files {
				out = append(out, lang.File{Name: f.Name, Text: f.Text})
			}
			return out, err
		}
	}
	if req.JSON && strings.HasPrefix(strings.TrimSpace(req.Text), "{") {
		return lang.ParseJSON(req.Text, req.Name, opts)
	}
	return lang.Parse(req.Text, req.Name, opts)
}

// An env shows the ruleset to the language. m.mu is held while it is used.
type env struct{ m *machine }

func (e env) Table(f rule.Family, name string) *rule.Table {
	for _, t := range e.m.current.Load().tables {
		if t.Family == f && t.Name == name {
			return t
		}
	}
	return nil
}

// Tables returns all tables, for the hints of messages.
func (e env) Tables() []*rule.Table { return e.m.current.Load().tables }

func (e env) InterfaceIndex(name string) (uint32, bool) {
	for _, d := range e.m.link.Devices() {
		if d.Name() == name {
			return uint32(d.Index()), true
		}
	}
	return 0, false
}

func (e env) InterfaceName(index uint32) (string, bool) {
	name := e.m.deviceName(int32(index))
	return name, name != ""
}

func (m *machine) listing(req *netfilter.NFTRequest) lang.Listing {
	return lang.Listing{
		Handles: req.Handles, Stateless: req.Stateless, Terse: req.Terse, Numeric: req.Numeric,
		NumericPriority: req.NumericPriority, NumericProtocol: req.NumericProtocol, NumericTime: req.NumericTime,
		Services: req.ServiceNames, GUID: req.GUID, Env: env{m},
	}
}

// A running is one call of Run.
type running struct {
	m       *machine
	x       *txn
	req     *netfilter.NFTRequest
	listing lang.Listing
	text    string
	changed bool
	// What was listed: tables, or with names their names alone.
	listed, names, parts bool // parts: without the tables themselves
	tables               []*rule.Table
	rules                map[*rule.Rule]lang.Span // where the rules of this call were written
}

func (r *running) command(c *lang.Command) error {
	switch c.Verb {
	case lang.List:
		return r.list(c, false)
	case lang.Reset:
		return r.list(c, !r.req.Check)
	case lang.Get:
		return r.get(c)
	case lang.Describe:
		r.text += c.Text
		return nil
	case lang.Export:
		return r.list(&lang.Command{Kind: lang.Ruleset, All: true}, false)
	case lang.Monitor, lang.Import:
		return &faultAt{c.At, errors.New("this command stands alone")}
	}
	if c.Refused != nil {
		return lang.Errors{c.Refused}
	}
	r.changed = true
	r.x.at = c.At
	return r.x.apply(c)
}

// finish commits, or with -c only compiles.
func (r *running) finish() error {
	if !r.req.Check {
		before := r.m.current.Load().tables
		if err := r.x.end(); err != nil {
			return err
		}
		if r.req.Echo {
			r.text += r.echo(before)
		}
		return nil
	}
	defer r.m.forget(r.m.current.Load()) // what the sets that were tried have left
	for _, t := range r.x.tables {
		if r.m.current.Load().programs[t] != nil {
			continue
		}
		p, err := r.m.program(t)
		if err == nil {
			err = r.m.prepare(t, p, r.x.live)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// explain writes an error as nft does, at the place that it is about.
func (r *running) explain(err error, last *lang.Command) lang.Errors {
	at := last.At
	var said lang.Errors
	if errors.As(err, &said) {
		return said
	}
	var f *faultAt
	var re *RuleError
	switch {
	case errors.As(err, &f):
		at, err = f.at, f.err
	case errors.As(err, &re):
		if s, ok := r.rules[re.Rule]; ok {
			at = s
		}
		err = re.Err
	}
	if errors.Is(err, syscall.ENOENT) && (last.Verb <= lang.Replace || last.Verb == lang.Delete) {
		if e := lang.Missing(r.x.tables, last, at); e != nil {
			return lang.Errors{e}
		}
	}
	return lang.Errors{lang.Store(at, err)}
}

// list writes what a list or reset command asks for.
func (r *running) list(c *lang.Command, reset bool) error {
	found := c.All
	r.listed = true
	for _, t := range r.x.tables {
		if c.Kind == lang.Hooks {
			break // nothing but the packet filter has hooks to tell of, and chains say where theirs are
		}
		if c.Table != "" && (t.Name != c.Table || t.Family != c.Family) || c.All && c.HasFamily && t.Family != c.Family {
			continue
		}
		if c.Kind == lang.Table && c.All {
			if r.names, r.tables = true, append(r.tables, t); !r.req.JSON {
				r.text += fmt.Sprintf("table %v %s\n", t.Family, t.Name)
			}
			continue
		}
		if c.Kind == lang.Table || c.Table != "" && c.All {
			found = true
		}
		if c.Kind == lang.Ruleset || c.Kind == lang.Table {
			r.show(withoutMeters(r.m.read(t, reset)))
			continue
		}
		if r.part(c, t, reset) {
			found = true
		}
	}
	if !found {
		if _, err := r.x.table(c.Family, c.Table); err == nil && c.Verb == lang.Reset {
			return &faultAt{c.At, syscall.ENOENT}
		} else if err != nil && c.Table != "" {
			return lang.Errors{{At: c.TableAt, Msg: "No such file or directory"}}
		}
		at := c.NameAt
		if at.File == nil {
			at = c.TableAt
		}
		return lang.Errors{{At: at, Msg: "No such file or directory"}}
	}
	return nil
}

// part writes the parts of a table that a command asks for and reports whether there
// were any.
func (r *running) part(c *lang.Command, t *rule.Table, reset bool) (found bool) {
	want := func(p any) bool {
		ok := wants(c, p)
		found = found || ok
		return ok
	}
	// What is not wanted keeps its counters.
	only := *t
	only.Chains = keepOnly(t.Chains, want)
	if c.All && c.Kind == lang.Chain {
		only.Chains = withoutRules(only.Chains)
	}
	only.Sets = keepOnly(t.Sets, want)
	if c.Kind != lang.Meter {
		only = *withoutMeters(&only)
	}
	only.Objects = keepOnly(t.Objects, want)
	only.Flowtables = keepOnly(t.Flowtables, want)
	if found || c.All && c.Verb != lang.Reset {
		r.parts = true
		read := r.m.read(&only, reset)
		if r.tables = append(r.tables, read); !r.req.JSON {
			r.text += r.listing.Parts(read, c.All)
		}
	}
	return found
}

// withoutMeters returns a table as listings show it: meters are part of their rules.
func withoutMeters(t *rule.Table) *rule.Table {
	n := *t
	n.Sets = slices.DeleteFunc(slices.Clone(t.Sets), isMeter)
	return &n
}

// withoutRules returns what `list chains` shows.
func withoutRules(list []*rule.Chain) (out []*rule.Chain) {
	for _, c := range list {
		n := *c
		n.Rules = nil
		out = append(out, &n)
	}
	return out
}

func keepOnly[T any](list []T, want func(any) bool) (out []T) {
	for _, x := range list {
		if want(x) {
			out = append(out, x)
		}
	}
	return out
}

func wants(c *lang.Command, p any) bool {
	named := func(name string) bool { return c.Name == "" || c.Name == name }
	switch p := p.(type) {
	case *rule.Chain:
		return (c.Kind == lang.Chain || c.Kind == lang.Rule) && named(p.Name)
	case *rule.Set:
		return named(p.Name) && (c.Kind == lang.Set && !p.Map() || c.Kind == lang.Map && p.Map() ||
			c.Kind == lang.Meter && p.Meter || c.Kind == lang.Element)
	case *rule.Object:
		return c.Kind == lang.Object && p.Kind == c.ObjectKind && named(p.Name)
	case *rule.Flowtable:
		return c.Kind == lang.Flowtable && named(p.Name)
	}
	return false
}

// Save returns the ruleset as a file for nft -f, empty if there is none.
func (m *machine) Save() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := &running{m: m, x: m.transaction(), req: &netfilter.NFTRequest{}}
	r.listing = m.listing(r.req)
	if err := r.list(&lang.Command{Kind: lang.Ruleset, All: true}, false); err != nil {
		return ""
	}
	return r.text
}
