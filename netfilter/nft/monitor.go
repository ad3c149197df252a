package nft

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/netfilter/lang"
	"github.com/knitnet/knit/netfilter/rule"
)

// A hub tells those who monitor what happens. What a slow one has no room for is
// lost, and it is told so.
type hub struct {
	// traces is how many want traces, events how many want events: nobody writes them
	// else.
	traces, events atomic.Int32

	done chan struct{} // closed when the module is unloaded

	mu   sync.Mutex
	subs map[*sub]struct{}
}

// A sub is one who monitors.
type sub struct {
	trace, json bool
	// event is "", "new" or "destroy", what "" or the plural of what is told of.
	event, what string
	listing     lang.Listing // how it wants to read it
	lines       chan string
	lost        atomic.Bool
}

// backlog is how many lines wait for one who monitors.
const backlog = 4096

func (h *hub) join(s *sub) *sub {
	s.lines = make(chan string, backlog)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.subs == nil {
		h.subs = map[*sub]struct{}{}
	}
	h.subs[s] = struct{}{}
	h.counter(s).Add(1)
	return s
}

func (h *hub) leave(s *sub) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.subs, s)
	h.counter(s).Add(-1)
}

func (h *hub) counter(s *sub) *atomic.Int32 {
	if s.trace {
		return &h.traces
	}
	return &h.events
}

// tell gives a line of a trace to those who want traces.
func (h *hub) tell(text string) { h.each(func(s *sub) bool { return s.trace }, text) }

// each gives a text to those who want it.
func (h *hub) each(want func(*sub) bool, text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.subs {
		if want(s) {
			s.give(text)
		}
	}
}

// give keeps a text for one who monitors, if there is room.
func (s *sub) give(text string) {
	select {
	case s.lines <- text:
	default:
		s.lost.Store(true)
	}
}

// changes tells of changes, each in the words that one wants.
func (h *hub) changes(list []change) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.subs {
		if s.trace {
			continue
		}
		for i := range list {
			if c := &list[i]; s.wants(c) {
				if s.json {
					s.give(c.json(s.listing))
				} else {
					s.give(c.text(s.listing))
				}
			}
		}
	}
}

// wants reports whether a change is among those that one monitors.
func (s *sub) wants(c *change) bool {
	if s.event != "" && (s.event == "destroy") != (c.verb == "delete") {
		return false
	}
	if c.object != nil && s.event != "" {
		return false // as with nft
	}
	return s.what == "" || s.what == "ruleset" || s.what == c.what
}

// Monitor implements netfilter.Ruleset.
func (m *machine) Monitor(ctx context.Context, req *netfilter.NFTRequest, out io.Writer) error {
	m.mu.Lock()
	commands, err := m.parse(req)
	m.mu.Unlock()
	if err != nil {
		return err
	}
	if len(commands) != 1 || commands[0].Verb != lang.Monitor {
		return fmt.Errorf("monitor stands alone")
	}
	c := &commands[0]
	s := m.hub.join(&sub{trace: c.Trace, json: c.JSON || req.JSON, event: c.Event, what: c.What, listing: m.listing(req)})
	defer m.hub.leave(s)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-m.hub.done:
			return errUnloaded
		case text := <-s.lines:
			if s.lost.Swap(false) {
				text += "# ERROR: monitor: some events were lost\n"
			}
			if _, err := io.WriteString(out, text); err != nil {
				return err
			}
		}
	}
}

// announce tells those who monitor what a transaction has done, and that it was one.
func (m *machine) announce(before, after []*rule.Table, x *txn) {
	m.generations++
	if m.hub.events.Load() == 0 {
		return
	}
	m.hub.changes(x.diff(before, after).out)
	m.hub.each(func(s *sub) bool { return !s.trace && !s.json }, m.newGeneration())
}

// newGeneration ends what is told of a transaction. The first generation is 1: an empty
// ruleset.
func (m *machine) newGeneration() string {
	return fmt.Sprintf("# new generation %d by process %d (knit)\n", m.generations+1, os.Getpid())
}

// diff lists what a transaction has done.
func (x *txn) diff(before, after []*rule.Table) *diff {
	d := &diff{inserted: x.inserted, replaced: x.replaced, live: x.live}
	d.rulesets(before, after)
	return d
}

// echo tells whoever asked for a transaction what it has added, and which rules others
// have replaced, as `nft -e` does: nothing if that is nothing.
func (r *running) echo(before []*rule.Table) string {
	d := r.x.diff(before, r.x.tables)
	r.listing.Terse = false
	old := map[uint64]map[uint64]bool{} // rules that were replaced, by the chain's handle and theirs
	for _, c := range d.out {
		if c.rule != nil && r.x.replaced[c.rule] {
			if old[c.chain.Handle] == nil {
				old[c.chain.Handle] = map[uint64]bool{}
			}
			old[c.chain.Handle][c.rule.Handle] = true
		}
	}
	var parts []string
	for i := range d.out {
		c := &d.out[i]
		if c.verb == "delete" && (c.rule == nil || !old[c.chain.Handle][c.rule.Handle]) {
			continue
		}
		if c.renamed {
			continue
		}
		if r.req.JSON {
			parts = append(parts, strings.TrimSuffix(c.json(r.listing), "\n"))
		} else {
			parts = append(parts, c.text(r.listing))
		}
	}
	switch {
	case len(parts) == 0:
		return ""
	case r.req.JSON:
		return "{\"nftables\": [" + strings.Join(parts, ", ") + "]}\n"
	}
	return strings.Join(parts, "") + r.m.newGeneration()
}
